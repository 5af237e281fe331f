//! A plugin that was compiled and whose imports and exports are known to fit.

use std::borrow::Cow;
use std::sync::Arc;

use wasmparser::{Parser, Payload};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::jackfield::plugin::{balancing, body_filtering, filtering, refreshing, replies};
use super::cache;
use super::engine::Engine;
use super::host::{Host, preview1, wasi};
use super::wrap::{self, WrapError, Wrapped};
use super::{needs, relay};
use crate::config::{Need, Needed, PluginKind};

/// The contract's package and version, as they stand in a component's imports and exports.
const PACKAGE: &str = "jackfield:plugin/";
const VERSION: &str = "0.1.0";

pub struct Plugin {
    pub name: Arc<str>,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// What each use of it must be granted.
    pub needs: Vec<Needed>,
    pub(super) engine: Engine,
    pub(super) pre: InstancePre<Host>,
    pub(super) balancing: Option<balancing::GuestIndices>,
    pub(super) filtering: Option<filtering::GuestIndices>,
    pub(super) replies: Option<replies::GuestIndices>,
    pub(super) refreshing: Option<refreshing::GuestIndices>,
    pub(super) bodies: Option<body_filtering::GuestIndices>,
}

/// What `jackfield plugin inspect` tells.
#[derive(Debug)]
pub struct Inspection {
    pub kinds: Vec<PluginKind>,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// What of both a use must be granted.
    pub needs: Vec<Needed>,
    /// Imports that no plugin is given.
    pub refused: Vec<String>,
    /// When the file is a core module, which was wrapped.
    pub wrapped: Option<Wrapped>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("not a WebAssembly file: it begins with {0}, a component begins with 00 61 73 6d 0d 00 01 00")]
    NotWasm(String),
    #[error(
        "a core WebAssembly module that exports nothing of the contract; build it with bindings for the world \
         jackfield:plugin/balancer or jackfield:plugin/http-filter (wit-bindgen), so that it exports \
         jackfield:plugin/balancing@{VERSION}#pick or jackfield:plugin/filtering@{VERSION}#on-request"
    )]
    CoreModule,
    #[error(
        "a core WebAssembly module that imports {}; a core module may import the interfaces of \
         jackfield:plugin@{VERSION}, and wasi_snapshot_preview1; what needs more must be a component \
         (`wasm-tools component new`)", .0.join(", ")
    )]
    CoreImports(Vec<String>),
    #[error("a core WebAssembly module that cannot be made a component: {0}")]
    NotWrapped(String),
    #[error("damaged or unsupported WebAssembly: {0}")]
    Invalid(String),
    #[error(
        "not a Jackfield plugin: it exports {exports}; a balancer exports jackfield:plugin/balancing@{VERSION}, \
         a filter exports jackfield:plugin/filtering@{VERSION}"
    )]
    WrongWorld { exports: String },
    #[error("made for another version of the contract: it exports {found}, this proxy speaks version {VERSION}")]
    WrongVersion { found: String },
    #[error(
        "imports what plugins are not given: {}; a plugin may import the interfaces of \
         jackfield:plugin@{VERSION}, and of WASI 0.2 its clocks, randomness and standard streams", .0.join(", ")
    )]
    NotOffered(Vec<String>),
    #[error(
        "imports jackfield:plugin/http@{VERSION}, but exports no jackfield:plugin/replies@{VERSION}: it would never \
         see a reply"
    )]
    NoReplies,
    #[error("its imports or exports differ from the contract jackfield:plugin@{VERSION}: {0}")]
    Mismatch(String),
}

