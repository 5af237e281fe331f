//! A route of an HTTP listener: which requests, and what is done with them.

use std::collections::HashMap;
use std::time::Duration;

use super::action;
use super::check::{Check, Problem};
use super::table::Table;
use super::value::Value;
use super::{matcher, plugin};
use crate::config::{HostMatch, PathMatch, Place, Route, RouteAction, RouteMatch};

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
    report_hidden(check, &routes);
    if let Some(value) = table.take("upstream") {
        let mut rest = everything(check, &value, &mut seen);
        if let Some(rest) = rest.as_mut().filter(|_| routes.iter().any(is_regex)) {
            // Regular expressions come last, in file order: only as one of them does it leave the
            // others their requests.
            rest.matches.path = PathMatch::Regex(".*".to_owned());
        }
        routes.extend(rest);
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

/// Regular expressions that no request reaches, since a route takes every path of their host before.
fn report_hidden(check: &Check<'_>, routes: &[Route]) {
    let takes_all = |route: &&Route| {
        let any_host = RouteMatch { host: HostMatch::Any, ..route.matches.clone() };
        any_host == RouteMatch::default()
    };
    let catch_alls: HashMap<&HostMatch, Place> =
        routes.iter().filter(takes_all).map(|route| (&route.matches.host, route.place)).collect();
    for route in routes.iter().filter(|route| is_regex(route)) {
        if let Some(first) = catch_alls.get(&route.matches.host) {
            let line = check.line(*first);
            let message = format!("no request reaches this route: the one in line {line} takes every path first");
            let help = "a prefix wins over a regular expression: write `path = \"~ .*\"` there, below this";
            check.report(route.place, Problem::new(message).help(help));
        }
    }
}

fn is_regex(route: &Route) -> bool {
    matches!(route.matches.path, PathMatch::Regex(_))
}
