//! What the pages show, made of the running parts.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde_json::{Value, json};

use super::Snapshot;
use crate::config::PluginKind;
use crate::endpoint::{Endpoint, EndpointState};
use crate::plugin::{Plugin, StoreFacts, Usage};
use crate::telemetry::{PluginFacts, Scrape, Telemetry, UpstreamFacts};
use crate::upstream::Upstream;

pub(super) fn scrape<'a>(telemetry: &'a Telemetry, snapshot: Option<&'a Snapshot>) -> Scrape<'a> {
    let (upstreams, usages) = snapshot.map_or((&[][..], &[][..]), |now| (&now.upstreams, &now.usages));
    Scrape {
        telemetry,
        version: snapshot.map_or(0, |snapshot| snapshot.version),
        upstreams: upstreams.iter().map(|upstream| facts_of_upstream(upstream)).collect(),
        plugins: usages.iter().map(|usage| facts_of_usage(usage)).collect(),
        stores: snapshot.map(facts_of_stores).unwrap_or_default(),
    }
}

fn facts_of_upstream(upstream: &Upstream) -> UpstreamFacts<'_> {
    UpstreamFacts {
        name: &upstream.config.name,
        metrics: &upstream.metrics,
        health: &upstream.health,
        set: upstream.set(),
    }
}

fn facts_of_usage(usage: &Usage) -> PluginFacts<'_> {
    let totals = &usage.shared.totals;
    PluginFacts {
        plugin: &usage.config.plugin,
        place: &usage.config.label,
        calls: totals.calls(),
        failures: totals.failures(),
        time: totals.time(),
        quarantined: usage.shared.health.is_quarantined(),
        log_dropped: usage.shared.log_dropped(),
        metrics: &usage.shared.metrics,
        asks: usage.may_ask().then_some(&usage.shared.asks),
        timer: usage.has_timer().then_some(&usage.shared.timer),
    }
}

fn facts_of_stores(snapshot: &Snapshot) -> Vec<(&str, StoreFacts)> {
    snapshot.stores.iter().map(|(name, store)| (&**name, store.facts())).collect()
}

pub(super) fn upstreams(snapshot: Option<&Snapshot>) -> Value {
    let Some(snapshot) = snapshot else { return json!([]) };
    let balancer =
        |upstream: &Upstream| snapshot.usages.get(upstream.config.balancer).map(|usage| &*usage.config.plugin);
    snapshot
        .upstreams
        .iter()
        .map(|upstream| {
            let set = upstream.set();
            let endpoints = set.endpoints.iter().zip(&set.states).zip(&upstream.config.endpoints);
            let endpoints =
                endpoints.map(|((endpoint, state), config)| view_of(upstream, endpoint, *state, config.weight));
            json!({
                "name": &*upstream.config.name,
                "balancer": balancer(upstream),
                // Grows with every change that balancers are told of.
                "generation": set.generation,
                "requests": upstream.metrics.totals().requests(),
                "tiers": set.tiers.iter().map(|tier| json!({
                    "tier": tier.number,
                    "endpoints": tier.positions.len(),
                    "share": tier.share,
                    "panic": tier.panics,
                })).collect::<Vec<_>>(),
                "endpoints": endpoints.collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn view_of(upstream: &Upstream, endpoint: &Endpoint, state: EndpointState, weight: u32) -> Value {
    let measured = &endpoint.stats;
    let (cpu, memory) = measured.load(upstream.config.load.expires);
    // Never measured, never reported: null, not 0.
    let share = |value: u32| (value != u32::MAX).then(|| f64::from(value) / 1e4);
    let latency = measured.latency_us();
    json!({
        "name": endpoint.config.name,
        "address": endpoint.config.address.to_string(),
        "weight": weight,
        "tier": endpoint.config.tier,
        // Of its weight, while it ramps up.
        "slow_start": Some(upstream.share_of(endpoint)).filter(|share| *share < 1.0),
        "state": state.name(),
        "check": measured.standing.reason(),
        "ejected": measured.standing.ejection().map(|ejection| json!({
            "cause": ejection.cause.name(),
            "seconds_left": ejection.until.saturating_duration_since(Instant::now()).as_secs_f64(),
        })),
        "active": measured.active(),
        "latency_ms": (latency != 0).then(|| f64::from(latency) / 1e3),
        "error_rate": f64::from(measured.error_rate()) / 1e4,
        "cpu": share(cpu),
        "memory": share(memory),
        "requests": measured.requests.load(Relaxed),
        "failures": measured.failures.load(Relaxed),
    })
}

/// The plugins there are and where they are used, the files that are none, and what plugins share.
pub(super) fn plugins(snapshot: Option<&Snapshot>) -> Value {
    let Some(snapshot) = snapshot else { return json!({ "plugins": [], "problems": [], "stores": [] }) };
    let library = &snapshot.library;
    json!({
        "plugins": library.iter().map(|plugin| view_of_plugin(plugin, snapshot)).collect::<Vec<_>>(),
        "problems": library.problems.iter().map(|problem| {
            json!({ "file": problem.path.display().to_string(), "reason": problem.reason })
        }).collect::<Vec<_>>(),
        "stores": facts_of_stores(snapshot).iter().map(|(name, facts)| {
            json!({
                "name": name,
                "entries": facts.entries,
                "bytes": facts.bytes,
                "limit": facts.limit,
                "evictions": facts.evictions,
            })
        }).collect::<Vec<_>>(),
    })
}

fn view_of_plugin(plugin: &Plugin, snapshot: &Snapshot) -> Value {
    let kind = |kind: &PluginKind| match kind {
        PluginKind::Balancer => "balancer",
        PluginKind::HttpFilter => "http-filter",
    };
    let uses = snapshot.usages.iter().filter(|usage| usage.config.plugin == plugin.name);
    json!({
        "name": &*plugin.name,
        "digest": plugin.digest,
        "kinds": plugin.kinds().iter().map(kind).collect::<Vec<_>>(),
        "needs": plugin.needs.iter().map(|needed| {
            json!({ "interface": needed.interface, "grant": needed.need.to_string() })
        }).collect::<Vec<_>>(),
        "uses": uses.map(|usage| view_of_usage(usage)).collect::<Vec<_>>(),
    })
}

fn view_of_usage(usage: &Usage) -> Value {
    let facts = facts_of_usage(usage);
    json!({
        "place": facts.place,
        // The version that runs here: another than the library's until a swap went through.
        "digest": usage.plugin.digest,
        "grants": usage.config.grants.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "calls": facts.calls,
        "failures": facts.failures,
        "seconds": facts.time.as_secs_f64(),
        "quarantined": facts.quarantined,
    })
}
