//! The routes of a TCP listener: TLS server name → upstream.

use std::collections::HashMap;

use super::check::{Check, Problem};
use super::listener;
use super::matcher;
use super::table::Table;
use super::value::Value;
use crate::config::{HostMatch, Place, UpstreamIndex};

pub fn routes(table: &mut Table<'_, '_>) -> Vec<(String, UpstreamIndex)> {
    let check = table.check;
    let list = table.read("routes", |value| value.nonempty_list("write a route or leave the key out"));
    let mut seen = HashMap::new();
    list.unwrap_or_default().iter().filter_map(|value| route(check, value, &mut seen)).collect()
}

fn route(check: &Check<'_>, value: &Value<'_>, seen: &mut HashMap<String, Place>) -> Option<(String, UpstreamIndex)> {
    let mut table = value.table(check, "in a route of a TCP listener")?;
    table.refuse(&["host", "path", "methods", "headers", "cookies", "query"], "a TCP listener, which sees only `sni`");
    table.refuse(&["filters", "redirect", "respond", "rewrite", "timeout"], "a TCP listener");
    let name = table.require("sni", "\"db.example.com\"");
    if !table.has("upstream") {
        table.require("upstream", "\"NAME\"");
    }
    let upstream = listener::upstream(&mut table);
    table.finish();
    let name = name?;
    let server_name = check.accept(name.place, server_name(&name))?;
    if let Some(first) = seen.insert(server_name.clone(), name.place) {
        let problem = Problem::new(format!("duplicate route: `{server_name}` is also in line {}", check.line(first)));
        check.report(name.place, problem.help("only the first could ever match"));
    }
    Some((server_name, upstream?))
}

fn server_name(value: &Value<'_>) -> Result<String, Problem> {
    match matcher::host(value)? {
        HostMatch::Exact(name) => Ok(name),
        HostMatch::Wildcard(suffix) => Ok(format!("*.{suffix}")),
        HostMatch::Any => Err(Problem::new("`sni` must be a name, found `*`")
            .help("write `upstream` in the listener to send everything there")),
    }
}
