//! The plugins there are: those embedded in the program, and those in the plugins folder, which
//! take the place of embedded ones of the same name. Compiled when first used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache;
use super::component::{self, LoadError, Plugin};
use super::engine::Engine;
use crate::config::{KnownPlugin, KnownPlugins};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Plugins by name. Immutable: a change of the folder makes a new library, which takes over what
/// stayed the same.
#[derive(Debug, Clone, Default)]
pub struct Library {
    plugins: BTreeMap<String, Arc<Plugin>>,
    /// Files of the folder that are no plugins, and why.
    pub problems: Vec<FileProblem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    pub path: PathBuf,
    pub reason: String,
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: not loaded as a plugin: {}", self.path.display(), self.reason)
    }
}

impl Library {
    /// Reads the folder and compiles what is new. A file that does not load is a problem, and where
    /// `before` had a good version of it, that one goes on.
    pub fn read(engine: &Engine, folder: Option<&Path>, before: &Library) -> Self {
        let mut library = Self::default();
        for (name, wasm) in EMBEDDED {
            library.add(engine, before, name, wasm, None);
        }
        for path in folder.map(wasm_files).unwrap_or_default() {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            match read(&path) {
                Ok(wasm) => library.add(engine, before, name, &wasm, Some(&path)),
                Err(error) => library.problem(before, name, &path, error.to_string()),
            }
        }
        library
    }

    /// The default plugins and their kinds, none of them compiled.
    pub fn defaults() -> KnownPlugins {
        // None of them needs a grant: a test says so.
        let known = |wasm| KnownPlugin { kinds: component::exported_kinds(wasm), needs: Vec::new() };
        EMBEDDED.iter().map(|(name, wasm)| ((*name).to_owned(), known(wasm))).collect()
    }

    /// The file of a default plugin.
    pub fn default_file(name: &str) -> Option<&'static [u8]> {
        EMBEDDED.iter().find(|(embedded, _)| *embedded == name).map(|(_, wasm)| *wasm)
    }

    /// One default plugin alone: all of them take seconds to compile.
    pub fn default_plugin(engine: &Engine, name: &str) -> Option<Result<Plugin, LoadError>> {
        Self::default_file(name).map(|wasm| Plugin::load(engine, name, wasm))
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Plugin>> {
        self.plugins.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.values()
    }

    /// Whether a library has the same plugins in the same versions.
    pub fn is_same(&self, other: &Self) -> bool {
        let versions = |library: &Self| {
            library.plugins.values().map(|plugin| (plugin.name.clone(), plugin.digest.clone())).collect::<Vec<_>>()
        };
        versions(self) == versions(other)
    }

    fn add(&mut self, engine: &Engine, before: &Library, name: &str, wasm: &[u8], path: Option<&Path>) {
        if let Some(same) = before.get(name).filter(|plugin| plugin.digest == cache::digest(wasm)) {
            self.plugins.insert(name.to_owned(), Arc::clone(same));
            return;
        }
        match Plugin::load(engine, name, wasm) {
            Ok(plugin) => {
                self.plugins.insert(name.to_owned(), Arc::new(plugin));
            }
            Err(error) => {
                let path = path.map_or_else(|| PathBuf::from(format!("(embedded) {name}")), Path::to_owned);
                self.problem(before, name, &path, LoadError::to_string(&error));
            }
        }
    }

    fn problem(&mut self, before: &Library, name: &str, path: &Path, reason: String) {
        if let Some(good) = before.get(name) {
            self.plugins.insert(name.to_owned(), Arc::clone(good));
        }
        self.problems.push(FileProblem { path: path.to_owned(), reason });
    }
}

/// A pipe or a device under a plugin's name would never end.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    const MAX_BYTES: u64 = 256 << 20;
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(std::io::Error::other("larger than 256 MiB"));
    }
    std::fs::read(path)
}

/// `NAME.wasm` in the folder, in the order of names. Files that begin with a dot are somebody's
/// half-written ones.
fn wasm_files(folder: &Path) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "the plugins folder cannot be read");
            return Vec::new();
        }
    };
    let is_plugin = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        path.extension().is_some_and(|extension| extension == "wasm") && !hidden
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_plugin).collect();
    files.sort();
    files
}
