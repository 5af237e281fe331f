//! A route of an HTTP listener: which requests, and what is done with them.

use std::collections::HashMap;
use std::time::Duration;

use super::action;
use super::check::{Check, Problem};
use super::table::Table;
use super::value::Value;
use super::{matcher, plugin};
use crate::config::{Place, Route, RouteAction, RouteMatch};

const TIMEOUT: Duration = Duration::from_mins(1);

/// `routes = [...]` and then `upstream = ...`, which takes what they leave; `label` is the place of
/// the listener.
pub fn routes(table: &mut Table<'_, '_>, label: &str) -> Vec<Route> {
    let check = table.check;
    let mut seen = HashMap::new();
    let list = table.read("routes", |value| value.nonempty_list("write a route or leave the key out"));
    let read =
        |(index, value): (usize, &Value<'_>)| route(check, value, &format!("{label}.routes[{index}]"), &mut seen);
    let mut routes: Vec<Route> = list.unwrap_or_default().iter().enumerate().filter_map(read).collect();
    if let Some(value) = table.take("upstream") {
        routes.extend(everything(check, &value, &mut seen));
    }
    routes
}

fn everything(check: &Check<'_>, value: &Value<'_>, seen: &mut HashMap<String, Place>) -> Option<Route> {
    let matches = RouteMatch::default();
    unique(check, &matches, value.place, seen);
    let upstream = check.accept(value.place, value.text().and_then(|name| check.upstream(name)))?;
    Some(Route {
        matches,
        filters: Vec::new(),
        action: RouteAction::Forward { upstream, rewrite: None },
        timeout: TIMEOUT,
        name: "/".into(),
        place: value.place,
    })
}

fn route(check: &Check<'_>, value: &Value<'_>, label: &str, seen: &mut HashMap<String, Place>) -> Option<Route> {
    let mut table = value.table(check, "in a route")?;
    table.refuse(&["sni"], "an HTTP listener, which has `host`");
    let name = name(&mut table);
    let matches = matcher::matches(&mut table);
    let filters = plugin::filters(&mut table, label);
    let timeout = table.duration("timeout", TIMEOUT);
    let action = action::action(&mut table, matches.as_ref());
    table.finish();
    let matches = matches?;
    unique(check, &matches, value.place, seen);
    Some(Route { matches, filters, action: action?, timeout, name: name.into(), place: value.place })
}

/// As written, or made of host and path.
fn name(table: &mut Table<'_, '_>) -> String {
    if let Some(name) = table.text("name") {
        return name.to_owned();
    }
    let part = |key| table.peek(key).and_then(|value| value.as_text());
    format!("{}{}", part("host").unwrap_or(""), part("path").unwrap_or("/"))
}

/// Two routes of the same conditions: the second could never be taken.
fn unique(check: &Check<'_>, matches: &RouteMatch, place: Place, seen: &mut HashMap<String, Place>) {
    let mut sorted = matches.clone();
    sorted.methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    sorted.methods.dedup();
    sorted.headers.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    sorted.cookies.sort_by(|(a, _), (b, _)| a.cmp(b));
    sorted.query.sort_by(|(a, _), (b, _)| a.cmp(b));
    if let Some(first) = seen.insert(format!("{sorted:?}"), place) {
        let line = check.line(first);
        let problem = Problem::new(format!("duplicate route: the one in line {line} matches the same requests"));
        check.report(place, problem.help("remove one, or give one of them another condition"));
    }
}
