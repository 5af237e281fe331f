//! `health = {...}` of an upstream: how its endpoints are probed.

use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method};

use super::check::{Check, Problem};
use super::table::Table;
use super::value::Value;
use super::{action, matcher};
use crate::config::{Dialogue, HealthCheck, HttpProbe, Pattern, Probe, UpstreamProtocol};

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
const RISE: u64 = 2;
const FALL: u64 = 3;
const JITTER: f64 = 0.1;
const SUCCESS: (u16, u16) = (200, 299);

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Grpc,
    Tcp,
    Tls,
}

const KINDS: [(&str, Kind); 4] = [("http", Kind::Http), ("grpc", Kind::Grpc), ("tcp", Kind::Tcp), ("tls", Kind::Tls)];
const OF_HTTP: [&str; 4] = ["method", "path", "headers", "body"];

/// `tls` and `protocol` are the upstream's.
pub fn health(check: &Check<'_>, value: &Value<'_>, tls: bool, protocol: UpstreamProtocol) -> Option<HealthCheck> {
    let mut table = value.table(check, "in `health`")?;
    let kind_value = table.take("type");
    let kind = match &kind_value {
        // What goes with an unknown one, nobody knows.
        Some(written) => {
            check.accept(written.place, written.choice(&KINDS).and_then(|kind| fits(kind, tls, protocol)))?
        }
        None => Kind::Http,
    };
    let probe = match kind {
        Kind::Http => http(&mut table),
        Kind::Grpc => Some(grpc(&mut table)),
        Kind::Tcp => Some(Probe::Tcp(dialogue(&mut table, "`type = \"tcp\"`"))),
        Kind::Tls => Some(Probe::Tls(dialogue(&mut table, "`type = \"tls\"`"))),
    };
    let interval = table.duration("interval", INTERVAL);
    let interval_down = table.duration("interval-down", interval);
    let timeout = table.duration("timeout", TIMEOUT);
    let rise = table.integer("rise", RISE, 1..=1000) as u32;
    let fall = table.integer("fall", FALL, 1..=1000) as u32;
    let jitter = table.number("jitter", JITTER, 0.0..=1.0);
    table.finish();
    Some(HealthCheck { probe: probe?, interval, interval_down, timeout, rise, fall, jitter })
}

fn fits(kind: Kind, tls: bool, protocol: UpstreamProtocol) -> Result<Kind, Problem> {
    match kind {
        Kind::Tls if !tls => Err(Problem::new("`type = \"tls\"` needs the `tls` of the upstream")
            .help("write `tls = true`, or `type = \"tcp\"` to try a connection only")),
        Kind::Grpc if protocol == UpstreamProtocol::Http1 => {
            Err(Problem::new("`type = \"grpc\"` does not go with `protocol = \"http1\"`")
                .help("gRPC is spoken over HTTP/2: `protocol = \"h2\"`"))
        }
        _ => Ok(kind),
    }
}

fn http(table: &mut Table<'_, '_>) -> Option<Probe> {
    let path_value = table.take("path");
    if path_value.is_none() {
        let help = "write `path = \"/healthz\"`, or `type = \"tcp\"` to try a connection only";
        table.report(Problem::new("missing key `path` in `health`").help(help));
    }
    let path = path_value.and_then(|value| table.check.accept(value.place, path(&value)));
    let method = table.read("method", matcher::method).unwrap_or(Method::GET);
    let host = table.read("host", host);
    let headers = table.take("headers").map_or_else(Vec::new, |value| headers(table.check, &value));
    let expect = table.take("expect").map_or_else(|| vec![SUCCESS], |value| expect(table.check, &value));
    let body = table.read("body", |value| {
        if method == Method::HEAD {
            return Err(Problem::new("there is no `body` to look into with `method = \"HEAD\"`"));
        }
        pattern(value)
    });
    table.refuse(&["service", "send"], "an HTTP check");
    Some(Probe::Http(Box::new(HttpProbe { method, path: path?, host, headers, expect, body })))
}

