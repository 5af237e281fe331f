//! The top level of the file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Check, Problem};
use super::table::Table;
use super::units;
use super::value::{Entry, Value};
use super::{account, listener, overlap, store, upstream};
use crate::config::{Config, Listener, Log, LogFormat, Place, Upgrade};

const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

pub fn config(mut table: Table<'_, '_>, plugins: Option<PathBuf>) -> Config {
    let check = table.check;
    let workers = table.read("workers", |value| value.integer(1..=1024));
    table.read("plugins", |value| folder_exists(check, value));
    let cache = table.text("cache").map(|written| check.path(written));
    let admin = table.take("admin").and_then(|value| admin(check, &value));
    let log = table.take("log").and_then(|value| log(check, &value));
    let drain_timeout = table.read("drain-timeout", units::duration_or_zero).unwrap_or(DRAIN_TIMEOUT);
    let drain_delay = table.read("drain-delay", units::duration_or_zero).unwrap_or_default();
    let upgrade = table.take("upgrade").and_then(|value| upgrade(check, &value, drain_timeout));
    let (user, group) = account::accounts(&mut table);
    let upstreams = upstream_entries(&mut table);
    // Listeners name upstreams that may stand below them.
    check.name_upstreams(upstreams.iter().map(|entry| entry.key.to_owned()).collect());
    let listeners = listeners(&mut table);
    let upstreams = upstreams.iter().filter_map(|entry| upstream::upstream(check, entry)).collect();
    let plugin_uses = check.take_uses();
    let stores = store::stores(&mut table, &plugin_uses);
    table.finish();
    overlap::report(check, admin, &listeners);
    Config {
        workers: workers.map_or_else(crate::config::cores, |count| count as usize),
        plugins,
        cache,
        admin: admin.map(|(address, _)| address),
        log: log.unwrap_or_else(default_log),
        drain_timeout,
        drain_delay,
        upgrade,
        user,
        group,
        listeners,
        upstreams,
        uses: plugin_uses,
        stores,
    }
}

fn folder_exists(check: &Check<'_>, value: &Value<'_>) -> Result<(), Problem> {
    let path = check.path(value.text()?);
    match std::fs::read_dir(&path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::new(format!("cannot read the plugins folder {}: {error}", path.display()))
            .help("create it; without the key, only the built-in plugins are there")),
    }
}

fn admin(check: &Check<'_>, value: &Value<'_>) -> Option<(SocketAddr, Place)> {
    let mut table = value.table(check, "in `[admin]`")?;
    let address = table.require("address", "\"127.0.0.1:9901\"");
    table.finish();
    let address = address?;
    Some((check.accept(address.place, listener::address(&address))?, address.place))
}

fn upgrade(check: &Check<'_>, value: &Value<'_>, drain_timeout: Duration) -> Option<Upgrade> {
    let mut table = value.table(check, "in `[upgrade]`")?;
    let socket = table.require("socket", "\"/run/jackfield/upgrade.sock\"");
    let drain_timeout = table.read("drain-timeout", units::duration_or_zero).unwrap_or(drain_timeout);
    table.finish();
    let socket = socket?;
    Some(Upgrade { socket: check.accept(socket.place, socket_path(check, &socket))?, drain_timeout })
}

fn socket_path(check: &Check<'_>, value: &Value<'_>) -> Result<PathBuf, Problem> {
    // `sun_path` has 108 bytes (unix(7)); the name that it is bound under first is longer.
    const LONGEST: usize = 90;
    let path = check.path(value.text()?);
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(Problem::new(format!(
            "`{}` is a path of {length} bytes, and a Unix socket's may have {LONGEST}",
            value.name
        ))
        .help("a shorter one: \"/run/jackfield/upgrade.sock\""));
    }
    if path.file_name().is_none() || path.is_dir() {
        return Err(Problem::new(format!("`{}` names no file: {}", value.name, path.display()))
            .help("the socket's own name, in a folder that belongs to the user who runs jackfield"));
    }
    Ok(path)
}

fn default_log() -> Log {
    Log { level: "info".to_owned(), format: LogFormat::Text, access: true }
}

fn log(check: &Check<'_>, value: &Value<'_>) -> Option<Log> {
    let default = default_log();
    let mut table = value.table(check, "in `[log]`")?;
    let log = Log {
        level: table.read("level", level).unwrap_or(default.level),
        format: table
            .read("format", |value| value.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]))
            .unwrap_or(default.format),
        access: table.flag("access", default.access),
    };
    table.finish();
    Some(log)
}

/// The part of `tracing`'s filter syntax that is worth having: levels, and levels of targets.
fn level(value: &Value<'_>) -> Result<String, Problem> {
    let written = value.text()?;
    let part = |part: &str| {
        let (target, level) = part.trim().split_once('=').unwrap_or(("", part.trim()));
        target.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:.-".contains(&b))
            && ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
    };
    if written.split(',').all(part) {
        return Ok(written.to_owned());
    }
    Err(Problem::new(format!("`{written}` is not a log level"))
        .help("off, error, warn, info, debug or trace, or a list with targets: \"info,jackfield=debug\""))
}

fn upstream_entries<'t>(table: &mut Table<'_, 't>) -> Vec<Entry<'t>> {
    let help = "write `[upstream.NAME]` for each upstream";
    table.read("upstream", |value| value.entries().map_err(|problem| problem.help(help))).unwrap_or_default()
}

fn listeners(table: &mut Table<'_, '_>) -> Vec<Listener> {
    let help = "write `[[listener]]`, then `address = \"0.0.0.0:8080\"` and `upstream` or `routes`";
    let check = table.check;
    let written = table.has("listener");
    let list = table.read("listener", |value| value.list().map_err(|problem| problem.help(help)));
    if !written || list.as_ref().is_some_and(Vec::is_empty) {
        table.report(Problem::new("no listener: nothing would be served").help(help));
    }
    let list = list.unwrap_or_default();
    list.iter().enumerate().filter_map(|(index, value)| listener::listener(check, value, index)).collect()
}
