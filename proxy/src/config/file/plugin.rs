//! The places that name a plugin: a string, or a table with settings, policy and limits.

use super::check::{Check, Problem};
use super::grant::{self, Written};
use super::name::suggest;
use super::table::Table;
use super::units;
use super::value::Value;
use crate::config::{OnFailure, Place, PluginKind, PluginLimits, PluginUse, UseIndex};

pub const DEFAULT_BALANCER: &str = "round-robin";
/// Each wrapped balancer runs on top of the stack of the one that wraps it.
const DEEPEST: usize = 8;
/// One page of Wasm memory, and what a 32-bit memory can be at most.
pub const MEMORY: std::ops::RangeInclusive<usize> = 64 << 10..=4 << 30;
/// The longest body that is held for a filter.
const BODY: std::ops::RangeInclusive<usize> = 1..=1 << 30;

/// `filters = [...]`; `label` is the place of the table that holds it.
pub fn filters(table: &mut Table<'_, '_>, label: &str) -> Vec<UseIndex> {
    let check = table.check;
    let list = table.read("filters", Value::list).unwrap_or_default();
    list.iter()
        .enumerate()
        .filter_map(|(index, value)| {
            plugin_use(check, value, PluginKind::HttpFilter, &format!("{label}.filters[{index}]"), 0)
        })
        .collect()
}

/// `balancer = ...` of an upstream.
pub fn balancer(table: &mut Table<'_, '_>, label: &str) -> Option<UseIndex> {
    let check = table.check;
    let label = format!("{label}.balancer");
    if let Some(value) = table.take("balancer") {
        return plugin_use(check, &value, PluginKind::Balancer, &label, 0);
    }
    let usable = exists(check, DEFAULT_BALANCER, PluginKind::Balancer)
        .and_then(|()| grant::suffice(check, DEFAULT_BALANCER, &[], Written::Nothing));
    check.accept(table.place, usable)?;
    Some(check.add_use(plain(DEFAULT_BALANCER, PluginKind::Balancer, &label, table.place)))
}

/// `depth`: how many balancers wrap it.
fn plugin_use(check: &Check<'_>, value: &Value<'_>, kind: PluginKind, label: &str, depth: usize) -> Option<UseIndex> {
    if depth > DEEPEST {
        let problem = Problem::new(format!("more than {DEEPEST} balancers are wrapped in one another"));
        return check.accept(value.place, Err(problem));
    }
    if value.is_table() {
        return detailed(check, value, kind, label, depth);
    }
    let read = || {
        let name = value.as_text().ok_or_else(|| value.mismatch("the name of a plugin, or a table with `plugin`"))?;
        exists(check, name, kind)?;
        grant::suffice(check, name, &[], Written::Name)?;
        Ok(plain(name, kind, label, value.place))
    };
    check.accept(value.place, read()).map(|plain| check.add_use(plain))
}

fn plain(name: &str, kind: PluginKind, label: &str, place: Place) -> PluginUse {
    PluginUse {
        plugin: name.into(),
        kind,
        label: label.into(),
        settings: "{}".to_owned(),
        on_failure: default_policy(kind),
        limits: PluginLimits::default(),
        grants: Vec::new(),
        then: None,
        place,
    }
}

