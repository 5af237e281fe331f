//! Makes a component of a core module, as toolchains leave it when their last step is left out. The
//! names of its exports tell which interfaces of the contract it has; what it needs of WASI preview 1
//! our own adapter gives it (`proxy/adapter/preview1.wat`).
//!
//! The WIT metadata that a toolchain may have put into a custom section is passed over, and our own
//! put in its place: wit-component was made for the output of compilers, and forged metadata leads it
//! into a recursion without end.

use std::any::Any;
use std::collections::BTreeSet;

use wasm_encoder::{CustomSection, Module, RawSection};
use wasmparser::{BinaryReaderError, Parser, Payload};
use wit_component::ComponentEncoder;

use super::instance::readable;

const PREVIEW_1: &str = "wasi_snapshot_preview1";
static ADAPTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preview1.wasm"));

/// Whose functions a module may import, and of whose interfaces it exports one.
const PACKAGE: &str = "jackfield:plugin/";
/// The metadata of a world that imports all of the contract; what a module does not use of it is left out.
static IMPORTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/imports.metadata"));
include!(concat!(env!("OUT_DIR"), "/exports.rs"));

/// How the custom section's name begins; a module that was linked of several parts has several.
const METADATA: &str = "component-type";

#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("no export of the contract")]
    NoExport,
    /// The interface that it exports.
    #[error("made for another version of the contract: {0}")]
    OtherVersion(String),
    /// The modules, `wasi:http/types@0.2.0`.
    #[error("imports what core modules are not given: {0:?}")]
    Imports(Vec<String>),
    #[error("{0}")]
    Unfit(String),
}

/// What a core module had around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrapped {
    /// Whether it imports WASI preview 1, and so the adapter.
    pub adapter: bool,
}

pub fn is_core_module(wasm: &[u8]) -> bool {
    wasm.starts_with(b"\0asm\x01\0\0\0")
}

/// The component. The same module gives the same bytes. Not validated: wasmtime does that.
pub fn wrapped(wasm: &[u8]) -> Result<(Vec<u8>, Wrapped), WrapError> {
    let mut core = Core::of(wasm)?;
    match core.other {
        _ if !core.exports.is_empty() => {}
        None => return Err(WrapError::NoExport),
        Some(other) => return Err(WrapError::OtherVersion(readable(other.trim_end_matches('#')))),
    }
    if !core.foreign.is_empty() {
        return Err(WrapError::Imports(core.foreign.into_iter().map(readable).collect()));
    }
    for (name, metadata) in core.exports.iter().map(|export| EXPORTS[*export]).chain([("imports", IMPORTS)]) {
        let name = format!("{METADATA}:{name}");
        core.module.section(&CustomSection { name: name.into(), data: metadata.into() });
    }
    Ok((encode(&core.module.finish())?, Wrapped { adapter: core.adapter }))
}

impl From<BinaryReaderError> for WrapError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// What one pass over the sections tells.
#[derive(Default)]
struct Core<'a> {
    /// The same without its metadata.
    module: Module,
    /// Whether it imports WASI preview 1.
    adapter: bool,
    /// The first few other modules that it imports from and cannot.
    foreign: Vec<&'a str>,
    /// Which of [`EXPORTS`] it has.
    exports: BTreeSet<usize>,
    /// An interface that is none of them: `jackfield:plugin/balancing@7.0.0#`.
    other: Option<&'a str>,
}

impl<'a> Core<'a> {
    fn of(wasm: &'a [u8]) -> Result<Self, WrapError> {
        let mut core = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::CustomSection(section) if section.name().starts_with(METADATA) => {
                    if is_utf16(section.data()) {
                        return Err(WrapError::Unfit("its texts are UTF-16, not UTF-8".to_owned()));
                    }
                    continue;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.clone().into_imports() {
                        core.add_import(import?.module);
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports.clone() {
                        core.add_export(export?.name);
                    }
                }
                _ => {}
            }
            if let Some((id, range)) = payload.as_section() {
                // A section of code is told of before all of it was seen.
                let data = wasm.get(range).ok_or_else(|| WrapError::Damaged("the file is cut off".to_owned()))?;
                core.module.section(&RawSection { id, data });
            }
        }
        Ok(core)
    }

    fn add_import(&mut self, module: &'a str) {
        const MOST_TOLD: usize = 5;
        if module == PREVIEW_1 {
            self.adapter = true;
        } else if !module.starts_with(PACKAGE) && self.foreign.len() < MOST_TOLD && !self.foreign.contains(&module) {
            self.foreign.push(module);
        }
    }

    fn add_export(&mut self, name: &'a str) {
        if let Some(export) = EXPORTS.iter().position(|(prefix, _)| name.starts_with(prefix)) {
            self.exports.insert(export);
        } else if name.starts_with(PACKAGE) {
            self.other = name.split_inclusive('#').next();
        }
    }
}

/// All that metadata tells and the exports do not; our own says UTF-8.
fn is_utf16(metadata: &[u8]) -> bool {
    let encoding = |payload| match payload {
        Ok(Payload::CustomSection(section)) if section.name() == "wit-component-encoding" => Some(section.data()),
        _ => None,
    };
    // The version of this section, then the encoding, of which 0 is UTF-8.
    Parser::new(0).parse_all(metadata).find_map(encoding).is_some_and(|data| matches!(data, [4, 1 | 2]))
}

