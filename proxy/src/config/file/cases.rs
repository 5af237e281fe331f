//! A file of cases for a plugin: what its author writes for `jackfield plugin test`, read with the
//! same care as a configuration.

mod expect;
mod message;
mod step;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::check::{Check, Problem};
use super::table::Table;
use super::value::Value;
use super::{Diagnostics, KnownPlugins, Source, grant, plugin, syntax, units};
use crate::config::{Case, CaseEndpoint, Cases, Expect, Grant, Place, PluginKind, PluginLimits, Setup};

const KINDS: [(&str, PluginKind); 2] = [("balancer", PluginKind::Balancer), ("http-filter", PluginKind::HttpFilter)];

/// Reads and checks a file of cases for a plugin of these kinds. `known` are those that it may wrap.
pub fn load_cases(path: &Path, kinds: &[PluginKind], known: KnownPlugins) -> Result<Cases, Diagnostics> {
    parse_cases(Source::read_file(path, "the cases")?, kinds, known)
}

/// The same of a text.
pub fn parse_cases(source: Source, kinds: &[PluginKind], known: KnownPlugins) -> Result<Cases, Diagnostics> {
    let tree = match syntax(&source.text) {
        Ok(tree) => tree,
        Err(list) => return Err(Diagnostics::new(source, list)),
    };
    let check = Check::new(&source, known, nowhere);
    let place = Place { start: 0, end: source.text.find('\n').unwrap_or(source.text.len()) };
    let cases = file(Table::new(&check, "in a file of cases", place, &tree), kinds);
    let list = check.into_diagnostics();
    if list.is_empty() { Ok(cases) } else { Err(Diagnostics::new(source, list)) }
}

/// Nobody connects to these endpoints: their names are looked up nowhere.
#[allow(clippy::unnecessary_wraps, reason = "a resolver may fail")]
fn nowhere(_host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))])
}

/// What a case may say, and the file for all of its cases.
#[derive(Clone, Default)]
struct Common {
    kind: Option<PluginKind>,
    settings: Option<String>,
    grants: Option<Vec<Grant>>,
    endpoints: Option<Arc<[CaseEndpoint]>>,
    then: Option<String>,
}

fn file(mut table: Table<'_, '_>, kinds: &[PluginKind]) -> Cases {
    let check = table.check;
    let common = common(&mut table, kinds);
    let limits = limits(&mut table, PluginLimits::default());
    let mut upstreams = table.take("upstreams").and_then(|value| texts(check, &value)).unwrap_or_default();
    let help = "write `[[case]]`, then `name = \"…\"` and what it is about";
    let written = table.read("case", |value| value.nonempty_list(help).map_err(|problem| problem.help(help)));
    if !table.has("case") {
        table.report(Problem::new("no case: nothing would be tested").help(help));
    }
    table.finish();
    let list = written.unwrap_or_default();
    let mut list: Vec<Case> = list.iter().filter_map(|value| case(check, value, &common, kinds, limits)).collect();
    upstreams.extend(list.iter().filter_map(|case| expected_upstream(&case.expect)));
    upstreams.extend(list.iter().flat_map(|case| granted_upstreams(&case.setup.grants)));
    upstreams.extend(granted_upstreams(common.grants.as_deref().unwrap_or_default()));
    upstreams.sort();
    upstreams.dedup();
    let upstreams: Arc<[String]> = upstreams.into();
    for case in &mut list {
        case.setup.upstreams = Arc::clone(&upstreams);
    }
    let meant = common.kind.map_or_else(|| kinds.to_vec(), |kind| vec![kind]);
    let setup = |kind| Setup { upstreams: Arc::clone(&upstreams), ..setup(&Common::default(), &common, kind, limits) };
    Cases { setups: meant.into_iter().map(setup).collect(), list }
}

fn limits(table: &mut Table<'_, '_>, mut limits: PluginLimits) -> PluginLimits {
    limits.deadline = table.duration("deadline", limits.deadline);
    limits.memory = table.read("memory", |value| units::size(value, plugin::MEMORY)).unwrap_or(limits.memory);
    limits
}

/// An upstream that a case speaks of is there.
fn expected_upstream(expect: &Expect) -> Option<String> {
    match expect {
        Expect::Messages(wanted) => wanted.request.as_ref()?.upstream.clone()?,
        _ => None,
    }
}

