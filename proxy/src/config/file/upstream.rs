//! `[upstream.NAME]`: endpoints, and how they are reached and chosen.

use std::time::Duration;

use super::check::Check;
use super::value::Entry;
use super::{certificate, endpoint, health, load, outlier, plugin, units};
use crate::config::{Upstream, UpstreamProtocol};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const KEEP_ALIVE: Duration = Duration::from_mins(1);
const MAX_IDLE: usize = 64;
const RETRIES: u64 = 2;

const PROTOCOLS: [(&str, UpstreamProtocol); 3] =
    [("http1", UpstreamProtocol::Http1), ("h2", UpstreamProtocol::Http2), ("auto", UpstreamProtocol::Auto)];

/// Every key is read before anything is given up, so that all of its errors are seen.
pub fn upstream(check: &Check<'_>, entry: &Entry<'_>) -> Option<Upstream> {
    let mut table = entry.value.table(check, "in an upstream")?;
    let balancer = plugin::balancer(&mut table, &format!("upstream.{}", entry.key));
    let endpoints = endpoint::endpoints(&mut table);
    let protocol = table.read("protocol", |value| value.choice(&PROTOCOLS)).unwrap_or(UpstreamProtocol::Auto);
    let tls = table.take("tls").and_then(|value| certificate::client_tls(check, &value));
    let health = table.take("health").and_then(|value| health::health(check, &value, tls.is_some(), protocol));
    let outlier = table.take("outlier").and_then(|value| outlier::outlier(check, &value));
    let panic_threshold = table.number("panic-threshold", 0.0, 0.0..=1.0);
    let slow_start = table.read("slow-start", units::duration);
    let load = table.take("load").and_then(|value| load::load(check, &value));
    let connect_timeout = table.duration("connect-timeout", CONNECT_TIMEOUT);
    let keep_alive = table.duration("keep-alive", KEEP_ALIVE);
    let max_idle = table.count("max-idle", MAX_IDLE, 0..=65_536);
    let retries = table.integer("retries", RETRIES, 0..=100) as u32;
    table.finish();
    Some(Upstream {
        name: entry.key.into(),
        balancer: balancer?,
        endpoints: endpoints?,
        protocol,
        tls,
        health,
        outlier,
        panic_threshold,
        slow_start,
        load: load.unwrap_or_else(load::none),
        connect_timeout,
        keep_alive,
        max_idle,
        retries,
        place: entry.key_place,
    })
}
