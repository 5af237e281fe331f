//! The page is read by a strict parser of the text format.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::EndpointConfig;
use crate::endpoint::Stats;

type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Families announced once, with help and type, before their samples; every sample of a family
/// that was announced last; no sample twice.
fn parse(page: &str) -> Samples {
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!text.is_empty() && families.insert(name.to_owned()), "{line}");
            (family, kind) = (name.to_owned(), String::new());
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, declared) = declared.split_once(' ').unwrap();
            assert!(
                name == family && kind.is_empty() && ["counter", "gauge", "histogram"].contains(&declared),
                "{line}"
            );
            assert_eq!(name.ends_with("_total"), declared == "counter", "{line}");
            declared.clone_into(&mut kind);
        } else {
            let (name, labels, value) = sample(line);
            let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} outside of its family"));
            let expected: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(expected.contains(&suffix), "{line}");
            assert!(samples.insert((name, labels), value).is_none(), "twice: {line}");
        }
    }
    samples
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, quoted) = rest.split_once("=\"").unwrap();
            let (value, after) = unquote(quoted);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            if let Some(end) = after.strip_prefix('}') {
                rest = end;
                break;
            }
            rest = after.strip_prefix(',').unwrap();
        }
    }
    (name.to_owned(), labels, rest.strip_prefix(' ').unwrap().parse().unwrap())
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                other => panic!("\\{other}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}");
}

fn endpoint(name: &str) -> Arc<Endpoint> {
    let address = "127.0.0.1:1".parse().unwrap();
    let config =
        EndpointConfig { name: name.to_owned(), address, weight: 3, labels: Vec::new(), draining: false, tier: 0 };
    Arc::new(Endpoint::new(config, Arc::<Stats>::default()))
}

fn page() -> Samples {
    let telemetry = Telemetry::default();
    let listener = telemetry.listener("[::1]:80".parse().unwrap(), "http");
    let _open = listener.open();
    telemetry.local.record(3, 302, Duration::ZERO, 0, 0);
    let metrics = RequestMetrics::default();
    metrics.record(0, 200, Duration::from_millis(2), 5, 7);
    metrics.record(1, 502, Duration::from_secs(90), 0, 0);
    let endpoints = vec![endpoint("127.0.0.1:1"), endpoint("b\"\\\n:2")];
    endpoints[0].stats.failed();
    let states = vec![EndpointState::Healthy, EndpointState::Unhealthy];
    let set = Arc::new(EndpointSet::new(1, endpoints, states, Duration::from_secs(1)));
    let (own, others) = (Registry::default(), Registry::default());
    own_metrics(&own, &others);
    let asks = Asks::default();
    let timer = Timer::default();
    let plugin = |place, metrics| PluginFacts {
        plugin: "round-robin",
        place,
        calls: 9,
        failures: 1,
        time: Duration::from_micros(1500),
        quarantined: true,
        log_dropped: 8,
        metrics,
        asks: Some(&asks),
        timer: Some(&timer),
    };
    let plugins = vec![plugin("upstream.api.balancer", &own), plugin("upstream.b.balancer", &others)];
    let health = HealthMetrics::default();
    let upstreams = vec![UpstreamFacts { name: "api", metrics: &metrics, health: &health, set }];
    let stores = vec![("shared", StoreFacts { entries: 1, bytes: 2, limit: 3, evictions: 4 })];
    parse(&Scrape { telemetry: &telemetry, version: 4, upstreams, plugins, stores }.render())
}

/// Names that come as close to one another and to the proxy's as they can.
fn own_metrics(own: &Registry, others: &Registry) {
    let hits = own.counter("hits").unwrap();
    own.increment(hits, 5);
    others.counter("hits_total").unwrap();
    // The same name in another plugin, as another kind.
    others.histogram("wait", &[0.5, 1e21]).unwrap();
    own.counter("wait").unwrap();
    own.counter("wait_bucket").unwrap();
    own.counter("wait_total_total").unwrap();
    let size = own.histogram("size", &[1.0, 2.5]).unwrap();
    for value in [0.5, 1.0, 2.0, 100.0] {
        own.observe(size, value);
    }
}