fn granted_upstreams(grants: &[Grant]) -> impl Iterator<Item = String> {
    grants.iter().filter_map(|grant| match grant {
        Grant::Http(upstream) => Some(upstream.to_string()),
        _ => None,
    })
}

fn common(table: &mut Table<'_, '_>, kinds: &[PluginKind]) -> Common {
    let check = table.check;
    let says_grants = table.has("grants");
    Common {
        kind: table.read("kind", |value| kind(value, kinds)),
        settings: table.read("settings", plugin::settings),
        grants: grant::of_a_trial(table).filter(|_| says_grants),
        endpoints: table.take("endpoints").and_then(|value| step::endpoints(check, &value)),
        then: table.read("then", |value| then(check, value)),
    }
}

fn kind(value: &Value<'_>, kinds: &[PluginKind]) -> Result<PluginKind, Problem> {
    let kind = value.choice(&KINDS)?;
    let Some(other) = kinds.first().filter(|_| !kinds.contains(&kind)) else { return Ok(kind) };
    Err(Problem::new(format!("the plugin is {}, not {}", plugin::nouns(*other).0, plugin::nouns(kind).0)))
}

fn then(check: &Check<'_>, value: &Value<'_>) -> Result<String, Problem> {
    let name = value.text()?;
    plugin::exists(check, name, PluginKind::Balancer)?;
    Ok(name.to_owned())
}

fn setup(own: &Common, file: &Common, kind: PluginKind, limits: PluginLimits) -> Setup {
    let balances = kind == PluginKind::Balancer;
    Setup {
        kind,
        settings: own.settings.clone().or_else(|| file.settings.clone()).unwrap_or_else(|| "{}".to_owned()),
        grants: own.grants.clone().or_else(|| file.grants.clone()).unwrap_or_default(),
        limits,
        then: own.then.clone().or_else(|| file.then.clone()).filter(|_| balances),
        upstreams: Arc::default(),
    }
}

fn case(
    check: &Check<'_>,
    value: &Value<'_>,
    file: &Common,
    kinds: &[PluginKind],
    limits: PluginLimits,
) -> Option<Case> {
    let mut table = value.table(check, "in a case")?;
    let name = table.require("name", "\"what it shows\"").and_then(|value| check.accept(value.place, value.text()));
    let own = common(&mut table, kinds);
    let only = if let [only] = kinds { Some(*only) } else { None };
    let Some(kind) = own.kind.or(file.kind).or(only) else {
        let problem = Problem::new("the plugin is both a balancer and a filter: which of them is this case about?");
        table.report(
            problem.help("write `kind = \"balancer\"` or `kind = \"http-filter\"` here or at the top of the file"),
        );
        return None;
    };
    if kind == PluginKind::HttpFilter {
        table.refuse(&["then"], "a filter: only a balancer wraps another");
    }
    let endpoints = own.endpoints.clone().or_else(|| file.endpoints.clone()).unwrap_or_default();
    let mut known: Vec<String> = Vec::new();
    let before = table.read("before", Value::list).unwrap_or_default();
    let mut earlier = |value: &Value<'_>| {
        let mut table = value.table(check, "in what was before")?;
        let own = table.take("endpoints").and_then(|value| step::endpoints(check, &value));
        let step = step::step(&mut table, kind, own.as_ref().unwrap_or(&endpoints), &mut known);
        table.finish();
        step
    };
    let before = before.iter().filter_map(&mut earlier).collect();
    let step = step::step(&mut table, kind, &endpoints, &mut known);
    let expect = expect::expect(&mut table, kind, &endpoints);
    table.finish();
    Some(Case { name: name?.to_owned(), setup: setup(&own, file, kind, limits), before, step: step?, expect: expect? })
}

/// A list of strings.
fn texts(check: &Check<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    let list = check.accept(value.place, value.list())?;
    list.iter().map(|value| check.accept(value.place, value.text()).map(str::to_owned)).collect()
}

/// One string or a list of them.
fn one_or_more<'t>(check: &Check<'_>, value: &Value<'t>) -> Option<Vec<Value<'t>>> {
    if value.as_text().is_some() {
        return Some(vec![value.clone()]);
    }
    let list = value.as_list().ok_or_else(|| value.mismatch("a string or a list of strings"));
    check.accept(value.place, list)
}