/// On a thread of its own: where wit-component does not expect something it may panic, which ends this
/// thread and nothing else.
fn encode(module: &[u8]) -> Result<Vec<u8>, WrapError> {
    let work = || ComponentEncoder::default().module(module)?.adapter(PREVIEW_1, ADAPTER)?.encode();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("plugin-wrap".into()).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| WrapError::Unfit(format!("no thread to wrap it in: {error}")))?;
        match thread.join() {
            Ok(component) => component.map_err(|error| WrapError::Unfit(readable(&format!("{error:#}")))),
            Err(panic) => Err(WrapError::Unfit(readable(&format!("it cannot be understood: {}", words(&*panic))))),
        }
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use wasm_encoder::Section;

    use super::*;
    use crate::plugin::library::EMBEDDED;

    /// The core module in a default plugin, whose metadata is no longer there.
    fn stripped() -> &'static [u8] {
        let (_, component) = EMBEDDED.iter().find(|(name, _)| *name == "round-robin").unwrap();
        let module = Parser::new(0).parse_all(component).find_map(|payload| match payload.unwrap() {
            Payload::ModuleSection { unchecked_range, .. } => Some(unchecked_range),
            _ => None,
        });
        &component[module.unwrap()]
    }

    fn with(metadata: &[u8]) -> Vec<u8> {
        let mut module = stripped().to_vec();
        CustomSection { name: "component-type:x".into(), data: metadata.into() }.append_to(&mut module);
        module
    }

    fn compiles(component: &[u8]) -> bool {
        wasmtime::component::Component::new(&wasmtime::Engine::default(), component).is_ok()
    }

    #[test]
    fn a_module_becomes_the_same_component_with_metadata_and_without_each_time() {
        let (component, what) = wrapped(&with(EXPORTS[0].1)).unwrap();
        assert_eq!(what, Wrapped { adapter: false });
        assert!(compiles(&component));
        assert_eq!(component, wrapped(&with(EXPORTS[0].1)).unwrap().0);
        assert_eq!(component, wrapped(stripped()).unwrap().0);
    }

    #[test]
    fn the_adapter_has_no_memory_of_its_own() {
        for payload in Parser::new(0).parse_all(ADAPTER) {
            match payload.unwrap() {
                Payload::MemorySection(_) | Payload::DataSection(_) | Payload::TableSection(_) => panic!("it has"),
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports().map(Result::unwrap) {
                        assert_ne!(import.module, "__main_module__", "it calls the module that it serves");
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn forged_metadata_is_not_looked_at() {
        for forged in [&b""[..], b"\0asm", &EXPORTS[0].1[..100], &[0xff; 1000]] {
            assert_eq!(wrapped(&with(forged)).unwrap().0, wrapped(stripped()).unwrap().0);
        }
    }

    #[test]
    fn texts_in_another_encoding_are_not_misread() {
        let mut metadata = EXPORTS[0].1.to_vec();
        let name = b"wit-component-encoding\x04";
        let place = metadata.windows(name.len()).position(|bytes| bytes == name).unwrap() + name.len();
        metadata[place] = 1;
        assert!(wrapped(&with(&metadata)).unwrap_err().to_string().contains("UTF-16"));
    }

    #[test]
    fn imports_and_exports_beyond_count_take_seconds_at_most() {
        use wasm_encoder::{EntityType, ExportKind, ExportSection, ImportSection, TypeSection};
        let (mut types, mut imports, mut exports) = (TypeSection::new(), ImportSection::new(), ExportSection::new());
        types.ty().function([], []);
        for number in 0..300_000 {
            let name = number.to_string();
            let module = match number % 3 {
                0 => "jackfield:plugin/endpoints@0.1.0",
                1 => PREVIEW_1,
                _ => &format!("jackfield:plugin/{number}"),
            };
            imports.import(module, &name, EntityType::Function(0));
            exports.export(&format!("{}{number}", EXPORTS[0].0), ExportKind::Func, number);
        }
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&exports);
        let began = Instant::now();
        let error = wrapped(&module.finish()).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(10), "{error}");
    }

    #[test]
    fn a_panic_of_the_encoder_is_an_error() {
        let panic: Box<dyn Any + Send> = Box::new(String::from("why"));
        assert_eq!(words(&*panic), "why");
    }

    /// A place in the module, and what is put there.
    fn edits(length: usize) -> impl Strategy<Value = Vec<(usize, u8)>> {
        // Types, imports and exports stand in front of the code, and are what wit-component reads most of.
        let place = prop_oneof![0..length, 0..1_500usize, length - 1_500..length];
        prop::collection::vec((place, any::<u8>()), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn whatever_the_bytes_there_is_an_answer_soon(edits in edits(stripped().len()), cut in 0usize..2000) {
            let mut module = stripped().to_vec();
            for (place, byte) in edits {
                module[place] = byte;
            }
            module.truncate(module.len() - cut.saturating_sub(1000));
            let began = Instant::now();
            let _ = wrapped(&module);
            prop_assert!(began.elapsed() < Duration::from_secs(5));
        }
    }
}
