//! What is put before the plugin: endpoints, a request, what was tried, a response.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;

use super::super::check::{Check, Problem};
use super::super::name::suggest;
use super::super::table::Table;
use super::super::value::{Entry, Value};
use super::super::{endpoint, matcher};
use super::message;
use crate::config::{CaseEndpoint, Head, PluginKind, RequestGiven, ResponseGiven, Step};
use crate::endpoint::EndpointState;
use crate::plugin::{Exchange, Protocol};

const STATES: [(&str, EndpointState); 3] = [
    ("healthy", EndpointState::Healthy),
    ("unhealthy", EndpointState::Unhealthy),
    ("draining", EndpointState::Draining),
];
const PROTOCOLS: [(&str, Protocol); 4] =
    [("http1", Protocol::Http1), ("http2", Protocol::Http2), ("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
/// As far as the host's own numbers are exact.
const LONGEST_LATENCY_US: u64 = 16_000_000;

/// `known` are the addresses of the endpoints there were before, and is told of these.
pub fn step(
    table: &mut Table<'_, '_>,
    kind: PluginKind,
    endpoints: &Arc<[CaseEndpoint]>,
    known: &mut Vec<String>,
) -> Option<Step> {
    let check = table.check;
    let before = check.errors();
    known.extend(endpoints.iter().map(|endpoint| endpoint.address.clone()));
    let request = table.take("request").and_then(|value| request(check, &value, kind)).unwrap_or_default();
    let (mut tried, mut candidates, mut response) = (Vec::new(), None, None);
    match kind {
        PluginKind::Balancer => {
            table.refuse(&["response"], "a balancer: only a filter sees responses");
            tried = table.take("tried").and_then(|value| addresses(check, &value, known)).unwrap_or_default();
            let here: Vec<String> = endpoints.iter().map(|endpoint| endpoint.address.clone()).collect();
            candidates = table.take("candidates").and_then(|value| addresses(check, &value, &here));
        }
        PluginKind::HttpFilter => {
            table.refuse(&["endpoints", "tried", "candidates"], "a filter: only a balancer chooses endpoints");
            response = table.take("response").and_then(|value| self::response(check, &value));
        }
    }
    let endpoints = Arc::clone(endpoints);
    (check.errors() == before).then_some(Step { endpoints, tried, candidates, request, response })
}

pub fn endpoints(check: &Check<'_>, value: &Value<'_>) -> Option<Arc<[CaseEndpoint]>> {
    let list = check.accept(value.place, value.list())?;
    let mut seen = HashMap::new();
    let mut one = |value: &Value<'_>| {
        if value.as_text().is_some() {
            endpoint::address(check, value, &mut seen)?;
            return Some(CaseEndpoint::new(value.as_text()?));
        }
        if !value.is_table() {
            return check.accept(value.place, Err(value.mismatch("an address, or a table with `address`")));
        }
        let mut table = value.table(check, "in an endpoint")?;
        let address = table.require("address", "\"10.0.0.1:80\"");
        let measured = detailed(&mut table);
        table.finish();
        let address = address?;
        endpoint::address(check, &address, &mut seen)?;
        Some(CaseEndpoint { address: address.as_text()?.to_owned(), ..measured })
    };
    list.iter().map(&mut one).collect::<Vec<_>>().into_iter().collect()
}

fn detailed(table: &mut Table<'_, '_>) -> CaseEndpoint {
    let check = table.check;
    let labels = table.read("labels", Value::entries).unwrap_or_default();
    let label = |label: &Entry<'_>| {
        let text = check.accept(label.value.place, label.value.text())?;
        Some((label.key.to_owned(), text.to_owned()))
    };
    CaseEndpoint {
        weight: table.integer("weight", 1, 1..=65_535) as u32,
        labels: labels.iter().filter_map(label).collect(),
        state: table.read("state", |value| value.choice(&STATES)).unwrap_or(EndpointState::Healthy),
        active: table.integer("active", 0, 0..=u64::from(u32::MAX)) as u32,
        latency_us: table.integer("latency-us", 0, 0..=LONGEST_LATENCY_US) as u32,
        error_rate: table.read("error-rate", share).unwrap_or(0),
        cpu: table.read("cpu", share),
        memory: table.read("memory", share),
        ..CaseEndpoint::new("")
    }
}

/// In ten-thousandths.
fn share(value: &Value<'_>) -> Result<u32, Problem> {
    let share = value.number(0.0..=1.0).map_err(|problem| problem.help("0.25 is 25 %"))?;
    Ok((share * 10_000.0).round() as u32)
}

