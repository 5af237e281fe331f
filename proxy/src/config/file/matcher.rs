//! The conditions of a route: host, path, methods, headers, cookies, query.

use http::uri::PathAndQuery;
use http::{HeaderName, Method};

use super::check::Problem;
use super::name::is_host_name;
use super::table::Table;
use super::value::{Entry, Value};
use crate::config::{HostMatch, PathMatch, RouteMatch, ValueMatch};

/// Nothing if any of the conditions is wrong.
pub fn matches(table: &mut Table<'_, '_>) -> Option<RouteMatch> {
    let errors_before = table.check.errors();
    let matches = RouteMatch {
        host: table.read("host", host).unwrap_or_default(),
        path: table.read("path", path).unwrap_or_default(),
        methods: methods(table),
        headers: conditions(table, "headers", header_name),
        cookies: conditions(table, "cookies", cookie_name),
        query: conditions(table, "query", |entry| Ok(entry.key.to_owned())),
    };
    (table.check.errors() == errors_before).then_some(matches)
}

pub fn host(value: &Value<'_>) -> Result<HostMatch, Problem> {
    let written = value.text()?;
    let lower = written.to_ascii_lowercase();
    if lower == "*" {
        return Ok(HostMatch::Any);
    }
    if is_host_name(lower.strip_prefix("*.").unwrap_or(&lower)) || is_ip(&lower) {
        return Ok(match lower.strip_prefix("*.") {
            Some(suffix) => HostMatch::Wildcard(suffix.to_owned()),
            None => HostMatch::Exact(lower),
        });
    }
    let has_port =
        lower.rsplit_once(':').is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok());
    let help = if has_port {
        "leave the port out: a route matches the name only"
    } else if lower.contains('*') {
        "`*` stands for the first labels only: \"*.example.com\""
    } else if !lower.is_ascii() {
        "write the name as it is sent, in ASCII: \"xn--…\""
    } else {
        "a name, or `*.` and a name: \"example.com\", \"*.example.com\""
    };
    Err(Problem::new(format!("`{written}` is not a host")).help(help))
}

/// As it stands in a Host header: IPv6 in brackets.
fn is_ip(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    host.parse::<std::net::Ipv4Addr>().is_ok() || v6.is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
}

fn path(value: &Value<'_>) -> Result<PathMatch, Problem> {
    let written = value.text()?;
    if let Some(pattern) = written.strip_prefix("~ ") {
        let pattern = pattern.trim_start();
        regex(pattern)?;
        // As it is matched: a pattern that ends in a comment would swallow the anchor.
        regex(&format!("^(?:{pattern})$"))?;
        return Ok(PathMatch::Regex(pattern.to_owned()));
    }
    plain_path(written)?;
    let path = written.to_owned();
    Ok(if path.ends_with('/') { PathMatch::Prefix(path) } else { PathMatch::Exact(path) })
}

fn plain_path(written: &str) -> Result<(), Problem> {
    let help = if !written.starts_with('/') {
        "begin with `/`, or with `~ ` for a regular expression"
    } else if written.contains('*') {
        "end with `/` for everything below, or write a regular expression: \"~ /a/[^/]*\""
    } else if written.contains('?') {
        "put what follows `?` into `query = { NAME = \"VALUE\" }`"
    } else if PathAndQuery::try_from(written).is_err() || written.contains('#') {
        "write it as it is sent, percent-encoded"
    } else {
        return Ok(());
    };
    Err(Problem::new(format!("`{written}` is not a path")).help(help))
}

/// Compiles a pattern; the crate's error has several lines, of which the last one says what is wrong.
pub fn regex(pattern: &str) -> Result<regex::Regex, Problem> {
    regex::Regex::new(pattern).map_err(|error| no_regex(pattern, &error))
}

/// The same for bytes of any kind.
pub fn bytes_regex(pattern: &str) -> Result<regex::bytes::Regex, Problem> {
    regex::bytes::Regex::new(pattern).map_err(|error| no_regex(pattern, &error))
}

fn no_regex(pattern: &str, error: &regex::Error) -> Problem {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let what = last.strip_prefix("error: ").unwrap_or(last);
    Problem::new(format!("`{pattern}` is not a regular expression: {what}"))
}

fn methods(table: &mut Table<'_, '_>) -> Vec<Method> {
    let check = table.check;
    let list = table.read("methods", |value| value.nonempty_list("leave it out for any method"));
    let read = |value: &Value<'_>| check.accept(value.place, method(value));
    list.unwrap_or_default().iter().filter_map(read).collect()
}

pub fn method(value: &Value<'_>) -> Result<Method, Problem> {
    let written = value.text()?;
    let upper = written.to_ascii_uppercase();
    let problem = || Problem::new(format!("`{written}` is not a method"));
    if upper != written {
        return Err(problem().help(format!("methods are upper case: \"{upper}\"")));
    }
    Method::from_bytes(written.as_bytes()).map_err(|_| problem().help("\"GET\", \"POST\", …"))
}

/// A table of name → value, where the value `"*"` stands for any.
fn conditions<N: PartialEq>(
    table: &mut Table<'_, '_>,
    key: &'static str,
    name: impl Fn(&Entry<'_>) -> Result<N, Problem>,
) -> Vec<(N, ValueMatch)> {
    let check = table.check;
    let mut conditions: Vec<(N, ValueMatch)> = Vec::new();
    for entry in table.read(key, Value::entries).unwrap_or_default() {
        let name = check.accept(entry.key_place, name(&entry));
        let value = check.accept(entry.value.place, entry.value.text());
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if conditions.iter().any(|(other, _)| *other == name) {
            check.report(entry.key_place, Problem::new(format!("`{}` stands in `{key}` twice", entry.key)));
        }
        let value = if value == "*" { ValueMatch::Present } else { ValueMatch::Exact(value.to_owned()) };
        conditions.push((name, value));
    }
    conditions
}

pub fn header_name(entry: &Entry<'_>) -> Result<HeaderName, Problem> {
    HeaderName::try_from(entry.key).map_err(|_| {
        Problem::new(format!("`{}` is not the name of a header", entry.key)).help("letters, digits and `-`")
    })
}

pub fn cookie_name(entry: &Entry<'_>) -> Result<String, Problem> {
    // The same characters as in a header's name (RFC 6265 4.1.1 and RFC 9110 5.1: a token).
    HeaderName::try_from(entry.key).map(|_| entry.key.to_owned()).map_err(|_| {
        Problem::new(format!("`{}` is not the name of a cookie", entry.key)).help("letters, digits, `-` and `_`")
    })
}
