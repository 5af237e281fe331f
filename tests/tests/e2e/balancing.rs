//! Every default balancer, over real origins.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use http::Response;
use jackfield_tests::origin::{full, json_response, seen};
use jackfield_tests::raw::nobody;
use jackfield_tests::{Client, Origin, Proxy, RawOrigin, client, wait_until};
use serde_json::Value;

use crate::{config, endpoints, start};

fn origins() -> [Origin; 3] {
    ["a", "b", "c"].map(Origin::echo)
}

/// Two workers, this balancer, these origins.
fn balanced(balancer: &str, origins: &[Origin]) -> Proxy {
    let all: Vec<&Origin> = origins.iter().collect();
    start(&format!("workers = 2\n{}", config("", &format!("balancer = {balancer}\n{}", endpoints(&all)))))
}

fn name(answer: &Value) -> String {
    answer["origin"].as_str().unwrap().to_owned()
}

/// Who answers a request on a connection of its own, and so on any worker.
fn asked(proxy: &Proxy) -> String {
    name(&client::get(proxy.address(0), "/").json())
}

fn counted(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// The counter is one, whichever worker takes the connection.
#[test]
fn round_robin_is_sequential_over_all_workers() {
    let origins = origins();
    let proxy = balanced("\"round-robin\"", &origins);
    let names: String = (0..30).map(|_| asked(&proxy)).collect();
    let begin = "abc".find(&names[..1]).unwrap();
    assert_eq!(names, "abcabc"[begin..begin + 3].repeat(10));
}

#[test]
fn weighted_round_robin_is_smooth() {
    let origins = origins();
    let weighted = |origin: &Origin, weight| format!("{{ address = \"{}\", weight = {weight} }}", origin.address());
    let all = [weighted(&origins[0], 5), weighted(&origins[1], 1), weighted(&origins[2], 1)].join(", ");
    let proxy = start(&config("", &format!("balancer = \"weighted-round-robin\"\nendpoints = [{all}]")));
    let proxy = &proxy;
    let mut client = Client::connect(proxy.address(0));
    let names: String = (0..70).map(|_| name(&client.get("/").json())).collect();
    assert_eq!(names, "aabacaa".repeat(10));
}

#[test]
fn ip_hash_keeps_a_client_where_it_is() {
    let mut origins = origins();
    let proxy = balanced("\"ip-hash\"", &origins);
    let ask = |last: u8| {
        let mut client = Client::from_address(Ipv4Addr::new(127, 0, 0, last), proxy.address(0));
        name(&client.get("/").json())
    };
    let before: Vec<String> = (1..=60).map(ask).collect();
    assert_eq!(before, (1..=60).map(ask).collect::<Vec<_>>());
    assert!(counted(before.iter().cloned()).len() == 3, "{before:?}");
    // Those of the one that is gone move, and nobody else.
    origins[2].kill();
    let after: Vec<String> = (1..=60).map(ask).collect();
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || before == "c", "{before} went to {after}");
        assert_ne!(after, "c");
    }
}

/// Answers `/hang` when it is told to, everything else at once.
fn hanging(name: &'static str) -> (Origin, tokio::sync::watch::Sender<bool>) {
    let (release, released) = tokio::sync::watch::channel(false);
    let origin = Origin::start(move |request| {
        let mut released = released.clone();
        async move {
            if request.uri().path() == "/hang" {
                let _ = released.wait_for(|released| *released).await;
            }
            json_response(&seen(name, request).await)
        }
    });
    (origin, release)
}

#[test]
fn least_connections_avoids_whoever_is_busy() {
    for balancer in ["\"least-connections\"", "\"weighted-least-connections\""] {
        let (first, release) = hanging("a");
        let (second, release_too) = hanging("b");
        let origins = [first, second];
        let proxy = balanced(balancer, &origins);
        let mut busy = Client::connect(proxy.address(0));
        busy.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
        wait_until("the origin to hang", || origins[0].requests() + origins[1].requests() == 1);
        let idle = if origins[0].requests() == 1 { "b" } else { "a" };
        for _ in 0..20 {
            assert_eq!(asked(&proxy), idle, "{balancer}");
        }
        release.send(true).unwrap();
        release_too.send(true).unwrap();
        assert_eq!(busy.receive("GET").status(), 200);
        assert_eq!(counted((0..40).map(|_| asked(&proxy))).len(), 2, "{balancer}");
    }
}

