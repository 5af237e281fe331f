//! What a right file becomes, and that no file whatever makes the reader panic.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::{Diagnostics, KnownPlugins, Source, parse_cases, parse_with};
use crate::config::{
    Cases, Config, Dialogue, EndpointConfig, Expect, Grant, HostMatch, HttpListener, KnownPlugin, OnFailure, PathMatch,
    Pattern, PluginKind, PluginLimits, Probe, Rewrite, Route, RouteAction, Service, StoreConfig, SuccessRate,
    UpstreamProtocol, ValueMatch,
};

const FULL: &str = include_str!("full.toml");

fn read(text: &str) -> Result<Config, Diagnostics> {
    let source = Source { name: "jackfield.toml".to_owned(), text: text.to_owned(), folder: "/nowhere".into() };
    parse_with(source, known, resolve)
}

const CASES: &str = include_str!("cases/full.toml");

fn read_cases(text: &str) -> Result<Cases, Diagnostics> {
    let source = Source { name: "cases.toml".to_owned(), text: text.to_owned(), folder: ".".into() };
    parse_cases(source, &[PluginKind::Balancer, PluginKind::HttpFilter], known(None))
}

fn known(_: Option<&Path>) -> KnownPlugins {
    let balancers = ["round-robin", "least-connections", "zone", "maglev"];
    let filters = ["x-forwarded-for", "headers"];
    let plugin = |name: &str, kind| (name.to_owned(), KnownPlugin { kinds: vec![kind], needs: Vec::new() });
    let balancers = balancers.map(|name| plugin(name, PluginKind::Balancer));
    let filters = filters.map(|name| plugin(name, PluginKind::HttpFilter));
    balancers.into_iter().chain(filters).collect()
}

/// One name, no network.
fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        "backend.internal" => Ok(vec![SocketAddr::from(([10, 0, 0, 7], port))]),
        _ => Err(io::Error::other("not known")),
    }
}

fn full() -> Config {
    read(FULL).unwrap_or_else(|errors| panic!("{errors}"))
}

fn http(config: &Config) -> &HttpListener {
    match &config.listeners[0].service {
        Service::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

fn route<'c>(config: &'c Config, name: &str) -> &'c Route {
    let routes = &http(config).routes;
    routes.iter().find(|route| &*route.name == name).expect(name)
}

#[test]
fn a_full_file_of_cases_says_what_it_says() {
    let cases = read_cases(CASES).unwrap_or_else(|errors| panic!("{errors}"));
    let [balancer, sequence, filter, refused, _] = &cases.list[..] else { panic!("{cases:?}") };
    let setup = &balancer.setup;
    assert_eq!((&*setup.settings, setup.grants.len(), setup.then.as_deref()), ("{}", 0, Some("round-robin")));
    assert_eq!((setup.limits.deadline, setup.limits.memory), (Duration::from_millis(200), 16 << 20));
    assert_eq!(*setup.upstreams, ["canary".to_owned(), "other".to_owned()]);
    let endpoint = &balancer.step.endpoints[1];
    assert_eq!((endpoint.weight, endpoint.error_rate, endpoint.cpu), (3, 200, Some(10_000)));
    let head = balancer.step.request.head.as_ref().unwrap();
    let lines: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let expected: [(&str, &[u8]); 4] =
        [("x-canary", b"1"), ("via", b"1.0 a"), ("via", b"\xff"), ("cookie", b"route=x; a=b")];
    assert_eq!(lines, expected);
    assert_eq!(head.notes, [("user".to_owned(), "alice".to_owned())]);
    assert_eq!(balancer.step.request.sni.as_deref(), Some("a.example"));
    assert!(balancer.before[0].request.head.is_none());
    assert_eq!(balancer.before[0].endpoints, balancer.step.endpoints);
    assert_eq!(balancer.before[1].endpoints.len(), 1);
    assert_eq!((&*sequence.setup.settings, sequence.setup.grants.len()), (r#"{"cookie":"route"}"#, 2));
    assert!(matches!(&sequence.expect, Expect::Picks(picks, _) if picks.len() == 2));
    assert!(filter.setup.then.is_none() && filter.step.response.is_some());
    assert_eq!(refused.expect, Expect::Refused("text".to_owned()));
}

#[test]
fn the_shortest_file_has_all_defaults() {
    let text = r#"
        [[listener]]
        address = "127.0.0.1:8080"
        upstream = "api"
        [upstream.api]
        endpoints = ["127.0.0.1:5001"]
    "#;
    let config = read(text).unwrap();
    assert!(config.workers >= 1);
    assert_eq!((config.plugins.as_ref(), config.cache.as_ref(), config.admin), (None, None, None));
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    assert_eq!(http(&config).header_timeout, Duration::from_secs(10));
    assert_eq!(http(&config).idle_timeout, Duration::from_mins(1));
    assert_eq!(http(&config).max_header_bytes, 64 << 10);
    assert_eq!(route(&config, "/").timeout, Duration::from_mins(1));
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.connect_timeout, Duration::from_secs(3));
    assert_eq!(upstream.keep_alive, Duration::from_mins(1));
    assert_eq!((upstream.max_idle, upstream.retries), (64, 2));
    assert_eq!(upstream.protocol, UpstreamProtocol::Auto);
    assert_eq!((&upstream.tls, &upstream.health, &upstream.load.poll), (&None, &None, &None));
    assert_eq!((&upstream.outlier, upstream.slow_start, upstream.endpoints[0].tier), (&None, None, 0));
    let balancer = &config.uses[upstream.balancer];
    assert_eq!((&*balancer.plugin, &*balancer.settings), ("round-robin", "{}"));
    assert_eq!((balancer.on_failure, balancer.limits), (OnFailure::Fallback, PluginLimits::default()));
}

#[test]
fn upstreams_stand_in_file_order_and_are_named_before_they_are_written() {
    let config = full();
    let names: Vec<&str> = config.upstreams.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, ["web", "api"]);
    let RouteAction::Forward { upstream, rewrite } = &route(&config, "users").action else { panic!() };
    assert_eq!(*upstream, config.upstream("api").unwrap());
    assert_eq!(*rewrite, Some(Rewrite::Prefix("/v2/".to_owned())));
}

