//! `[state.NAME]`: how much the stores hold that plugins share.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::check::{Check, Problem};
use super::name::suggest;
use super::table::Table;
use super::units;
use super::value::Entry;
use crate::config::{Grant, PluginUse, StoreConfig};

/// An entry is at most 65 KiB.
const MEMORY: std::ops::RangeInclusive<usize> = 64 << 10..=1 << 40;

/// All that a use is granted: as written, or as large as a store is by itself.
pub fn stores(table: &mut Table<'_, '_>, uses: &[PluginUse]) -> Vec<StoreConfig> {
    let check = table.check;
    let help = "write `[state.NAME]`, then `memory = \"16 MiB\"`";
    let written = table.read("state", |value| value.entries().map_err(|problem| problem.help(help)));
    let written = written.unwrap_or_default();
    let sizes: Vec<_> = written.iter().map(|entry| (entry.key, memory(check, entry))).collect();
    let granted = granted(uses);
    // A use with an error is not among them, and would make its stores look unused.
    if check.errors() == 0 {
        for entry in written.iter().filter(|entry| !granted.contains(entry.key)) {
            check.report(entry.key_place, unused(entry.key, &granted));
        }
    }
    let size_of = |name: &str| sizes.iter().find(|(written, _)| *written == name).and_then(|(_, size)| *size);
    granted
        .into_iter()
        .map(|name| StoreConfig { memory: size_of(&name).unwrap_or(StoreConfig::MEMORY), name })
        .collect()
}

fn memory(check: &Check<'_>, entry: &Entry<'_>) -> Option<usize> {
    let mut table = entry.value.table(check, "in a store")?;
    let memory = table.read("memory", |value| units::size(value, MEMORY));
    table.finish();
    memory
}

fn granted(uses: &[PluginUse]) -> BTreeSet<Arc<str>> {
    let grants = uses.iter().flat_map(|usage| &usage.grants);
    grants
        .filter_map(|grant| match grant {
            Grant::State(name) => Some(Arc::clone(name)),
            _ => None,
        })
        .collect()
}

/// Whoever mistypes the name would get a store of the default size.
fn unused(name: &str, granted: &BTreeSet<Arc<str>>) -> Problem {
    let problem = Problem::new(format!("no use of a plugin is granted the store `{name}`"));
    if granted.is_empty() {
        return problem.help(format!("add `grants = [\"state:{name}\"]` to the use that needs it"));
    }
    problem.help(suggest(name, "granted", granted.iter().map(AsRef::as_ref)))
}
