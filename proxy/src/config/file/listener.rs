//! `[[listener]]`: an address and what is served there.

use std::net::SocketAddr;
use std::time::Duration;

use super::check::{Check, Problem};
use super::table::Table;
use super::value::Value;
use super::{certificate, plugin, route, sni, units};
use crate::config::{HttpListener, Listener, Service, TcpListener, UdpListener, UpstreamIndex};

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const HTTP_IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const TCP_IDLE_TIMEOUT: Duration = Duration::from_mins(10);
const UDP_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_CONNECTIONS: usize = 65_536;
const MAX_SESSIONS: usize = 16_384;
/// Far above what a kernel can hold open.
const MANY: u64 = 100_000_000;
const MAX_HEADER_BYTES: usize = 64 << 10;
/// hyper takes no smaller buffer.
const LEAST_HEADER_BYTES: usize = 8 << 10;
const MOST_HEADER_BYTES: usize = 16 << 20;
const HTTP_ONLY: [&str; 4] = ["filters", "tls", "header-timeout", "max-header-bytes"];

#[derive(Clone, Copy)]
enum Protocol {
    Http,
    Tcp,
    Udp,
}

pub fn listener(check: &Check<'_>, value: &Value<'_>, index: usize) -> Option<Listener> {
    let mut table = value.table(check, "in a listener")?;
    let written = table.require("address", "\"0.0.0.0:8080\"");
    let protocol = table.read("protocol", |value| {
        value.choice(&[("http", Protocol::Http), ("tcp", Protocol::Tcp), ("udp", Protocol::Udp)])
    });
    let service = match protocol.unwrap_or(Protocol::Http) {
        Protocol::Http => Some(Service::Http(http(&mut table, &format!("listener[{index}]")))),
        Protocol::Tcp => Some(Service::Tcp(tcp(&mut table))),
        Protocol::Udp => udp(&mut table).map(Service::Udp),
    };
    table.finish();
    let written = written?;
    let address = check.accept(written.place, address(&written));
    Some(Listener { address: address?, service: service?, place: written.place })
}

/// Where a server listens; port 0 lets the kernel choose.
pub fn address(value: &Value<'_>) -> Result<SocketAddr, Problem> {
    let written = value.text()?;
    written.parse().map_err(|_| {
        Problem::new(format!("`{written}` is not an address to listen at"))
            .help("an IP address and a port: \"0.0.0.0:8080\", \"[::1]:8080\"")
    })
}

fn http(table: &mut Table<'_, '_>, label: &str) -> HttpListener {
    let check = table.check;
    table.refuse(&["max-sessions"], "`protocol = \"http\"`");
    some_destination(table);
    let tls = table.take("tls").and_then(|value| certificate::server_tls(check, &value));
    let filters = plugin::filters(table, label);
    let max_header_bytes =
        table.read("max-header-bytes", |value| units::size(value, LEAST_HEADER_BYTES..=MOST_HEADER_BYTES));
    HttpListener {
        tls,
        filters,
        routes: route::routes(table, label),
        header_timeout: table.duration("header-timeout", HEADER_TIMEOUT),
        idle_timeout: table.duration("idle-timeout", HTTP_IDLE_TIMEOUT),
        max_connections: max_connections(table),
        max_header_bytes: max_header_bytes.unwrap_or(MAX_HEADER_BYTES),
    }
}

fn tcp(table: &mut Table<'_, '_>) -> TcpListener {
    table.refuse(&HTTP_ONLY, "`protocol = \"tcp\"`");
    table.refuse(&["max-sessions"], "`protocol = \"tcp\"`");
    some_destination(table);
    TcpListener {
        upstream: upstream(table),
        sni: sni::routes(table),
        idle_timeout: table.duration("idle-timeout", TCP_IDLE_TIMEOUT),
        max_connections: max_connections(table),
    }
}

fn udp(table: &mut Table<'_, '_>) -> Option<UdpListener> {
    table.refuse(&HTTP_ONLY, "`protocol = \"udp\"`");
    table.refuse(&["routes", "max-connections"], "`protocol = \"udp\"`");
    if !table.has("upstream") {
        table.require("upstream", "\"NAME\"");
    }
    let upstream = upstream(table);
    let idle_timeout = table.duration("idle-timeout", UDP_IDLE_TIMEOUT);
    let max_sessions = table.count("max-sessions", MAX_SESSIONS, 1..=MANY);
    Some(UdpListener { upstream: upstream?, idle_timeout, max_sessions })
}

/// `routes` choose, and `upstream` takes what they leave.
fn some_destination(table: &Table<'_, '_>) {
    if !table.has("upstream") && !table.has("routes") {
        let problem = Problem::new("a listener needs `upstream` or `routes`, found neither");
        table.report(problem.help("write `upstream = \"NAME\"` to send everything there"));
    }
}

pub fn upstream(table: &mut Table<'_, '_>) -> Option<UpstreamIndex> {
    let check = table.check;
    table.read("upstream", |value| check.upstream(value.text()?))
}

fn max_connections(table: &mut Table<'_, '_>) -> usize {
    table.count("max-connections", MAX_CONNECTIONS, 1..=MANY)
}