/// A wrapped balancer comes before the one that wraps it.
fn detailed(check: &Check<'_>, value: &Value<'_>, kind: PluginKind, label: &str, depth: usize) -> Option<UseIndex> {
    let mut table = value.table(check, "in the use of a plugin")?;
    let name = table.require("plugin", "\"NAME\"");
    let settings = table.read("settings", settings);
    let on_failure = table.read("on-failure", |value| policy(value, kind));
    let defaults = PluginLimits::default();
    let deadline = table.duration("deadline", defaults.deadline);
    let memory = table.read("memory", |value| units::size(value, MEMORY)).unwrap_or(defaults.memory);
    let limits = PluginLimits {
        deadline,
        memory,
        body: body_limit(&mut table, kind, memory).unwrap_or(defaults.body.min(memory)),
    };
    let grants = grant::grants(&mut table);
    let then = match kind {
        PluginKind::HttpFilter => {
            table.refuse(&["then"], "a filter: only a balancer wraps another");
            None
        }
        PluginKind::Balancer => {
            table.take("then").and_then(|value| plugin_use(check, &value, kind, &format!("{label}.then"), depth + 1))
        }
    };
    table.finish();
    let name_value = name?;
    let name = check.accept(name_value.place, name_value.text())?;
    check.accept(name_value.place, exists(check, name, kind))?;
    let grants = grants?;
    check.accept(name_value.place, grant::suffice(check, name, &grants, Written::Table))?;
    Some(check.add_use(PluginUse {
        settings: settings.unwrap_or_else(|| "{}".to_owned()),
        on_failure: on_failure.unwrap_or(default_policy(kind)),
        limits,
        grants,
        then,
        ..plain(name, kind, label, value.place)
    }))
}

fn body_limit(table: &mut Table<'_, '_>, kind: PluginKind, memory: usize) -> Option<usize> {
    if kind == PluginKind::Balancer {
        table.refuse(&["body"], "a balancer: only a filter sees bodies");
        return None;
    }
    table.read("body", |value| {
        let body = units::size(value, BODY)?;
        if body <= memory {
            return Ok(body);
        }
        let (body, memory) = (units::show_size(body), units::show_size(memory));
        let what =
            format!("a body of {body}, which `body` allows, does not fit into the plugin's `memory` of {memory}");
        Err(Problem::new(what).help("write a larger `memory` or a smaller `body`"))
    })
}

pub fn settings(value: &Value<'_>) -> Result<String, Problem> {
    if !value.is_table() {
        return Err(value.mismatch("a table").help("write `settings = { NAME = VALUE }`"));
    }
    value.json().map(|json| json.to_string())
}

fn default_policy(kind: PluginKind) -> OnFailure {
    match kind {
        PluginKind::Balancer => OnFailure::Fallback,
        PluginKind::HttpFilter => OnFailure::Closed,
    }
}

fn policy(value: &Value<'_>, kind: PluginKind) -> Result<OnFailure, Problem> {
    let closed = ("closed", OnFailure::Closed);
    let (what, words) = match kind {
        PluginKind::Balancer => ("a balancer", [("fallback", OnFailure::Fallback), closed]),
        PluginKind::HttpFilter => ("a filter", [("open", OnFailure::Open), closed]),
    };
    let written = value.text()?;
    words.iter().find(|(word, _)| *word == written).map(|(_, policy)| *policy).ok_or_else(|| {
        Problem::new(format!("`on-failure` of {what} cannot be `{written}`")).help(suggest(
            written,
            "known",
            words.iter().map(|(word, _)| *word),
        ))
    })
}

pub fn exists(check: &Check<'_>, name: &str, kind: PluginKind) -> Result<(), Problem> {
    let (one, many) = nouns(kind);
    let found = check.plugins.get(name);
    if found.is_some_and(|plugin| plugin.kinds.contains(&kind)) {
        return Ok(());
    }
    let problem = match found.and_then(|plugin| plugin.kinds.first()) {
        Some(other) => Problem::new(format!("plugin `{name}` is {}, not {one}", nouns(*other).0)),
        None => Problem::new(format!("no plugin `{name}`")),
    };
    let mut fitting =
        check.plugins.iter().filter(|(_, plugin)| plugin.kinds.contains(&kind)).map(|(name, _)| name.as_str());
    let help = match fitting.next() {
        Some(first) => suggest(name, many, std::iter::once(first).chain(fitting)),
        None => format!("there are no {many}; put {name}.wasm into the `plugins` folder"),
    };
    Err(problem.help(help))
}

pub fn nouns(kind: PluginKind) -> (&'static str, &'static str) {
    match kind {
        PluginKind::Balancer => ("a balancer", "balancers"),
        PluginKind::HttpFilter => ("a filter", "filters"),
    }
}