#[test]
fn conditions_are_told_apart_by_their_form() {
    let config = full();
    let users = &route(&config, "users").matches;
    assert_eq!(users.host, HostMatch::Wildcard("example.com".to_owned()));
    assert_eq!(users.path, PathMatch::Prefix("/users/".to_owned()));
    assert_eq!(users.headers[0].1, ValueMatch::Exact("gold".to_owned()));
    assert_eq!(users.cookies, [("beta".to_owned(), ValueMatch::Present)]);
    let exact = &route(&config, "www.EXAMPLE.com/old").matches;
    assert_eq!(exact.host, HostMatch::Exact("www.example.com".to_owned()));
    assert_eq!(exact.path, PathMatch::Exact("/old".to_owned()));
    let regex = &route(&config, "~ /a/[0-9]+").matches;
    assert_eq!(regex.path, PathMatch::Regex("/a/[0-9]+".to_owned()));
}

#[test]
fn what_no_route_takes_goes_to_the_upstream_of_the_listener() {
    let config = full();
    let last = http(&config).routes.last().unwrap();
    assert_eq!(last.matches.path, PathMatch::Prefix("/".to_owned()));
    let RouteAction::Forward { upstream, .. } = last.action else { panic!() };
    assert_eq!(&*config.upstreams[upstream].name, "web");
}

#[test]
fn endpoints_keep_their_name_and_have_an_address() {
    let config = full();
    let expected = EndpointConfig {
        name: "backend.internal:80".to_owned(),
        address: SocketAddr::from(([10, 0, 0, 7], 80)),
        weight: 3,
        labels: vec![("zone".to_owned(), "a".to_owned())],
        draining: true,
        tier: 1,
    };
    assert_eq!(config.upstreams[1].endpoints[1], expected);
}

#[test]
fn health_checks_expect_ranges() {
    let config = full();
    let Some(Probe::Http(probe)) = config.upstreams[1].health.as_ref().map(|health| &health.probe) else { panic!() };
    assert_eq!(probe.expect, [(200, 200), (300, 399)]);
    assert_eq!((probe.method.as_str(), probe.headers[0].1.as_bytes()), ("POST", &b"gold"[..]));
    assert!(probe.body.as_ref().is_some_and(|body| body.is_in(b"all ok") && !body.is_in(b"not OK")));
    let web = config.upstreams[0].health.as_ref().unwrap();
    let expect = Some(Pattern::Bytes(b"+PONG".to_vec()));
    let said = Dialogue { send: b"\0PING\r".to_vec(), expect };
    assert_eq!((web.interval_down, web.jitter), (Duration::from_millis(500), 0.25));
    assert_eq!((&web.probe, web.rise, web.fall), (&Probe::Tcp(said), 2, 3));
}