fn grpc(table: &mut Table<'_, '_>) -> Probe {
    let service = table.text("service").unwrap_or_default().to_owned();
    let host = table.read("host", host);
    table.refuse(&[&OF_HTTP[..], &["expect", "send"]].concat(), "`type = \"grpc\"`");
    Probe::Grpc { service, host }
}

fn dialogue(table: &mut Table<'_, '_>, why: &str) -> Dialogue {
    let send = table.read("send", bytes).unwrap_or_default();
    let expect = table.read("expect", pattern);
    table.refuse(&[&OF_HTTP[..], &["host", "service"]].concat(), why);
    Dialogue { send, expect }
}

/// A path with or without a query, as it is sent.
pub fn path(value: &Value<'_>) -> Result<String, Problem> {
    let written = value.text()?;
    if written.starts_with('/') && !written.contains('#') && PathAndQuery::try_from(written).is_ok() {
        return Ok(written.to_owned());
    }
    Err(Problem::new(format!("`{written}` is not a path")).help("begin with `/`, percent-encoded: \"/healthz\""))
}

fn host(value: &Value<'_>) -> Result<String, Problem> {
    let written = value.text()?;
    match Authority::try_from(written) {
        Ok(authority) if !authority.as_str().contains('@') => Ok(written.to_owned()),
        _ => Err(Problem::new(format!("`{written}` is not a host")).help("what the Host header says: \"example.com\"")),
    }
}

fn headers(check: &Check<'_>, value: &Value<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let entries = check.accept(value.place, value.entries()).unwrap_or_default();
    let accepted = entries.iter().filter_map(|entry| {
        let (name, header) = action::header(check, entry)?;
        if name == HOST {
            let problem =
                Problem::new("`host` is a key of its own").help("write `host = \"example.com\"` beside `headers`");
            check.report(entry.key_place, problem);
            return None;
        }
        Some((name, header))
    });
    accepted.collect()
}

/// Text as it is sent, or `hex:` and bytes.
fn bytes(value: &Value<'_>) -> Result<Vec<u8>, Problem> {
    let written = value.text()?;
    let bytes = match written.strip_prefix("hex:") {
        Some(digits) => unhex(digits).ok_or_else(|| {
            Problem::new(format!("`{written}` is not a row of bytes")).help("two digits each: \"hex:00ff0d0a\"")
        })?,
        None => written.as_bytes().to_vec(),
    };
    if bytes.is_empty() {
        return Err(Problem::new(format!("`{}` is empty", value.name)).help("leave it out"));
    }
    Ok(bytes)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair.first()?)? * 16 + digit(pair.get(1)?)?) as u8);
    digits.chunks(2).map(pair).collect()
}

/// Bytes, or `~` and a regular expression.
fn pattern(value: &Value<'_>) -> Result<Pattern, Problem> {
    let written = value.text()?;
    let Some(regex) = written.strip_prefix('~').map(str::trim_start) else { return bytes(value).map(Pattern::Bytes) };
    matcher::bytes_regex(regex).map(Pattern::Regex)
}

fn expect(check: &Check<'_>, value: &Value<'_>) -> Vec<(u16, u16)> {
    let list = match value.as_list() {
        Some(_) => check.accept(value.place, value.nonempty_list("200, \"200-299\", or a list of them")),
        None => Some(vec![value.clone()]),
    };
    let list = list.unwrap_or_default();
    list.iter().filter_map(|value| check.accept(value.place, statuses(value))).collect()
}

fn statuses(value: &Value<'_>) -> Result<(u16, u16), Problem> {
    if value.is_integer() {
        return value.integer(100..=599).map(|status| (status as u16, status as u16));
    }
    let written = value.as_text().ok_or_else(|| value.mismatch("a status, or a range of them"))?;
    let (low, high) = written.split_once('-').unwrap_or((written, written));
    match (low.trim().parse(), high.trim().parse()) {
        (Ok(low), Ok(high)) if 100 <= low && low <= high && high <= 599 => Ok((low, high)),
        _ => Err(Problem::new(format!("`{written}` is not a range of statuses"))
            .help("100 to 599: 200, \"200-299\", [200, \"300-399\"]")),
    }
}