impl Plugin {
    /// Compiles (or takes from the cache) and checks against the contract. Runs none of its code.
    pub fn load(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Self, LoadError> {
        let (wrapped, _) = component_of(wasm)?;
        let component = compile(engine, &wrapped)?;
        let inspection = inspect(engine, &component)?;
        if let Some(problem) = inspection.problem() {
            return Err(problem);
        }
        let exports = |interface| inspection.exports.contains(&format!("{PACKAGE}{interface}@{VERSION}"));
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch(one_line(&error));
        let pre = engine.linker().instantiate_pre(&component).map_err(mismatch)?;
        let is = |kind| inspection.kinds.contains(&kind);
        let balancing = is(PluginKind::Balancer).then(|| balancing::GuestIndices::new(&pre));
        let filtering = is(PluginKind::HttpFilter).then(|| filtering::GuestIndices::new(&pre));
        let replies = exports("replies").then(|| replies::GuestIndices::new(&pre));
        let refreshing = exports("refreshing").then(|| refreshing::GuestIndices::new(&pre));
        let bodies = exports("body-filtering").then(|| body_filtering::GuestIndices::new(&pre));
        Ok(Self {
            name: name.into(),
            digest: cache::digest(wasm),
            needs: inspection.needs,
            engine: engine.clone(),
            balancing: balancing.transpose().map_err(mismatch)?,
            filtering: filtering.transpose().map_err(mismatch)?,
            replies: replies.transpose().map_err(mismatch)?,
            refreshing: refreshing.transpose().map_err(mismatch)?,
            bodies: bodies.transpose().map_err(mismatch)?,
            pre,
        })
    }

    /// What a file is, also when it could not be used.
    pub fn inspect(engine: &Engine, wasm: &[u8]) -> Result<Inspection, LoadError> {
        let (component, wrapped) = component_of(wasm)?;
        let component = compile(engine, &component)?;
        Ok(Inspection { wrapped, ..inspect(engine, &component)? })
    }

    /// The component that is made of a core module; of a component itself. Not checked further.
    pub fn componentize(wasm: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
        Ok(component_of(wasm)?.0)
    }

    pub fn kinds(&self) -> Vec<PluginKind> {
        let balancer = self.balancing.is_some().then_some(PluginKind::Balancer);
        let filter = self.filtering.is_some().then_some(PluginKind::HttpFilter);
        balancer.into_iter().chain(filter).collect()
    }
}

impl Inspection {
    /// Why it cannot be used.
    pub fn problem(&self) -> Option<LoadError> {
        if !self.refused.is_empty() {
            return Some(LoadError::NotOffered(self.refused.clone()));
        }
        let asks = self.needs.iter().any(|needed| needed.need == Need::Http);
        let listens = self.exports.iter().any(|export| is_ours(export, "replies"));
        (asks && !listens).then_some(LoadError::NoReplies)
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({}, {})", self.name, self.digest)
    }
}

/// The file itself, or what a core module becomes.
fn component_of(wasm: &[u8]) -> Result<(Cow<'_, [u8]>, Option<Wrapped>), LoadError> {
    if wrap::is_core_module(wasm) {
        let (component, wrapped) = wrap::wrapped(wasm)?;
        return Ok((component.into(), Some(wrapped)));
    }
    match wasm.get(..8) {
        Some([0, b'a', b's', b'm', ..]) => Ok((wasm.into(), None)),
        _ => Err(LoadError::NotWasm(first_bytes(wasm))),
    }
}

impl From<WrapError> for LoadError {
    fn from(error: WrapError) -> Self {
        match error {
            WrapError::NoExport => Self::CoreModule,
            WrapError::Imports(imports) => Self::CoreImports(imports),
            WrapError::Damaged(reason) => Self::Invalid(reason),
            WrapError::OtherVersion(found) => Self::WrongVersion { found },
            WrapError::Unfit(reason) => Self::NotWrapped(reason),
        }
    }
}

fn compile(engine: &Engine, wasm: &[u8]) -> Result<Component, LoadError> {
    if let Some(relayed) = relay::relayed(wasm)
        && let Ok(component) = engine.cache().compile(engine.wasm(), &relayed)
    {
        return Ok(component);
    }
    // What is wrong with a plugin is told of the file as it is.
    engine.cache().compile(engine.wasm(), wasm).map_err(|error| LoadError::Invalid(one_line(&error)))
}

fn first_bytes(wasm: &[u8]) -> String {
    if wasm.is_empty() {
        return "nothing (the file is empty)".to_owned();
    }
    wasm.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn inspect(engine: &Engine, component: &Component) -> Result<Inspection, LoadError> {
    let shape = component.component_type();
    let imports: Vec<String> = shape.imports(engine.wasm()).map(|(name, _)| name.to_owned()).collect();
    let mut exports: Vec<String> = shape
        .exports(engine.wasm())
        .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)))
        .map(|(name, _)| name.to_owned())
        .collect();
    // Their order is the linker's, and means nothing.
    exports.sort();
    let kinds = kinds(&exports);
    if kinds.is_empty() {
        return Err(match exports.iter().find(|export| export.starts_with(PACKAGE)) {
            Some(found) => LoadError::WrongVersion { found: found.clone() },
            None => LoadError::WrongWorld { exports: list(&exports) },
        });
    }
    let refused = imports.iter().filter(|import| !is_offered(import)).cloned().collect();
    let needs = needs::of(&imports, &exports);
    Ok(Inspection { kinds, imports, exports, needs, refused, wrapped: None })
}

fn kinds<S: AsRef<str>>(exports: &[S]) -> Vec<PluginKind> {
    let ours = |interface: &str| exports.iter().any(|export| is_ours(export.as_ref(), interface));
    let known = [(PluginKind::Balancer, "balancing"), (PluginKind::HttpFilter, "filtering")];
    known.into_iter().filter(|(_, interface)| ours(interface)).map(|(kind, _)| kind).collect()
}

/// What the file says, without compiling it.
pub(super) fn exported_kinds(wasm: &[u8]) -> Vec<PluginKind> {
    let (mut exports, mut depth) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::Version { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth -= 1,
            Ok(Payload::ComponentExportSection(section)) if depth == 1 => {
                exports.extend(section.into_iter().flatten().map(|export| export.name.name));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    kinds(&exports)
}

fn is_ours(name: &str, interface: &str) -> bool {
    name == format!("{PACKAGE}{interface}@{VERSION}")
}

fn is_offered(import: &str) -> bool {
    wasi::offers(import)
        || preview1::offers(import)
        || import.strip_prefix(PACKAGE).is_some_and(|rest| rest.ends_with(&format!("@{VERSION}")))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no interface".to_owned() } else { names.join(", ") }
}

/// The innermost reason, which is the one that names the thing.
fn one_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
    chain.join(": ")
}
