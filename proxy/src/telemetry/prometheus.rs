//! The metrics page: which families there are, and what is in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::page::Page;
use super::{HealthMetrics, ListenerMetrics, RequestMetrics, Telemetry};
use crate::endpoint::{Cause, Endpoint, EndpointSet, EndpointState, Tier};
use crate::plugin::{Asks, Reading, Registry, StoreFacts, Timer};

/// What is there at the moment of a scrape.
pub struct Scrape<'a> {
    pub telemetry: &'a Telemetry,
    /// Version of the running configuration.
    pub version: u64,
    pub upstreams: Vec<UpstreamFacts<'a>>,
    pub plugins: Vec<PluginFacts<'a>>,
    /// The stores that plugins share, by name.
    pub stores: Vec<(&'a str, StoreFacts)>,
}

pub struct UpstreamFacts<'a> {
    pub name: &'a str,
    pub metrics: &'a RequestMetrics,
    pub health: &'a HealthMetrics,
    pub set: Arc<EndpointSet>,
}

/// One use of a plugin.
pub struct PluginFacts<'a> {
    pub plugin: &'a str,
    pub place: &'a str,
    pub calls: u64,
    pub failures: u64,
    pub time: Duration,
    pub quarantined: bool,
    /// Lines that were too many for the log.
    pub log_dropped: u64,
    /// The plugin's own.
    pub metrics: &'a Registry,
    /// None: it sends no requests of its own.
    pub asks: Option<&'a Asks>,
    /// None: it has no timer.
    pub timer: Option<&'a Timer>,
}

