//! `grants = [...]`: what the use of a plugin is allowed, and whether that is what the plugin needs.

use super::check::{Check, Problem};
use super::name::suggest;
use super::table::Table;
use super::value::Value;
use crate::config::Grant;
use crate::config::need::{self, Need, Needed};

const WORDS: [&str; 8] = ["clock", "random", "log", "metrics", "timer", "body", "state:NAME", "http:UPSTREAM"];
const LONGEST_NAME: usize = 64;

/// None when something is wrong with them, which is reported then.
pub fn grants(table: &mut Table<'_, '_>) -> Option<Vec<Grant>> {
    let check = table.check;
    read(table, |upstream| check.upstream(upstream).map(|_| ()))
}

/// Where a plugin is tried there is no configuration: every upstream that is granted is there.
pub fn of_a_trial(table: &mut Table<'_, '_>) -> Option<Vec<Grant>> {
    read(table, |_| Ok(()))
}

fn read(table: &mut Table<'_, '_>, is_there: impl Fn(&str) -> Result<(), Problem>) -> Option<Vec<Grant>> {
    let check = table.check;
    let Some(value) = table.take("grants") else { return Some(Vec::new()) };
    let help = "write `grants = [\"log\", \"state:NAME\"]`";
    let list = check.accept(value.place, value.list().map_err(|problem| problem.help(help)))?;
    let mut grants = Vec::with_capacity(list.len());
    for value in &list {
        let twice = |grant: &Grant| Problem::new(format!("`{grant}` is granted twice"));
        let grant = grant(value, &is_there)
            .and_then(|grant| if grants.contains(&grant) { Err(twice(&grant)) } else { Ok(grant) });
        grants.extend(check.accept(value.place, grant));
    }
    (grants.len() == list.len()).then_some(grants)
}

fn grant(value: &Value<'_>, is_there: impl Fn(&str) -> Result<(), Problem>) -> Result<Grant, Problem> {
    let written = value.text()?;
    Ok(match written.split_once(':') {
        Some(("state", store)) if is_store_name(store) => Grant::State(store.into()),
        Some(("state", store)) => {
            let help = format!("a name has 1 to {LONGEST_NAME} letters, digits, `-` and `_`");
            return Err(Problem::new(format!("`{store}` is not a name for a store")).help(help));
        }
        Some(("http", upstream)) => {
            is_there(upstream)?;
            Grant::Http(upstream.into())
        }
        _ => plain(written)?,
    })
}

fn plain(written: &str) -> Result<Grant, Problem> {
    Ok(match written {
        "clock" => Grant::Clock,
        "random" => Grant::Random,
        "log" => Grant::Log,
        "metrics" => Grant::Metrics,
        "timer" => Grant::Timer,
        "body" => Grant::Body,
        "state" => return Err(Problem::new("`state` names no store").help("write `state:NAME`")),
        "http" => return Err(Problem::new("`http` names no upstream").help("write `http:UPSTREAM`")),
        _ => {
            let help = suggest(written, "known", WORDS.into_iter());
            return Err(Problem::new(format!("unknown grant `{written}`")).help(help));
        }
    })
}

fn is_store_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(letter)
}

/// How a use is written, for the words of what is to be written in its place.
#[derive(Debug, Clone, Copy)]
pub enum Written {
    /// Not at all: the plugin is the default.
    Nothing,
    Name,
    Table,
}

/// Whether this use of a plugin is granted all that the plugin needs.
pub fn suffice(check: &Check<'_>, plugin: &str, grants: &[Grant], written: Written) -> Result<(), Problem> {
    let Some(known) = check.plugins.get(plugin) else { return Ok(()) };
    let missing = need::missing(&known.needs, grants);
    if missing.is_empty() {
        return Ok(());
    }
    let are = if missing.len() == 1 { "is" } else { "are" };
    let message = format!("plugin `{plugin}` {}, which {are} not granted here", what_it_does(&missing));
    let line = need::line(grants, &missing);
    let mut help = match written {
        Written::Nothing => format!("write `balancer = {{ plugin = \"{plugin}\", {line} }}`"),
        Written::Name => format!("write `{{ plugin = \"{plugin}\", {line} }}`"),
        Written::Table if grants.is_empty() => format!("add to this use: {line}"),
        Written::Table => format!("write in this use: {line}"),
    };
    let lacks = |need: Need| missing.iter().any(|needed| needed.need == need);
    if lacks(Need::State) {
        help += "; NAME is a store, of any name";
    }
    if lacks(Need::Http) {
        help.push_str("; UPSTREAM is one of ");
        help.push_str(&check.upstream_names());
    }
    Err(Problem::new(message).help(help))
}

/// `imports A, B and exports C`.
fn what_it_does(missing: &[&Needed]) -> String {
    let interfaces = |exported: bool| {
        let those = missing.iter().filter(|needed| needed.need.is_export() == exported);
        those.map(|needed| needed.interface.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (imports, exports) = (interfaces(false), interfaces(true));
    match (imports.is_empty(), exports.is_empty()) {
        (false, true) => format!("imports {imports}"),
        (true, _) => format!("exports {exports}"),
        (false, false) => format!("imports {imports} and exports {exports}"),
    }
}