#[test]
fn least_response_time_prefers_the_quick_and_tries_everyone() {
    let slow = Origin::start(|request| async move {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        json_response(&seen("slow", request).await)
    });
    let origins = [slow, Origin::echo("quick")];
    let proxy = balanced("\"least-response-time\"", &origins);
    let counts = counted((0..60).map(|_| asked(&proxy)));
    assert!(counts["slow"] >= 1 && counts["quick"] >= 45, "{counts:?}");
}

#[test]
fn random_and_two_choices_use_everyone() {
    for balancer in ["\"random\"", "\"power-of-two-choices\""] {
        let origins = origins();
        let proxy = balanced(balancer, &origins);
        let counts = counted((0..90).map(|_| asked(&proxy)));
        // One of three in 90 draws, five deviations off: less than one in a million.
        assert!(counts.len() == 3 && counts.values().all(|count| *count >= 8), "{balancer}: {counts:?}");
    }
}

#[test]
fn maglev_goes_by_the_key_that_it_is_told() {
    let origins = origins();
    let proxy = balanced("{ plugin = \"maglev\", settings = { hash-key = { header = \"x-user\" } } }", &origins);
    let ask = |user: u32| name(&client::get_with(proxy.address(0), "/", &[&format!("x-user: u{user}")]).json());
    let names: Vec<String> = (0..60).map(ask).collect();
    assert_eq!(names, (0..60).map(ask).collect::<Vec<_>>());
    assert_eq!(counted(names.into_iter()).len(), 3);
    let proxy = balanced("{ plugin = \"maglev\", settings = { hash-key = \"path\" } }", &origins);
    let ask = |path: &str| name(&client::get(proxy.address(0), path).json());
    let all: Vec<String> = (0..30).map(|number| ask(&format!("/{number}"))).collect();
    assert_eq!(counted(all.into_iter()).len(), 3);
    assert_eq!(counted((0..10).map(|_| ask("/same"))).len(), 1);
}

#[test]
fn a_cookie_sticks() {
    let origins = origins();
    let balancer = "{ plugin = \"sticky-cookie\", settings = { name = \"srv\" }, then = \"round-robin\" }";
    let mut origins = origins;
    let proxy = balanced(balancer, &origins);
    let first = client::get(proxy.address(0), "/");
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("srv="), "{cookie}");
    let home = name(&first.json());
    for _ in 0..10 {
        let answer = client::get_with(proxy.address(0), "/", &[&format!("cookie: x=y; {cookie}")]);
        assert_eq!((name(&answer.json()), answer.header("set-cookie")), (home.clone(), None));
    }
    // Without it, turns go on.
    assert_eq!(counted((0..6).map(|_| asked(&proxy))), counts(&[("a", 2), ("b", 2), ("c", 2)]));
    // When the home is gone, there is a new one, and a new cookie.
    origins.iter_mut().zip(["a", "b", "c"]).find(|(_, name)| *name == home).unwrap().0.kill();
    let moved = client::get_with(proxy.address(0), "/", &[&format!("cookie: {cookie}")]);
    assert_ne!(name(&moved.json()), home);
    assert_ne!(moved.header("set-cookie").unwrap().split(';').next(), Some(cookie.as_str()));
}

/// An origin whose every answer reports this load.
fn reporting(name: &'static str, report: &'static str) -> Origin {
    Origin::start(move |request| async move {
        let mut response = json_response(&seen(name, request).await);
        response.headers_mut().insert("endpoint-load-metrics", report.parse().unwrap());
        response
    })
}

#[test]
fn resource_based_follows_orca_headers_and_takes_them_off() {
    let origins = [
        reporting("full", "TEXT cpu_utilization=1.0, mem_utilization=0.2"),
        reporting("free", "JSON {\"cpu_utilization\":0.1,\"mem_utilization\":0.1}"),
    ];
    let upstream = format!(
        "balancer = \"resource-based\"\nload = {{ orca = true, expires = \"1h\" }}\n{}",
        endpoints(&[&origins[0], &origins[1]])
    );
    let proxy = start(&config("", &upstream));
    let answer = client::get(proxy.address(0), "/");
    assert_eq!(answer.header("endpoint-load-metrics"), None);
    wait_until("a report of both", || {
        client::get(proxy.address(0), "/");
        origins.iter().all(|origin| origin.requests() > 0)
    });
    assert_eq!(counted((0..50).map(|_| asked(&proxy))), counts(&[("free", 50)]));
}

