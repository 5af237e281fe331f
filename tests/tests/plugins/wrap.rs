//! Balancers that wrap others: what comes of it lies within what every one of them narrowed to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jackfield::config::{EndpointConfig, PluginKind};
use jackfield::endpoint::{Endpoint, EndpointSet, EndpointState};
use jackfield::plugin::{Balancer, Choice, Decision, Usage};
use jackfield_tests::host::{Host, exchange, guest};
use jackfield_tests::{Client, Origin, wait_until};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::start;

const NEAR: &str = "{\"zone\":\"near\"}";

fn endpoint(position: usize, near: bool) -> Arc<Endpoint> {
    let address = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + position as u32), 80));
    let zone = if near { "near" } else { "far" };
    let labels = vec![("zone".to_owned(), zone.to_owned())];
    let weight = 1 + position as u32 % 4;
    let config = EndpointConfig { name: address.to_string(), address, weight, labels, draining: false, tier: 0 };
    Arc::new(Endpoint::new(config, Arc::default()))
}

/// Of each endpoint: whether it is near, its state, whether it was tried.
type Situation = Vec<(bool, EndpointState, bool)>;

fn situation() -> impl Strategy<Value = Situation> {
    let state = prop_oneof![
        4 => Just(EndpointState::Healthy),
        1 => Just(EndpointState::Unhealthy),
        1 => Just(EndpointState::Draining),
    ];
    prop::collection::vec((any::<bool>(), state, prop::bool::weighted(0.2)), 1..24)
}

/// `outer` chains narrow to the near ones (`zone-first`) and to every other one (`misbehave`).
fn chain(host: &Host, outer: &[&str], innermost: &Arc<Usage>) -> Arc<Usage> {
    outer.iter().rev().fold(Arc::clone(innermost), |then, name| {
        let settings = if *name == "zone-first" { NEAR } else { "{\"do\":\"delegate-among-even\"}" };
        host.usage_of(&guest(name), PluginKind::Balancer, settings, Some(then))
    })
}

#[test]
fn the_result_is_always_inside_the_narrowed_set_whoever_is_wrapped_and_however_deep() {
    let host = Host::new();
    let names: Vec<String> = host.balancers().map(str::to_owned).collect();
    assert!(names.len() >= 11, "{names:?}");
    for name in &names {
        let innermost = host.usage(name, PluginKind::Balancer);
        for outer in [&["zone-first"][..], &["misbehave", "zone-first"], &["zone-first", "misbehave", "zone-first"]] {
            let usage = chain(&host, outer, &innermost);
            let even_only = outer.contains(&"misbehave");
            let mut runner = TestRunner::new(Config { cases: 25, failure_persistence: None, ..Config::default() });
            let narrowed = |situation: Situation| {
                check(&usage, &situation, even_only);
                Ok(())
            };
            runner.run(&situation(), narrowed).unwrap_or_else(|error| panic!("{outer:?} around {name}: {error}"));
            assert_eq!(usage.shared.totals.failures(), 0, "{outer:?} around {name}");
        }
    }
}

fn check(usage: &Arc<Usage>, situation: &Situation, even_only: bool) {
    let endpoints = situation.iter().enumerate().map(|(position, (near, ..))| endpoint(position, *near)).collect();
    let states = situation.iter().map(|(_, state, _)| *state).collect();
    let set = Arc::new(EndpointSet::new(1, endpoints, states, Duration::from_secs(10)));
    let mut choice = Choice::default();
    for (position, (_, _, tried)) in situation.iter().enumerate() {
        if *tried {
            choice.mark_tried(set.endpoints[position].id);
        }
    }
    let allowed = |position: &usize| !even_only || position.is_multiple_of(2);
    let eligible: Vec<usize> =
        (0..set.len()).filter(|position| choice.is_eligible(&set, *position as u32) && allowed(position)).collect();
    let near: Vec<usize> = eligible.iter().copied().filter(|position| situation[*position].0).collect();
    let mut balancer = Balancer::start(usage, 0, &set).unwrap();
    for _ in 0..5 {
        let (_, decision) = balancer.pick(exchange(Ipv4Addr::new(192, 0, 2, 7)), &mut choice, &set);
        match decision {
            Decision::Endpoint(position) if near.is_empty() => assert!(eligible.contains(&position)),
            Decision::Endpoint(position) => assert!(near.contains(&position), "{position} of {near:?}"),
            Decision::Nobody => assert!(eligible.is_empty(), "nobody of {eligible:?}"),
            Decision::Failed => panic!("failed"),
        }
    }
}

#[test]
fn the_own_zone_serves_until_it_cannot() {
    let origins = ["near-1", "near-2", "far"].map(Origin::echo);
    let config = |near_drains: bool| {
        let member = |number: usize, zone: &str, drain: bool| {
            format!(
                "{{ address = \"{}\", labels = {{ zone = \"{zone}\" }}, drain = {drain} }}",
                origins[number].address()
            )
        };
        format!(
            r#"
workers = 2
[[listener]]
address = "127.0.0.1:0"
upstream = "api"
[upstream.api]
balancer = {{ plugin = "zone-first", settings = {{ zone = "near" }}, then = "power-of-two-choices" }}
endpoints = [{}, {}, {}]
"#,
            member(0, "near", near_drains),
            member(1, "near", near_drains),
            member(2, "far", false)
        )
    };
    let proxy = start(&config(false), &["zone-first"]);
    let mut client = Client::connect(proxy.address(0));
    let mut served = || client.get("/").json()["origin"].as_str().unwrap().to_owned();
    let mut seen = std::collections::BTreeSet::new();
    wait_until("both of the zone to serve", || {
        let origin = served();
        assert_ne!(origin, "far");
        seen.insert(origin);
        seen.len() == 2
    });
    proxy.change_config(&crate::with_plugins(&config(true))).unwrap();
    (0..10).for_each(|_| assert_eq!(served(), "far"));
}
