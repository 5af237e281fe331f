//! A script as a case: what `config` reads back as the same.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::shrink::Script;
use crate::config::{CaseEndpoint, Head, PluginKind, PluginLimits, RequestGiven, ResponseGiven, Step};
use crate::endpoint::EndpointState;
use crate::plugin::Protocol;

/// `name_kind`: the plugin is of both kinds.
pub fn case(name: &str, script: &Script, name_kind: bool) -> String {
    let Some((last, before)) = script.steps.split_last() else { return String::new() };
    let setup = &script.setup;
    let mut out = format!("[[case]]\nname = {}\n", quoted(name));
    if name_kind {
        let kind = if setup.kind == PluginKind::Balancer { "balancer" } else { "http-filter" };
        line(&mut out, "kind", &quoted(kind));
    }
    if setup.settings != "{}" {
        let settings = serde_json::from_str(&setup.settings).unwrap_or_default();
        line(&mut out, "settings", &json(&settings));
    }
    if !setup.grants.is_empty() {
        line(&mut out, "grants", &list(setup.grants.iter().map(|grant| quoted(&grant.to_string()))));
    }
    if let Some(then) = &setup.then {
        line(&mut out, "then", &quoted(then));
    }
    if setup.kind == PluginKind::Balancer {
        line(&mut out, "endpoints", &endpoints(&last.endpoints));
    }
    step(&mut out, last);
    for earlier in before {
        out.push_str("[[case.before]]\n");
        if !Arc::ptr_eq(&earlier.endpoints, &last.endpoints) {
            line(&mut out, "endpoints", &endpoints(&earlier.endpoints));
        }
        step(&mut out, earlier);
    }
    out
}

/// What stands at the top of the file, when it is not the default.
pub fn limits(limits: PluginLimits) -> String {
    let default = PluginLimits::default();
    let mut out = String::new();
    if limits.deadline != default.deadline {
        line(&mut out, "deadline", &quoted(&format!("{}ms", limits.deadline.as_millis())));
    }
    if limits.memory != default.memory {
        line(&mut out, "memory", &limits.memory.to_string());
    }
    out
}

fn step(out: &mut String, step: &Step) {
    if !step.tried.is_empty() {
        line(out, "tried", &list(step.tried.iter().map(|address| quoted(address))));
    }
    if let Some(candidates) = &step.candidates {
        line(out, "candidates", &list(candidates.iter().map(|address| quoted(address))));
    }
    if step.request != RequestGiven::default() {
        line(out, "request", &request(&step.request));
    }
    if let Some(given) = &step.response {
        line(out, "response", &response(given));
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

fn endpoints(set: &[CaseEndpoint]) -> String {
    if set.is_empty() {
        return "[]".to_owned();
    }
    let rows: Vec<String> = set.iter().map(|endpoint| format!("  {},\n", self::endpoint(endpoint))).collect();
    format!("[\n{}]", rows.concat())
}

fn endpoint(endpoint: &CaseEndpoint) -> String {
    let plain = CaseEndpoint::new(&endpoint.address);
    if *endpoint == plain {
        return quoted(&endpoint.address);
    }
    let mut pairs = vec![("address", quoted(&endpoint.address))];
    let mut add = |key, differs: bool, value: String| {
        if differs {
            pairs.push((key, value));
        }
    };
    add("weight", endpoint.weight != 1, endpoint.weight.to_string());
    add("labels", !endpoint.labels.is_empty(), texts(&endpoint.labels));
    let state = match endpoint.state {
        EndpointState::Healthy => "healthy",
        EndpointState::Unhealthy => "unhealthy",
        EndpointState::Draining => "draining",
    };
    add("state", endpoint.state != plain.state, quoted(state));
    add("active", endpoint.active != 0, endpoint.active.to_string());
    add("latency-us", endpoint.latency_us != 0, endpoint.latency_us.to_string());
    add("error-rate", endpoint.error_rate != 0, share(endpoint.error_rate));
    add("cpu", endpoint.cpu.is_some(), share(endpoint.cpu.unwrap_or(0)));
    add("memory", endpoint.memory.is_some(), share(endpoint.memory.unwrap_or(0)));
    table(pairs)
}

fn share(ten_thousandths: u32) -> String {
    format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000)
}

fn request(given: &RequestGiven) -> String {
    let plain = RequestGiven::default();
    let mut pairs = Vec::new();
    if given.client != plain.client {
        pairs.push(("client", quoted(&given.client.to_string())));
    }
    if given.protocol != plain.protocol {
        let protocol = match given.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Http1 => "http1",
            Protocol::Http2 => "http2",
        };
        pairs.push(("protocol", quoted(protocol)));
    }
    if given.tls {
        pairs.push(("tls", "true".to_owned()));
    }
    pairs.extend(given.sni.iter().map(|sni| ("sni", quoted(sni))));
    if let Some(head) = &given.head {
        let plain = Head::default();
        if head.method != plain.method {
            pairs.push(("method", quoted(head.method.as_str())));
        }
        if head.path != plain.path {
            pairs.push(("path", quoted(head.path.as_str())));
        }
        if head.host != plain.host {
            pairs.push(("host", value(&head.host)));
        }
        if !head.headers.is_empty() {
            pairs.push(("headers", headers(&head.headers)));
        }
        if !head.notes.is_empty() {
            pairs.push(("notes", texts(&head.notes)));
        }
    }
    table(pairs)
}

fn response(given: &ResponseGiven) -> String {
    let mut pairs = vec![("status", given.status.as_u16().to_string())];
    if !given.headers.is_empty() {
        pairs.push(("headers", headers(&given.headers)));
    }
    table(pairs)
}

/// A name once, with all of its values.
fn headers(lines: &[(HeaderName, HeaderValue)]) -> String {
    let mut names: Vec<&HeaderName> = Vec::new();
    for (name, _) in lines {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let pair = |name: &&HeaderName| {
        let values: Vec<String> =
            lines.iter().filter(|(other, _)| other == *name).map(|(_, value)| self::value(value)).collect();
        let values = if let [only] = &values[..] { only.clone() } else { list(values.into_iter()) };
        format!("{} = {values}", key(name.as_str()))
    };
    format!("{{ {} }}", names.iter().map(pair).collect::<Vec<_>>().join(", "))
}

fn value(value: &HeaderValue) -> String {
    if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
        return quoted(text);
    }
    let digits: Vec<String> = value.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{ hex = \"{}\" }}", digits.concat())
}

fn texts(pairs: &[(String, String)]) -> String {
    let pair = |(name, text): &(String, String)| format!("{} = {}", key(name), quoted(text));
    format!("{{ {} }}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
}

fn table(pairs: Vec<(&str, String)>) -> String {
    if pairs.is_empty() {
        return "{}".to_owned();
    }
    let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// Settings came from TOML: there is no null among them.
fn json(value: &serde_json::Value) -> String {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => quoted(text),
        Json::Array(values) => list(values.iter().map(json)),
        Json::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Json::Object(entries) => {
            let pair = |(name, value): (&String, &Json)| format!("{} = {}", key(name), json(value));
            format!("{{ {} }}", entries.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A bare key where it can be one.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
