//! A first look at a configuration, before it can be checked: the checks need the log, the cache of
//! compiled plugins, and the user as whom they are made. What cannot be read here is reported by
//! the checks.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::LogFormat;

pub struct FirstLook {
    pub log_level: String,
    pub log_format: LogFormat,
    pub cache: Option<PathBuf>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub workers: usize,
    /// What will be bound.
    pub addresses: Vec<Address>,
}

pub struct Address {
    pub at: SocketAddr,
    pub udp: bool,
    pub admin: bool,
}

pub fn peek(path: &Path) -> Option<FirstLook> {
    let text = std::fs::read_to_string(path).ok()?;
    let table: toml::Table = toml::from_str(&text).ok()?;
    let log = |key: &str| table.get("log")?.get(key)?.as_str();
    let text = |key: &str| table.get(key)?.as_str().map(str::to_owned);
    let workers = table.get("workers").and_then(toml::Value::as_integer).and_then(|count| count.try_into().ok());
    let folder = path.parent().unwrap_or(Path::new(""));
    Some(FirstLook {
        log_level: log("level").unwrap_or("info").to_owned(),
        log_format: if log("format") == Some("json") { LogFormat::Json } else { LogFormat::Text },
        cache: text("cache").map(|cache| folder.join(cache)),
        user: text("user"),
        group: text("group"),
        workers: workers.filter(|count| (1..=1024).contains(count)).unwrap_or_else(super::cores),
        addresses: addresses(&table),
    })
}

fn addresses(table: &toml::Table) -> Vec<Address> {
    let of = |value: &toml::Value, admin: bool| {
        let address = value.get("address")?.as_str()?.parse().ok()?;
        let udp = value.get("protocol").and_then(toml::Value::as_str) == Some("udp");
        Some(Address { at: address, udp, admin })
    };
    let listeners = table.get("listener").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    let admin = table.get("admin").and_then(|value| of(value, true));
    listeners.iter().filter_map(|value| of(value, false)).chain(admin).collect()
}