const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Scrape<'_> {
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.process(&mut page);
        self.listeners(&mut page);
        self.requests(&mut page);
        self.endpoints(&mut page);
        self.weights(&mut page);
        self.health(&mut page);
        self.plugins(&mut page);
        self.plugins_own(&mut page);
        self.stores(&mut page);
        page.into_text()
    }

    fn process(&self, page: &mut Page) {
        let telemetry = self.telemetry;
        page.family("jackfield_build_info", "gauge", "The program's version; always 1.");
        page.sample("jackfield_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let uptime = crate::clock::elapsed().as_secs_f64();
        page.single("jackfield_uptime_seconds", "gauge", "Time since the process began.", uptime);
        page.single("jackfield_config_version", "gauge", "Version of the running configuration.", self.version);
        let name = "jackfield_config_reloads_total";
        page.family(name, "counter", "Changes of the configuration or of plugins, by result.");
        page.sample(name, &[("result", "ok")], telemetry.reloads.load(Relaxed));
        page.sample(name, &[("result", "failed")], telemetry.failed_reloads.load(Relaxed));
        let dropped = telemetry.dropped_lines.load(Relaxed);
        let help = "Lines of the access log that were dropped because the output was too slow.";
        page.single("jackfield_access_log_dropped_total", "counter", help, dropped);
        let name = "jackfield_local_answers_total";
        page.family(name, "counter", "Requests that the proxy answered without an upstream, by status class.");
        for (class, count) in CLASSES.iter().zip(telemetry.local.totals().classes) {
            page.sample(name, &[("class", class)], count);
        }
    }

    fn listeners(&self, page: &mut Page) {
        type Counter = fn(&ListenerMetrics) -> &AtomicU64;
        let families: [(&str, &str, &str, Counter); 7] = [
            ("connections_total", "counter", "Connections (UDP: sessions) accepted.", |all| &all.accepted),
            ("connections_active", "gauge", "Connections (UDP: sessions) open now.", |all| &all.active),
            ("connections_refused_total", "counter", "Connections refused at the limit.", |all| &all.refused),
            ("connections_unserved_total", "counter", "L4 connections that reached no endpoint.", |all| &all.unserved),
            ("tls_handshake_failures_total", "counter", "TLS handshakes that failed.", |all| &all.tls_failures),
            ("l4_received_bytes_total", "counter", "Bytes from L4 clients.", |all| &all.received),
            ("l4_sent_bytes_total", "counter", "Bytes to L4 clients.", |all| &all.sent),
        ];
        let listeners = self.telemetry.lock();
        for (name, kind, help, counter) in families {
            let name = format!("jackfield_{name}");
            page.family(&name, kind, help);
            for ((address, protocol), metrics) in listeners.iter() {
                let labels = [("listener", &*address.to_string()), ("protocol", *protocol)];
                page.sample(&name, &labels, counter(metrics).load(Relaxed));
            }
        }
    }

    fn requests(&self, page: &mut Page) {
        let totals: Vec<_> = self.upstreams.iter().map(|upstream| (upstream.name, upstream.metrics.totals())).collect();
        let name = "jackfield_requests_total";
        page.family(name, "counter", "Requests sent to an upstream, by class of the final status.");
        for (upstream, totals) in &totals {
            for (class, count) in CLASSES.iter().zip(totals.classes) {
                page.sample(name, &[("upstream", upstream), ("class", class)], count);
            }
        }
        let name = "jackfield_request_duration_seconds";
        page.family(name, "histogram", "From the head of the request to the last byte of the response.");
        for (upstream, totals) in &totals {
            page.histogram(name, &[("upstream", upstream)], &totals.time);
        }
        let name = "jackfield_request_received_bytes_total";
        page.family(name, "counter", "Bytes of request bodies.");
        for (upstream, totals) in &totals {
            page.sample(name, &[("upstream", upstream)], totals.received);
        }
        let name = "jackfield_request_sent_bytes_total";
        page.family(name, "counter", "Bytes of response bodies.");
        for (upstream, totals) in &totals {
            page.sample(name, &[("upstream", upstream)], totals.sent);
        }
    }

    fn endpoints(&self, page: &mut Page) {
        type Value = fn(&Endpoint, EndpointState) -> f64;
        let families: [(&str, &str, &str, Value); 7] = [
            ("active", "gauge", "Requests and connections in flight.", |endpoint, _| endpoint.stats.active().into()),
            ("requests_total", "counter", "Tries, successful or not.", |endpoint, _| {
                endpoint.stats.requests.load(Relaxed) as f64
            }),
            ("failures_total", "counter", "Tries that failed.", |endpoint, _| {
                endpoint.stats.failures.load(Relaxed) as f64
            }),
            ("healthy", "gauge", "1 when it takes new work, 0 when unhealthy or draining.", |_, state| {
                f64::from(u8::from(state == EndpointState::Healthy))
            }),
            ("ejected", "gauge", "1 while it is out for what the traffic found.", |endpoint, _| {
                f64::from(u8::from(endpoint.stats.standing.ejection().is_some()))
            }),
            ("latency_seconds", "gauge", "Peak EWMA of response times, 0 when never measured.", |endpoint, _| {
                f64::from(endpoint.stats.latency_us()) / 1e6
            }),
            ("error_rate", "gauge", "Moving share of failures.", |endpoint, _| {
                f64::from(endpoint.stats.error_rate()) / 1e4
            }),
        ];
        for (name, kind, help, value) in families {
            let name = format!("jackfield_endpoint_{name}");
            page.family(&name, kind, help);
            for upstream in &self.upstreams {
                for (endpoint, state) in upstream.set.endpoints.iter().zip(&upstream.set.states) {
                    let labels = [("upstream", upstream.name), ("endpoint", &endpoint.config.name)];
                    page.sample(&name, &labels, value(endpoint, *state));
                }
            }
        }
    }

    fn health(&self, page: &mut Page) {
        let name = "jackfield_health_checks_total";
        page.family(name, "counter", "Health checks of an upstream's endpoints, by result.");
        for upstream in &self.upstreams {
            let health = upstream.health;
            let samples = [("passed", &health.passed), ("failed", &health.failed), ("unasked", &health.unasked)];
            for (result, count) in samples {
                page.sample(name, &[("upstream", upstream.name), ("result", result)], count.load(Relaxed));
            }
        }
        let name = "jackfield_health_checks_late_total";
        page.family(name, "counter", "Health checks that waited for others, since too many were under way.");
        for upstream in &self.upstreams {
            page.sample(name, &[("upstream", upstream.name)], upstream.health.late.load(Relaxed));
        }
        self.tiers(page);
        let name = "jackfield_outlier_ejections_total";
        page.family(name, "counter", "Endpoints that were ejected for what the traffic found, by cause.");
        for upstream in &self.upstreams {
            for (cause, count) in Cause::ALL.iter().zip(&upstream.health.ejections) {
                page.sample(name, &[("upstream", upstream.name), ("cause", cause.name())], count.load(Relaxed));
            }
        }
        let name = "jackfield_outlier_spared_total";
        page.family(name, "counter", "Outliers that were not ejected, since too many were out already.");
        for upstream in &self.upstreams {
            page.sample(name, &[("upstream", upstream.name)], upstream.health.spared.load(Relaxed));
        }
    }

    fn weights(&self, page: &mut Page) {
        let name = "jackfield_endpoint_weight";
        page.family(name, "gauge", "As configured, or less during slow start.");
        for upstream in &self.upstreams {
            for endpoint in &upstream.set.endpoints {
                let labels = [("upstream", upstream.name), ("endpoint", &endpoint.config.name)];
                let weight = f64::from(endpoint.config.weight) / f64::from(upstream.set.weight_scale);
                page.sample(name, &labels, weight);
            }
        }
    }

    fn tiers(&self, page: &mut Page) {
        type Value = fn(&Tier) -> f64;
        let families: [(&str, &str, Value); 2] = [
            ("panic", "1 while so few of a tier's endpoints are healthy that all are used.", |tier| {
                f64::from(u8::from(tier.panics))
            }),
            ("tier_share", "Share of the traffic that a tier takes.", |tier| tier.share),
        ];
        for (name, help, value) in families {
            let name = format!("jackfield_upstream_{name}");
            page.family(&name, "gauge", help);
            for upstream in &self.upstreams {
                for tier in &upstream.set.tiers {
                    let labels = [("upstream", upstream.name), ("tier", &tier.number.to_string())];
                    page.sample(&name, &labels, value(tier));
                }
            }
        }
    }

    fn plugins(&self, page: &mut Page) {
        type Value = fn(&PluginFacts<'_>) -> f64;
        let families: [(&str, &str, &str, Value); 5] = [
            ("calls_total", "counter", "Calls of a plugin.", |plugin| plugin.calls as f64),
            ("failures_total", "counter", "Calls that failed.", |plugin| plugin.failures as f64),
            ("seconds_total", "counter", "Wall time spent in calls.", |plugin| plugin.time.as_secs_f64()),
            ("quarantined", "gauge", "1 while the plugin is not called.", |plugin| {
                f64::from(u8::from(plugin.quarantined))
            }),
            ("log_dropped_total", "counter", "Lines of a plugin that were too many for the log.", |plugin| {
                plugin.log_dropped as f64
            }),
        ];
        for (name, kind, help, value) in families {
            let name = format!("jackfield_plugin_{name}");
            page.family(&name, kind, help);
            for plugin in &self.plugins {
                page.sample(&name, &[("plugin", plugin.plugin), ("place", plugin.place)], value(plugin));
            }
        }
        self.asks(page);
        self.timers(page);
    }

    fn asks(&self, page: &mut Page) {
        let asks = || self.plugins.iter().filter_map(|plugin| Some((plugin, plugin.asks?)));
        let name = "jackfield_plugin_requests_total";
        page.family(name, "counter", "Requests of a plugin's own, by what came of them.");
        for (plugin, asks) in asks() {
            for (outcome, count) in asks.ends() {
                let labels = [("plugin", plugin.plugin), ("place", plugin.place), ("outcome", outcome)];
                page.sample(name, &labels, count);
            }
        }
        let name = "jackfield_plugin_requests_active";
        page.family(name, "gauge", "Requests of a plugin's own that wait for their replies.");
        for (plugin, asks) in asks() {
            page.sample(name, &[("plugin", plugin.plugin), ("place", plugin.place)], asks.active());
        }
    }

    fn timers(&self, page: &mut Page) {
        let timers = || self.plugins.iter().filter_map(|plugin| Some((plugin, plugin.timer?)));
        let name = "jackfield_plugin_ticks_total";
        page.family(name, "counter", "Calls of a plugin's timer.");
        for (plugin, timer) in timers() {
            page.sample(name, &[("plugin", plugin.plugin), ("place", plugin.place)], timer.ticks.load(Relaxed));
        }
        let name = "jackfield_plugin_timer_quarantined";
        page.family(name, "gauge", "1 while the plugin's timer is not called.");
        for (plugin, timer) in timers() {
            let quarantined = u8::from(timer.health.is_quarantined());
            page.sample(name, &[("plugin", plugin.plugin), ("place", plugin.place)], quarantined);
        }
    }

    /// What plugins count themselves. A family is of one kind, whichever plugins have it: the names of
    /// counters end in `_total`, those of histograms cannot.
    fn plugins_own(&self, page: &mut Page) {
        let mut families: BTreeMap<String, Vec<(&PluginFacts<'_>, Reading)>> = BTreeMap::new();
        for plugin in &self.plugins {
            for metric in plugin.metrics.iter() {
                families.entry(metric.family()).or_default().push((plugin, metric.read()));
            }
        }
        for (name, samples) in families {
            let name = format!("jackfield_plugin_{name}");
            let is_counter = samples.iter().all(|(_, reading)| matches!(reading, Reading::Counter(_)));
            page.family(&name, if is_counter { "counter" } else { "histogram" }, "A plugin's own.");
            for (plugin, reading) in samples {
                let labels = [("plugin", plugin.plugin), ("place", plugin.place)];
                match reading {
                    Reading::Counter(value) => page.sample(&name, &labels, value),
                    Reading::Histogram { bounds, counts, sum } => page.buckets(&name, &labels, &bounds, &counts, sum),
                }
            }
        }
    }

    fn stores(&self, page: &mut Page) {
        type Value = fn(&StoreFacts) -> u64;
        let families: [(&str, &str, &str, Value); 4] = [
            ("entries", "gauge", "Entries of a store of plugins.", |store| store.entries as u64),
            ("bytes", "gauge", "What they take.", |store| store.bytes as u64),
            ("limit_bytes", "gauge", "What they may take.", |store| store.limit as u64),
            ("evictions_total", "counter", "Entries thrown out before their end.", |store| store.evictions),
        ];
        for (name, kind, help, value) in families {
            let name = format!("jackfield_state_{name}");
            page.family(&name, kind, help);
            for (store, facts) in &self.stores {
                page.sample(&name, &[("store", store)], value(facts));
            }
        }
    }
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
