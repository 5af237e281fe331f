//! `endpoints = [...]`: where an upstream's servers are.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use super::check::{Check, Problem};
use super::name::is_host_name;
use super::table::Table;
use super::value::Value;
use crate::config::{EndpointConfig, Place, split_host_port};

/// How host names become addresses: by the system, or by nothing in tests.
pub type Resolve = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

pub fn system_resolver(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

pub fn endpoints(table: &mut Table<'_, '_>) -> Option<Vec<EndpointConfig>> {
    let check = table.check;
    let value = table.require("endpoints", "[\"127.0.0.1:5001\"]")?;
    let help = "write at least one: `endpoints = [\"127.0.0.1:5001\"]`";
    let list = check.accept(value.place, value.nonempty_list(help))?;
    let mut seen = HashMap::new();
    Some(list.iter().filter_map(|value| endpoint(check, value, &mut seen)).collect())
}

fn endpoint(check: &Check<'_>, value: &Value<'_>, seen: &mut HashMap<String, Place>) -> Option<EndpointConfig> {
    if value.as_text().is_some() {
        let address = address(check, value, seen)?;
        return Some(plain(value, address));
    }
    if !value.is_table() {
        return check.accept(value.place, Err(value.mismatch("an address, or a table with `address`")));
    }
    let mut table = value.table(check, "in an endpoint")?;
    let written = table.require("address", "\"127.0.0.1:5001\"");
    let weight = table.integer("weight", 1, 1..=65_535) as u32;
    let labels = table.read("labels", Value::entries).unwrap_or_default();
    let labels = labels.iter().filter_map(|label| {
        let text = check.accept(label.value.place, label.value.text())?;
        Some((label.key.to_owned(), text.to_owned()))
    });
    let labels = labels.collect();
    let draining = table.flag("drain", false);
    let tier = tier(&mut table);
    table.finish();
    let written = written?;
    let address = address(check, &written, seen)?;
    Some(EndpointConfig { weight, labels, draining, tier, ..plain(&written, address) })
}

fn tier(table: &mut Table<'_, '_>) -> u32 {
    let backup = table.take("backup");
    if table.has("tier")
        && let Some(backup) = &backup
    {
        let problem = Problem::new("`backup` does not go with `tier`").help("`backup = true` is `tier = 1`");
        table.check.report(backup.place, problem);
    }
    let is_backup = backup.and_then(|value| table.check.accept(value.place, value.flag())).unwrap_or(false);
    table.integer("tier", is_backup.into(), 0..=15) as u32
}

fn plain(written: &Value<'_>, address: SocketAddr) -> EndpointConfig {
    let name = written.as_text().unwrap_or_default().to_owned();
    EndpointConfig { name, address, weight: 1, labels: Vec::new(), draining: false, tier: 0 }
}

pub fn address(check: &Check<'_>, value: &Value<'_>, seen: &mut HashMap<String, Place>) -> Option<SocketAddr> {
    let (host, port) = check.accept(value.place, host_and_port(value))?;
    let ip = host.parse::<IpAddr>().ok();
    let key = ip.map_or_else(|| format!("{}:{port}", host.to_lowercase()), |ip| SocketAddr::new(ip, port).to_string());
    if let Some(first) = seen.insert(key.clone(), value.place) {
        let message = format!("duplicate endpoint: `{key}` is also in line {}", check.line(first));
        let help = "remove one; `weight` gives an endpoint a larger share";
        check.report(value.place, Problem::new(message).help(help));
        return None;
    }
    match ip {
        Some(ip) => Some(SocketAddr::new(ip, port)),
        None => check.accept(value.place, resolve(check, host, port)),
    }
}

fn host_and_port<'t>(value: &Value<'t>) -> Result<(&'t str, u16), Problem> {
    let written = value.text()?;
    let wrong = || Problem::new(format!("`{written}` is not the address of an endpoint"));
    let example = "a host and a port: \"127.0.0.1:5001\", \"[::1]:5001\", \"backend.internal:80\"";
    if written.contains("://") {
        return Err(wrong().help(format!("{example}; `tls = true` in the upstream stands for https")));
    }
    if let Some((_, port)) = written.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_err()) {
        let is_bare_v6 = written.parse::<IpAddr>().is_ok();
        if !is_bare_v6 && !port.ends_with(']') {
            return Err(Problem::new(format!("`{port}` is not a port")).help("1 to 65535"));
        }
    }
    let has_port = written.rsplit_once(':').is_some() && written.parse::<IpAddr>().is_err() && !written.ends_with(']');
    if !has_port {
        return Err(Problem::new(format!("`{written}` has no port")).help(example));
    }
    match split_host_port(written) {
        Some((_, 0)) => Err(Problem::new("`0` is not a port").help("1 to 65535")),
        Some((host, port)) if host.parse::<IpAddr>().is_ok() || is_host_name(host) => Ok((host, port)),
        _ => Err(wrong().help(example)),
    }
}

fn resolve(check: &Check<'_>, host: &str, port: u16) -> Result<SocketAddr, Problem> {
    let problem = |why: String| {
        Problem::new(format!("cannot resolve `{host}`: {why}"))
            .help("a name that this machine can look up, or an IP address")
    };
    let found = (check.resolve)(host, port).map_err(|error| problem(error.to_string()))?;
    found.first().copied().ok_or_else(|| problem("it has no address".to_owned()))
}
