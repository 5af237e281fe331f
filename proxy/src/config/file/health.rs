//! `health = {...}` of an upstream: how its endpoints are probed.

use std::time::Duration;

use http::uri::{Authority, PathAndQuery};

use super::check::{Check, Problem};
use super::table::Table;
use super::value::Value;
use crate::config::{HealthCheck, Probe};

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
const RISE: u64 = 2;
const FALL: u64 = 3;
const SUCCESS: (u16, u16) = (200, 299);

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
}

pub fn health(check: &Check<'_>, value: &Value<'_>) -> Option<HealthCheck> {
    let mut table = value.table(check, "in `health`")?;
    let kind = match table.take("type") {
        Some(written) => check.accept(written.place, kind(&written)),
        None => Some(Kind::Http),
    };
    let probe = match kind {
        Some(Kind::Tcp) => {
            table.refuse(&["path", "host", "expect"], "`type = \"tcp\"`");
            Some(Probe::Tcp)
        }
        Some(Kind::Http) => http(&mut table),
        // What goes with it, nobody knows.
        None => return None,
    };
    let interval = table.duration("interval", INTERVAL);
    let timeout = table.duration("timeout", TIMEOUT);
    let rise = table.integer("rise", RISE, 1..=1000) as u32;
    let fall = table.integer("fall", FALL, 1..=1000) as u32;
    table.finish();
    Some(HealthCheck { probe: probe?, interval, timeout, rise, fall })
}

fn kind(value: &Value<'_>) -> Result<Kind, Problem> {
    value.choice(&[("http", Kind::Http), ("tcp", Kind::Tcp)])
}

fn http(table: &mut Table<'_, '_>) -> Option<Probe> {
    let path_value = table.take("path");
    if path_value.is_none() {
        let help = "write `path = \"/healthz\"`, or `type = \"tcp\"` to try a connection only";
        table.report(Problem::new("missing key `path` in `health`").help(help));
    }
    let path = path_value.and_then(|value| table.check.accept(value.place, path(&value)));
    let host = table.read("host", host);
    let expect = table.take("expect").map_or_else(|| vec![SUCCESS], |value| expect(table.check, &value));
    Some(Probe::Http { path: path?, host, expect })
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