fn addresses(check: &Check<'_>, value: &Value<'_>, known: &[String]) -> Option<Vec<String>> {
    let list = check.accept(value.place, value.list())?;
    list.iter().map(|value| check.accept(value.place, address(value, known))).collect()
}

/// One of the endpoints'.
pub fn address(value: &Value<'_>, known: &[String]) -> Result<String, Problem> {
    let written = value.text()?;
    if known.iter().any(|address| address == written) {
        return Ok(written.to_owned());
    }
    let problem = Problem::new(format!("no endpoint `{written}`"));
    Err(if known.is_empty() {
        problem.help(format!("this case has no endpoints; write `endpoints = [\"{written}\"]`"))
    } else {
        problem.help(suggest(written, "endpoints", known.iter().map(String::as_str)))
    })
}

fn request(check: &Check<'_>, value: &Value<'_>, kind: PluginKind) -> Option<RequestGiven> {
    let mut table = value.table(check, "in a request")?;
    let default = RequestGiven::default();
    let client = table.read("client", client).unwrap_or(default.client);
    let protocol = table.read("protocol", |value| protocol(value, kind)).unwrap_or(default.protocol);
    let tls = table.flag("tls", false);
    let sni = table.text("sni").map(str::to_ascii_lowercase);
    let head = if matches!(protocol, Protocol::Tcp | Protocol::Udp) {
        table.refuse(
            &["method", "path", "host", "headers", "cookies", "notes"],
            "`tcp` and `udp`, which have no requests",
        );
        None
    } else {
        Some(head(&mut table))
    };
    table.finish();
    Some(RequestGiven { client, protocol, tls, sni, head })
}

fn client(value: &Value<'_>) -> Result<SocketAddr, Problem> {
    let written = value.text()?;
    let help = "an IP address and a port: \"192.0.2.7:40000\", \"[2001:db8::7]:40000\"";
    written.parse().map_err(|_| Problem::new(format!("`{written}` is not the address of a client")).help(help))
}

fn protocol(value: &Value<'_>, kind: PluginKind) -> Result<Protocol, Problem> {
    let protocol = value.choice(&PROTOCOLS)?;
    if kind == PluginKind::HttpFilter && matches!(protocol, Protocol::Tcp | Protocol::Udp) {
        return Err(Problem::new("a filter sees HTTP only").help("known: `http1`, `http2`"));
    }
    Ok(protocol)
}

fn head(table: &mut Table<'_, '_>) -> Head {
    let check = table.check;
    let default = Head::default();
    let method = table.read("method", matcher::method).unwrap_or(default.method);
    let path = table.read("path", message::path).unwrap_or(default.path);
    let host = table.take("host").and_then(|value| message::header_value(check, &value)).unwrap_or(default.host);
    let mut headers = table.take("headers").map(|value| message::headers(check, &value)).unwrap_or_default();
    headers.extend(table.take("cookies").and_then(|value| message::cookies(check, &value)));
    let notes = table.read("notes", notes).unwrap_or_default();
    Head { method, path, host, headers, notes }
}

/// As many as the host keeps.
fn notes(value: &Value<'_>) -> Result<Vec<(String, String)>, Problem> {
    let note = |entry: &Entry<'_>| Ok((entry.key.to_owned(), entry.value.text()?.to_owned()));
    let notes: Vec<(String, String)> = value.entries()?.iter().map(note).collect::<Result<_, _>>()?;
    let fits = |(key, note): &(String, String)| key.len() + note.len() <= Exchange::MAX_NOTE_BYTES;
    if notes.len() > Exchange::MAX_NOTES || !notes.iter().all(fits) {
        let (most, bytes) = (Exchange::MAX_NOTES, Exchange::MAX_NOTE_BYTES);
        return Err(Problem::new(format!(
            "`{}` holds more than {most} notes, or one of more than {bytes} bytes",
            value.name
        )));
    }
    Ok(notes)
}

fn response(check: &Check<'_>, value: &Value<'_>) -> Option<ResponseGiven> {
    let mut table = value.table(check, "in a response")?;
    let status = table.integer("status", 200, 101..=599) as u16;
    let headers = table.take("headers").map(|value| message::headers(check, &value)).unwrap_or_default();
    table.finish();
    Some(ResponseGiven { status: StatusCode::from_u16(status).unwrap_or_default(), headers })
}