#[test]
fn resource_based_follows_what_it_polls_and_forgets_old_reports() {
    let polled = |name: &'static str, load: &'static str| {
        let reports = Arc::new(Mutex::new(Some(load)));
        let said = Arc::clone(&reports);
        let origin = Origin::start(move |request| {
            let said = *said.lock().unwrap();
            async move {
                match (request.uri().path(), said) {
                    ("/load", Some(load)) => Response::new(full(load)),
                    ("/load", None) => Response::builder().status(404).body(full("")).unwrap(),
                    _ => json_response(&seen(name, request).await),
                }
            }
        });
        (origin, reports)
    };
    let (busy, silence) = polled("busy", "{\"cpu\":0.2,\"memory\":1.0}");
    let (free, _) = polled("free", "{\"cpu\":0.2,\"memory\":0.1}");
    let load = "load = { poll = { path = \"/load\", interval = \"50ms\" }, expires = \"300ms\" }";
    let upstream = format!("balancer = \"resource-based\"\n{load}\n{}", endpoints(&[&busy, &free]));
    let proxy = start(&config("", &upstream));
    wait_until("reports to count", || (0..20).all(|_| asked(&proxy) == "free"));
    // One without a fresh report counts as average.
    *silence.lock().unwrap() = None;
    wait_until("old reports to be forgotten", || asked(&proxy) == "busy");
}

/// Draining endpoints get no new clients.
#[test]
fn a_draining_endpoint_gets_nothing_new() {
    let origins = origins();
    let upstream = format!(
        "endpoints = [\"{}\", {{ address = \"{}\", drain = true }}]",
        origins[0].address(),
        origins[1].address()
    );
    for balancer in ["round-robin", "least-connections", "random", "maglev", "power-of-two-choices"] {
        let proxy = start(&config("", &format!("balancer = \"{balancer}\"\n{upstream}")));
        assert_eq!(counted((0..10).map(|_| asked(&proxy))), counts(&[("a", 10)]), "{balancer}");
    }
}

/// Whoever was tried is not chosen again, by any of them.
#[test]
fn every_balancer_goes_on_to_the_next() {
    let origin = Origin::echo("a");
    let upstream = format!("retries = 2\nendpoints = [\"{}\", \"{}\", \"{}\"]", nobody(), nobody(), origin.address());
    let all = [
        "round-robin",
        "weighted-round-robin",
        "ip-hash",
        "least-connections",
        "weighted-least-connections",
        "least-response-time",
        "resource-based",
        "random",
        "power-of-two-choices",
        "maglev",
        "sticky-cookie",
    ];
    for balancer in all {
        let proxy = start(&config("", &format!("balancer = \"{balancer}\"\n{upstream}")));
        for _ in 0..10 {
            assert_eq!(asked(&proxy), "a", "{balancer}");
        }
    }
}

/// The endpoint counts as busy until the last byte of its answer.
#[test]
fn a_response_on_its_way_keeps_its_endpoint_busy() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let slow = RawOrigin::start(move |mut connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
            wait.lock().unwrap().recv().unwrap();
            connection.send("lf");
        }
    });
    let quick = Origin::echo("quick");
    let upstream =
        format!("balancer = \"least-connections\"\nendpoints = [\"{}\", \"{}\"]", slow.address(), quick.address());
    let proxy = start(&config("", &upstream));
    let mut half = Client::connect(proxy.address(0));
    wait_until("the slow one to be asked", || {
        half.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        jackfield_tests::Head::read(half.reader()).unwrap();
        if slow.accepted() == 0 {
            half = Client::connect(proxy.address(0));
        }
        slow.accepted() == 1
    });
    for _ in 0..10 {
        assert_eq!(asked(&proxy), "quick");
    }
    go.send(()).unwrap();
}
