//! The configuration file: what a user writes, read and checked into [`Config`].
//!
//! Every error of a file is reported at once, each with the place it stands at and what would be
//! right. Nothing here touches the running proxy.

mod account;
mod action;
mod cases;
mod certificate;
mod check;
mod diagnostic;
mod endpoint;
mod grant;
mod health;
mod listener;
mod load;
mod matcher;
mod name;
mod outlier;
mod overlap;
mod plugin;
mod root;
mod route;
mod sni;
mod store;
mod table;
mod units;
mod upstream;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{Config, KnownPlugin, Place};
pub use cases::{load_cases, parse_cases};
use check::Check;
pub use diagnostic::{Diagnostic, Diagnostics};
use endpoint::Resolve;
pub use plugin::DEFAULT_BALANCER;
use table::Table;
pub use units::parse_duration;

/// The plugins there are, by name.
pub type KnownPlugins = BTreeMap<String, KnownPlugin>;

/// A configuration file's text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Stands in front of every diagnostic.
    pub name: String,
    pub text: String,
    /// Relative paths in the file start here.
    pub folder: PathBuf,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// For diagnostics that are found later: a plugin that refuses its settings.
    pub source: Source,
}

/// Reads and checks a file. `known` is called with the plugins folder that the file names.
pub fn load(path: &Path, known: impl FnOnce(Option<&Path>) -> KnownPlugins) -> Result<Loaded, Diagnostics> {
    let source = Source::read(path)?;
    let config = parse(source.clone(), known)?;
    Ok(Loaded { config, source })
}

/// Checks a text. Certificates and the plugins folder are still read from the file system.
pub fn parse(source: Source, known: impl FnOnce(Option<&Path>) -> KnownPlugins) -> Result<Config, Diagnostics> {
    parse_with(source, known, endpoint::system_resolver)
}

fn parse_with(
    source: Source,
    known: impl FnOnce(Option<&Path>) -> KnownPlugins,
    resolve: Resolve,
) -> Result<Config, Diagnostics> {
    let tree = match syntax(&source.text) {
        Ok(tree) => tree,
        Err(list) => return Err(Diagnostics::new(source, list)),
    };
    let folder = plugins_folder(&tree, &source.folder);
    let check = Check::new(&source, known(folder.as_deref()), resolve);
    let place = Place { start: 0, end: source.text.find('\n').unwrap_or(source.text.len()) };
    let config = root::config(Table::new(&check, "at the top level", place, &tree), folder);
    let list = check.into_diagnostics();
    if list.is_empty() { Ok(config) } else { Err(Diagnostics::new(source, list)) }
}

/// The value tree, or what is wrong with the TOML itself: at most one error for each line, since a
/// parser that goes on after an error tends to stumble again in the same line.
fn syntax(text: &str) -> Result<DeTable<'_>, Vec<Diagnostic>> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(tree.into_inner());
    }
    let mut list: Vec<Diagnostic> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            let place = Place { start: span.start, end: span.end };
            Diagnostic { place, message: format!("not valid TOML: {}", error.message()), help: None }
        })
        .collect();
    list.sort_by_key(|diagnostic| diagnostic.place.start);
    list.dedup_by_key(|diagnostic| diagnostic::position(text, diagnostic.place.start).line);
    Err(list)
}

/// Needed before the checks begin, since they ask which plugins there are; whether it is a string
/// and a folder is checked with the other keys.
fn plugins_folder(tree: &DeTable<'_>, base: &Path) -> Option<PathBuf> {
    let written = tree.get("plugins")?.get_ref().as_str()?;
    Some(base.join(written))
}

impl Source {
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        Self::read_file(path, "the configuration")
    }

    /// `what` it is, for the message when it cannot be read.
    fn read_file(path: &Path, what: &str) -> Result<Self, Diagnostics> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut source = Self { name: path.display().to_string(), text: String::new(), folder };
        let place = Place::default();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot read {what}: {error}");
                return Err(Diagnostics::new(source, vec![Diagnostic { place, message, help: None }]));
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => source.text = text,
            Err(error) => {
                let start = error.utf8_error().valid_up_to();
                source.text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let place = Place { start, end: start + 1 };
                let message = "not UTF-8 text".to_owned();
                return Err(Diagnostics::new(source, vec![Diagnostic { place, message, help: None }]));
            }
        }
        Ok(source)
    }
}