#[test]
fn no_plugin_can_take_a_family_of_the_proxys() {
    let families: BTreeSet<String> = page().into_keys().map(|(name, _)| name).collect();
    let plugins = families.iter().filter_map(|name| name.strip_prefix("jackfield_plugin_"));
    let made = ["hits", "wait", "size"];
    let ours: Vec<&str> = plugins.filter(|name| !made.iter().any(|made| name.starts_with(made))).collect();
    assert!(ours.len() >= 5, "{ours:?}");
    for name in ours {
        assert!(Registry::default().counter(name).is_err(), "{name}");
        assert!(Registry::default().histogram(name, &[1.0]).is_err(), "{name}");
    }
}

#[test]
fn the_page_is_valid_and_complete() {
    let page = page();
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        page.get(&(format!("jackfield_{name}"), labels)).copied()
    };
    let use_of = [("plugin", "round-robin"), ("place", "upstream.api.balancer")];
    let others = [("plugin", "round-robin"), ("place", "upstream.b.balancer")];
    for (name, labels, expected) in [
        ("config_version", &[][..], 4.0),
        ("connections_active", &[("listener", "[::1]:80"), ("protocol", "http")], 1.0),
        ("local_answers_total", &[("class", "3xx")], 1.0),
        ("requests_total", &[("upstream", "api"), ("class", "5xx")], 1.0),
        ("request_duration_seconds_bucket", &[("upstream", "api"), ("le", "0.001")], 0.0),
        ("request_duration_seconds_bucket", &[("upstream", "api"), ("le", "0.0025")], 1.0),
        ("request_duration_seconds_bucket", &[("upstream", "api"), ("le", "60")], 1.0),
        ("request_duration_seconds_bucket", &[("upstream", "api"), ("le", "+Inf")], 2.0),
        ("request_duration_seconds_count", &[("upstream", "api")], 2.0),
        ("request_duration_seconds_sum", &[("upstream", "api")], 90.002),
        ("request_sent_bytes_total", &[("upstream", "api")], 7.0),
        ("endpoint_failures_total", &[("upstream", "api"), ("endpoint", "127.0.0.1:1")], 1.0),
        ("endpoint_healthy", &[("upstream", "api"), ("endpoint", "b\"\\\n:2")], 0.0),
        ("plugin_seconds_total", &use_of, 0.0015),
        ("plugin_quarantined", &use_of, 1.0),
        ("plugin_log_dropped_total", &use_of, 8.0),
        ("plugin_hits_total", &use_of, 5.0),
        ("plugin_wait_total", &use_of, 0.0),
        ("plugin_wait_bucket", &[others[0], others[1], ("le", "1000000000000000000000")], 0.0),
        ("plugin_size_bucket", &[use_of[0], use_of[1], ("le", "1")], 2.0),
        ("plugin_size_bucket", &[use_of[0], use_of[1], ("le", "2.5")], 3.0),
        ("plugin_size_bucket", &[use_of[0], use_of[1], ("le", "+Inf")], 4.0),
        ("plugin_size_sum", &use_of, 103.5),
        ("plugin_size_count", &use_of, 4.0),
        ("state_bytes", &[("store", "shared")], 2.0),
        ("state_evictions_total", &[("store", "shared")], 4.0),
        ("plugin_requests_active", &use_of, 0.0),
        (
            "plugin_requests_total",
            &[("plugin", "round-robin"), ("place", "upstream.api.balancer"), ("outcome", "timeout")],
            0.0,
        ),
        ("plugin_ticks_total", &use_of, 0.0),
        ("plugin_timer_quarantined", &use_of, 0.0),
    ] {
        assert_eq!(value(name, labels), Some(expected), "{name} {labels:?}");
    }
}