#[test]
fn outliers_are_looked_for_where_the_table_is() {
    let config = full();
    assert_eq!(config.upstreams[1].outlier, None);
    let outlier = config.upstreams[0].outlier.clone().unwrap();
    assert_eq!((outlier.consecutive_5xx, outlier.consecutive_gateway), (0, 5));
    assert_eq!((outlier.ejection_time, outlier.max_ejection_time), (Duration::from_mins(10), Duration::from_mins(10)));
    assert!((outlier.max_ejected - 1.0).abs() < f64::EPSILON);
    let rate = SuccessRate { factor: 3.0, min_endpoints: 5, min_requests: 10 };
    assert_eq!(outlier.success_rate, Some(rate));
}

#[test]
fn a_balancer_that_wraps_others_is_a_chain_of_uses() {
    let config = full();
    let mut labels = Vec::new();
    let mut next = Some(config.upstreams[1].balancer);
    while let Some(index) = next {
        let plugin_use = &config.uses[index];
        labels.push((&*plugin_use.plugin, &*plugin_use.label));
        next = plugin_use.then;
    }
    let grants = [Grant::Clock, Grant::State("sessions".into()), Grant::Http("web".into())];
    assert_eq!(config.uses[config.upstreams[1].balancer].grants, grants);
    assert_eq!(config.stores, [StoreConfig { name: "sessions".into(), memory: 16 << 20 }]);
    let expected = [
        ("zone", "upstream.api.balancer"),
        ("maglev", "upstream.api.balancer.then"),
        ("least-connections", "upstream.api.balancer.then.then"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn settings_become_json() {
    let config = full();
    let settings = &config.uses[config.upstreams[1].balancer].settings;
    let json: serde_json::Value = serde_json::from_str(settings).unwrap();
    let expected = serde_json::json!({
        "zone": "a", "depth": 16, "share": 0.5, "since": "1979-05-27", "strict": true, "list": [1, { "b": -2 }]
    });
    assert_eq!(json, expected);
}

/// The examples are parts of files: what they name may be elsewhere, but what they say is right.
#[test]
fn the_reference_says_what_is_accepted() {
    let reference = [include_str!("../../../../docs/config.md"), include_str!("../../../../docs/health.md")].concat();
    let examples: Vec<&str> =
        reference.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 10);
    for example in examples {
        let Err(errors) = read(example) else { continue };
        for error in &errors.list {
            let elsewhere = ["no upstream", "no listener", "no plugin", "cannot read"];
            assert!(elsewhere.iter().any(|start| error.message.starts_with(start)), "{errors}");
        }
    }
}

/// xorshift64: enough for mutations, and the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

const PIECES: [&str; 28] = [
    "[",
    "]",
    "{",
    "}",
    "\"",
    "=",
    ",",
    ".",
    "\n",
    "\0",
    "é",
    "*",
    "~ (",
    "0",
    "-1",
    "true",
    "[[listener]]",
    "99999999999999999999",
    "then = ",
    "\"\"",
    "$",
    "{query",
    "#",
    ":",
    "[::]:0",
    "1979-05-27",
    "nan",
    "'''",
];

#[test]
fn no_file_makes_the_reader_panic() {
    survives(FULL, |text| read(text).map(|_| ()));
}

#[test]
fn no_file_of_cases_makes_the_reader_panic() {
    survives(CASES, |text| read_cases(text).map(|_| ()));
}

/// A text and its mutations are read or refused with reasons.
#[track_caller]
fn survives(full: &str, read: impl Fn(&str) -> Result<(), Diagnostics>) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..5_000 {
        let mut text = full.to_owned();
        for _ in 0..=random.below(4) {
            mutate(&mut text, &mut random);
        }
        match read(&text) {
            Ok(()) => accepted += 1,
            Err(errors) => {
                refused += 1;
                assert!(!errors.list.is_empty() && !errors.to_string().is_empty());
                assert!(errors.list.is_sorted_by_key(|error| error.place.start));
            }
        }
    }
    assert!(accepted > 100 && refused > 1_000, "{accepted} accepted, {refused} refused");
}

/// Takes a stretch away, doubles it, or puts one of the pieces in its place.
fn mutate(text: &mut String, random: &mut Random) {
    let start = text.floor_char_boundary(random.below(text.len()));
    let end = text.floor_char_boundary((start + random.below(12)).min(text.len())).max(start);
    let with = match random.below(4) {
        0 => String::new(),
        1 => text[start..end].repeat(2),
        _ => PIECES[random.below(PIECES.len())].to_owned(),
    };
    text.replace_range(start..end, &with);
}

#[test]
fn nesting_without_end_is_refused() {
    let deep = 100_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[upstream.api.balancer{}]", ".then".repeat(deep)),
    ] {
        assert!(read(&text).is_err());
    }
}
