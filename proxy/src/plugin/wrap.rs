//! Makes a component of a core module, as toolchains leave it when their last step is left out.
//! Which WIT world it is for it says in a custom section (written by wit-bindgen), or, where a
//! toolchain cannot write one (Go), by the names of its exports. What it needs of WASI preview 1 our
//! own adapter gives it (`proxy/adapter/preview1.wat`).

use std::any::Any;

use wasm_encoder::{CustomSection, Section};
use wasmparser::{BinaryReaderError, Export, Parser, Payload};
use wit_component::ComponentEncoder;

const PREVIEW_1: &str = "wasi_snapshot_preview1";
static ADAPTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preview1.wasm"));

/// Of the contract, for modules that have none: the exports that tell which.
static CONTRACT: [(&str, &[u8]); 2] = [
    ("jackfield:plugin/balancing@0.1.0#", include_bytes!(concat!(env!("OUT_DIR"), "/balancer.metadata"))),
    ("jackfield:plugin/filtering@0.1.0#", include_bytes!(concat!(env!("OUT_DIR"), "/http-filter.metadata"))),
];
/// The custom section's name begins so; a module that was linked of several parts has several.
const METADATA: &str = "component-type";

/// The contract takes some KiB. Types may lie as deep in each other as the metadata is long, and
/// wit-component follows them by recursion: the first bounds how much stack the second must have.
const MOST_METADATA: usize = 128 << 10;
const STACK: usize = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("neither WIT metadata nor an export of the contract")]
    NoMetadata,
    /// The export.
    #[error("made for another version of the contract: {0}")]
    OtherVersion(String),
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
pub fn wrapped(module: &[u8]) -> Result<(Vec<u8>, Wrapped), WrapError> {
    let found = Found::of(module)?;
    let component = if found.metadata == 0 {
        encode(&with_metadata(module, &found.interfaces()?))?
    } else if found.metadata <= MOST_METADATA {
        encode(module)?
    } else {
        return Err(WrapError::Unfit(format!("its WIT metadata takes more than {} KiB", MOST_METADATA >> 10)));
    };
    Ok((component, Wrapped { adapter: found.adapter }))
}

/// What one pass over the sections tells.
#[derive(Default)]
struct Found {
    /// Bytes.
    metadata: usize,
    adapter: bool,
    /// Of the contract in whatever version, each interface once: `jackfield:plugin/balancing@0.1.0#`.
    exports: Vec<String>,
}

impl Found {
    fn of(module: &[u8]) -> Result<Self, WrapError> {
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            found.add(&payload.map_err(damaged)?).map_err(damaged)?;
        }
        Ok(found)
    }

    fn add(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::CustomSection(section) if section.name().starts_with(METADATA) => {
                self.metadata += section.data().len();
            }
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    self.adapter |= import?.module == PREVIEW_1;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports.clone() {
                    self.add_export(&export?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_export(&mut self, export: &Export<'_>) {
        if !export.name.starts_with("jackfield:plugin/") {
            return;
        }
        let interface = export.name.split_inclusive('#').next().unwrap_or_default();
        if !self.exports.iter().any(|known| known == interface) {
            self.exports.push(interface.to_owned());
        }
    }

    /// The metadata that the module should have.
    fn interfaces(&self) -> Result<Vec<&'static [u8]>, WrapError> {
        let known = |(export, _): &&(&str, &[u8])| self.exports.iter().any(|found| found == export);
        let interfaces: Vec<&[u8]> = CONTRACT.iter().filter(known).map(|(_, metadata)| *metadata).collect();
        match self.exports.first() {
            None => Err(WrapError::NoMetadata),
            Some(export) if interfaces.is_empty() => {
                Err(WrapError::OtherVersion(export.trim_end_matches('#').to_owned()))
            }
            Some(_) => Ok(interfaces),
        }
    }
}

fn damaged(error: BinaryReaderError) -> WrapError {
    WrapError::Damaged(error.to_string())
}

fn with_metadata(module: &[u8], interfaces: &[&[u8]]) -> Vec<u8> {
    let mut module = module.to_vec();
    for (number, data) in interfaces.iter().enumerate() {
        let name = format!("{METADATA}:{number}");
        CustomSection { name: name.into(), data: (*data).into() }.append_to(&mut module);
    }
    module
}

/// On a thread of its own: wit-component is made for the output of compilers, not for what somebody
/// forged. What it does not expect may panic, which ends this thread and nothing else.
fn encode(module: &[u8]) -> Result<Vec<u8>, WrapError> {
    let work = || ComponentEncoder::default().module(module)?.adapter(PREVIEW_1, ADAPTER)?.encode();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("plugin-wrap".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| WrapError::Unfit(format!("no thread to wrap it in: {error}")))?;
        match thread.join() {
            Ok(component) => component.map_err(|error| WrapError::Unfit(format!("{error:#}").replace('\n', " "))),
            Err(panic) => Err(WrapError::Unfit(format!("its metadata cannot be understood: {}", words(&*panic)))),
        }
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}
