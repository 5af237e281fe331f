//! `canary-by-header`: a balancer without settings that narrows what its delegate sees.

use std::sync::Arc;

use jackfield::config::PluginKind;
use jackfield::endpoint::{EndpointSet, EndpointState};
use jackfield::plugin::{Balancer, Choice, Decision};
use jackfield_tests::host::Host;
use jackfield_tests::{Origin, client};

use super::{assert_no_failures, build, endpoints, host, no_failures, proxy, refused, request, used};

pub(super) const NAME: &str = "canary-by-header";

pub(super) fn battery(language: &str) {
    let Some(wasm) = build(language, NAME) else { return };
    // First what compiles without a proxy's deadline: it finds it in the cache then.
    let host = host();
    ten_thousand_picks_leave_nothing_behind(&host, &wasm);
    canaries_get_their_requests(&wasm);
    let settings = ["{\"a\":1}", "{\"canary\":\"yes\"}"];
    refused(&host, &wasm, PluginKind::Balancer, &settings, "canary-by-header has no settings");
}

/// The first listener's delegate chooses, the second one's has none.
fn canaries_get_their_requests(wasm: &[u8]) {
    let origins = ["canary", "first", "second"].map(Origin::echo);
    let [canary, first, second] = [0, 1, 2].map(|number: usize| origins[number].address());
    let endpoints =
        format!("[\"{first}\", {{ address = \"{canary}\", labels = {{ canary = \"yes\" }} }}, \"{second}\"]");
    let config = format!(
        r#"
[[listener]]
address = "127.0.0.1:0"
upstream = "wrapping"
[[listener]]
address = "127.0.0.1:0"
upstream = "alone"
[upstream.wrapping]
balancer = {}
endpoints = {endpoints}
[upstream.alone]
balancer = {}
endpoints = {endpoints}
"#,
        used(NAME, "", "\"least-connections\""),
        used(NAME, "", ""),
    );
    let proxy = proxy(NAME, wasm, &config);
    for listener in [0, 1] {
        let address = proxy.address(listener);
        let ask = |lines: &[&str]| client::get_with(address, "/", lines).json()["origin"].as_str().unwrap().to_owned();
        for _ in 0..5 {
            assert_eq!(ask(&["x-canary: 1"]), "canary");
        }
        let others: Vec<String> = (0..20).map(|_| ask(&[])).collect();
        for name in ["first", "second"] {
            assert!(others.iter().any(|other| other == name), "{others:?}");
        }
        assert!(!others.iter().any(|other| other == "canary"), "{others:?}");
    }
    no_failures(&proxy);
}

/// Number 2 of ten is the canary.
pub(super) fn ten(canary: EndpointState) -> Arc<EndpointSet> {
    let mut states = [EndpointState::Healthy; 10];
    states[2] = canary;
    endpoints(if canary == EndpointState::Healthy { 1 } else { 2 }, &states)
}

fn decide(balancer: &mut Balancer, canary: bool, set: &Arc<EndpointSet>) -> usize {
    let headers: &[_] = if canary { &[("x-canary", "1")] } else { &[] };
    match balancer.pick(request(headers), &mut Choice::default(), set).1 {
        Decision::Endpoint(endpoint) => endpoint,
        other => panic!("{other:?}"),
    }
}

fn ten_thousand_picks_leave_nothing_behind(host: &Host, wasm: &[u8]) {
    let usage = host.usage_of(wasm, PluginKind::Balancer, "{}", None);
    let set = ten(EndpointState::Healthy);
    let mut balancer = Balancer::start(&usage, 0, &set).unwrap();
    for turn in 0..10_000 {
        let canary = turn % 2 == 0;
        assert_eq!(decide(&mut balancer, canary, &set) == 2, canary);
    }
    let without = ten(EndpointState::Unhealthy);
    assert_ne!(decide(&mut balancer, true, &without), 2, "the rest serves while no canary can");
    let gone = endpoints(3, &[EndpointState::Unhealthy; 10]);
    assert_eq!(balancer.pick(request(&[]), &mut Choice::default(), &gone).1, Decision::Nobody);
    assert_no_failures(&usage);
}
