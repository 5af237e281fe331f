//! Has wasmtime find the functions that are called per request in fewer steps.
//!
//! At each call of a component's export wasmtime looks the core function up anew: for one that its
//! module defines that takes 800 instructions, for one that the module imported (an entry in a list)
//! 80. So a module is put into the component that imports these functions and exports them again,
//! and the component lifts those. The call itself goes where it went before: an import that is
//! exported is the same function. Components that are not laid out as toolchains do it (all of
//! them use wit-component) stay as they are.

use std::ops::Range;

use wasm_encoder::{
    Component, ComponentSectionId, Encode, EntityType, ExportKind, ExportSection, ImportSection, InstanceSection,
    Module, ModuleArg, ModuleSection, RawSection, TypeSection, ValType,
};
use wasmparser::{ComponentAlias, ComponentAliasSectionReader, ExternalKind, Parser, Payload};

/// The functions, with the parameters and results that the contract gives them as core functions.
const HOT: [(&str, &[ValType], &[ValType]); 3] = [
    ("jackfield:plugin/balancing@0.1.0#pick", &[I64, I32, I32, I32, I32], &[I32]),
    ("jackfield:plugin/filtering@0.1.0#on-request", &[I64, I64, I32, I32], &[]),
    ("jackfield:plugin/filtering@0.1.0#on-response", &[I64, I64, I32, I32], &[]),
];
const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

/// The same component with the relay, or none where there is no place for it. Not validated.
pub fn relayed(wasm: &[u8]) -> Option<Vec<u8>> {
    let layout = Layout::of(wasm)?;
    let mut component = Component::new();
    let mut sections = layout.sections.iter();
    for section in sections.by_ref().take(layout.place) {
        component.section(&section.raw(wasm));
    }
    component.section(&ModuleSection(&relay(&layout.functions)));
    let mut instances = InstanceSection::new();
    instances.instantiate(layout.modules, [("plugin", ModuleArg::Instance(layout.plugin))]);
    component.section(&instances);
    for section in sections {
        match &section.aliases {
            Some(aliases) => component.section(&alias_section(wasm, aliases, layout.instances)?),
            None => component.section(&section.raw(wasm)),
        };
    }
    Some(component.finish())
}

/// What stands where in a component.
#[derive(Default)]
struct Layout<'a> {
    sections: Vec<Section<'a>>,
    /// Behind so many sections all core modules and instances are there.
    place: usize,
    modules: u32,
    instances: u32,
    /// The core instance that exports the functions, and which of [`HOT`] those are.
    plugin: u32,
    functions: Vec<usize>,
}

struct Section<'a> {
    id: u8,
    range: Range<usize>,
    /// When one of the functions is among them.
    aliases: Option<ComponentAliasSectionReader<'a>>,
}

impl<'a> Layout<'a> {
    fn of(wasm: &'a [u8]) -> Option<Self> {
        let mut layout = Self::default();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.ok()?;
            if depth == 1 {
                layout.add(&payload)?;
            }
            match payload {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                _ => {}
            }
        }
        (!layout.functions.is_empty()).then_some(layout)
    }

    fn add(&mut self, payload: &Payload<'a>) -> Option<()> {
        let Some((id, range)) = payload.as_section() else { return Some(()) };
        let mut section = Section { id, range, aliases: None };
        match payload {
            Payload::ModuleSection { .. } => self.modules += 1,
            Payload::InstanceSection(instances) => self.instances += instances.count(),
            Payload::ComponentAliasSection(aliases) if self.add_functions(aliases)? => {
                section.aliases = Some(aliases.clone());
            }
            _ => {}
        }
        self.sections.push(section);
        if matches!(payload, Payload::ModuleSection { .. } | Payload::InstanceSection(_)) {
            if !self.functions.is_empty() {
                // The relay's indices would be somebody else's.
                return None;
            }
            self.place = self.sections.len();
        }
        Some(())
    }

    /// Whether there are any.
    fn add_functions(&mut self, aliases: &ComponentAliasSectionReader<'a>) -> Option<bool> {
        let before = self.functions.len();
        for alias in aliases.clone() {
            if let Some((function, instance)) = hot(&alias.ok()?) {
                if !self.functions.is_empty() && self.plugin != instance {
                    return None;
                }
                self.plugin = instance;
                self.functions.push(function);
            }
        }
        Some(self.functions.len() > before)
    }
}

impl Section<'_> {
    fn raw<'a>(&self, wasm: &'a [u8]) -> RawSection<'a> {
        RawSection { id: self.id, data: &wasm[self.range.clone()] }
    }
}

/// Which of the functions an alias names, and the instance that it takes it from.
fn hot(alias: &ComponentAlias<'_>) -> Option<(usize, u32)> {
    let ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name } = alias else {
        return None;
    };
    let function = HOT.iter().position(|(hot, ..)| hot == name)?;
    Some((function, *instance_index))
}

/// Imports the functions and exports them.
fn relay(functions: &[usize]) -> Module {
    let (mut types, mut imports, mut exports) = (TypeSection::new(), ImportSection::new(), ExportSection::new());
    for (index, function) in (0u32..).zip(functions) {
        let (name, parameters, results) = HOT[*function];
        types.ty().function(parameters.iter().copied(), results.iter().copied());
        imports.import("plugin", name, EntityType::Function(index));
        exports.export(name, ExportKind::Func, index);
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&exports);
    module
}

/// The same aliases, the functions' from the relay.
fn alias_section(wasm: &[u8], aliases: &ComponentAliasSectionReader<'_>, relay: u32) -> Option<AliasSection> {
    let mut bytes = Vec::new();
    aliases.count().encode(&mut bytes);
    let starts: Vec<usize> =
        aliases.clone().into_iter_with_offsets().map(|item| Some(item.ok()?.0)).collect::<Option<_>>()?;
    let ends = starts.iter().skip(1).copied().chain([aliases.range().end]);
    for ((alias, start), end) in aliases.clone().into_iter().zip(&starts).zip(ends) {
        match hot(&alias.ok()?) {
            Some((function, _)) => {
                let (kind, name) = (ExportKind::Func, HOT[function].0);
                wasm_encoder::Alias::CoreInstanceExport { instance: relay, kind, name }.encode(&mut bytes);
            }
            None => bytes.extend_from_slice(&wasm[*start..end]),
        }
    }
    Some(AliasSection(bytes))
}

/// With the number of aliases at its begin.
struct AliasSection(Vec<u8>);

impl Encode for AliasSection {
    fn encode(&self, sink: &mut Vec<u8>) {
        self.0.encode(sink);
    }
}

impl wasm_encoder::ComponentSection for AliasSection {
    fn id(&self) -> u8 {
        ComponentSectionId::Alias.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::library::EMBEDDED;

    #[test]
    fn what_toolchains_make_gets_one_and_stays_a_component() {
        let engine = wasmtime::Engine::default();
        for (name, wasm) in EMBEDDED {
            let relayed = relayed(wasm).unwrap();
            assert!(relayed.len() > wasm.len(), "{name}");
            wasmtime::component::Component::new(&engine, &relayed).unwrap();
            // The relay's own exports are not taken for the plugin's.
            assert_eq!(Layout::of(&relayed).unwrap().plugin, Layout::of(wasm).unwrap().instances, "{name}");
        }
    }

    #[test]
    fn other_files_stay_as_they_are() {
        let (_, wasm) = EMBEDDED[0];
        for other in [&b""[..], b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0", &wasm[..wasm.len() / 2], b"no Wasm at all"] {
            assert!(relayed(other).is_none());
        }
    }
}
