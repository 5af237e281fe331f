//! Too few healthy endpoints: panic, tiers that take over, and the way back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use jackfield_tests::origin::text;
use jackfield_tests::raw::nobody;
use jackfield_tests::{Client, Origin, Proxy, client, wait_until};

use crate::{config, start};

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";
const CHECKED: &str = "health = { path = \"/healthz\", interval = \"50ms\", rise = 1, fall = 1 }\n";

/// Answers with its name; its health can be switched.
struct Switchable {
    origin: Origin,
    healthy: Arc<AtomicBool>,
}

fn origins<const N: usize>(names: [&'static str; N]) -> [Switchable; N] {
    names.map(|name| {
        let healthy = Arc::new(AtomicBool::new(true));
        let state = Arc::clone(&healthy);
        let origin = Origin::start(move |request| {
            let is_well = request.uri().path() != "/healthz" || state.load(SeqCst);
            async move {
                let mut answer = text(name);
                if !is_well {
                    *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                }
                answer
            }
        });
        Switchable { origin, healthy }
    })
}

/// The endpoint of this origin, with further keys.
fn with(origin: &Origin, keys: &str) -> String {
    format!("{{ address = \"{}\"{keys} }}", origin.address())
}

fn proxy(upstream: &str, endpoints: &[String]) -> Proxy {
    start(&configured(upstream, endpoints))
}

fn configured(upstream: &str, endpoints: &[String]) -> String {
    let endpoints = format!("endpoints = [{}]", endpoints.join(", "));
    format!("workers = 1\n{ADMIN}{}", config("", &format!("{upstream}\n{endpoints}")))
}

/// Who answers so many requests on one connection, and how many each.
fn counted(proxy: &Proxy, requests: usize) -> BTreeMap<String, usize> {
    let mut client = Client::connect(proxy.address(0));
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let answer = client.get("/");
        assert_eq!(answer.status(), 200);
        *counts.entry(answer.text()).or_default() += 1;
    }
    counts
}

fn states(proxy: &Proxy) -> Vec<String> {
    let page = client::get(proxy.admin(), "/upstreams").json();
    let endpoints = page[0]["endpoints"].as_array().unwrap().clone();
    endpoints.iter().map(|endpoint| endpoint["state"].as_str().unwrap().to_owned()).collect()
}

/// Six standard deviations of a binomial distribution: wrong once in five hundred million runs.
#[track_caller]
fn assert_share(count: usize, of: usize, share: f64) {
    let (mean, n) = (of as f64 * share, of as f64);
    let bound = 6.0 * (n * share * (1.0 - share)).sqrt();
    assert!((count as f64 - mean).abs() <= bound, "{count} of {of}, expected {mean:.0} give or take {bound:.0}");
}

#[test]
fn when_too_few_are_healthy_all_are_used() {
    let all = origins(["a", "b", "c", "d"]);
    let endpoints = all.each_ref().map(|one| with(&one.origin, ""));
    let proxy = proxy(&format!("{CHECKED}panic-threshold = 0.5"), &endpoints);
    for one in &all[..2] {
        one.healthy.store(false, SeqCst);
    }
    wait_until("two to be down", || states(&proxy).iter().filter(|state| *state == "unhealthy").count() == 2);
    assert_eq!(counted(&proxy, 20), BTreeMap::from([("c".to_owned(), 10), ("d".to_owned(), 10)]));
    proxy.wait_for_admin("/metrics", "jackfield_upstream_panic{upstream=\"api\",tier=\"0\"} 0\n");
    all[2].healthy.store(false, SeqCst);
    let line = proxy.wait_for_log("panic: too few endpoints are healthy, all are used");
    assert!(line.contains("\"endpoints\":4"), "{line}");
    assert_eq!(counted(&proxy, 20).into_values().collect::<Vec<_>>(), [5; 4]);
    proxy.wait_for_admin("/metrics", "jackfield_upstream_panic{upstream=\"api\",tier=\"0\"} 1\n");
    // It is still told who is down, and why.
    let page = client::get(proxy.admin(), "/upstreams").json();
    assert_eq!(page[0]["tiers"][0]["panic"], true);
    assert_eq!(page[0]["endpoints"][0]["check"], "status 500, expected 200-299");
    all[0].healthy.store(true, SeqCst);
    proxy.wait_for_log("panic is over");
    wait_until("only the healthy ones", || counted(&proxy, 20).into_keys().collect::<String>() == "ad");
    assert_eq!(proxy.log().iter().filter(|line| line.starts_with("panic: ")).count(), 1);
}

/// What every balancer does is the same: it chooses within the tier that it is given.
#[test]
fn the_next_tier_takes_what_the_first_cannot() {
    let all = origins(["a", "b", "c", "x", "y"]);
    // Three of five: 1.4 times 0.6 stays.
    let drained: Vec<String> = (0..2).map(|_| format!("{{ address = \"{}\", drain = true }}", nobody())).collect();
    let first = all[..3].iter().map(|one| with(&one.origin, ""));
    let second = all[3..].iter().map(|one| with(&one.origin, ", tier = 1"));
    let endpoints: Vec<String> = second.chain(drained).chain(first).collect();
    for balancer in [
        "round-robin",
        "weighted-round-robin",
        "least-connections",
        "weighted-least-connections",
        "least-response-time",
        "resource-based",
        "random",
        "power-of-two-choices",
    ] {
        let proxy = proxy(&format!("balancer = \"{balancer}\""), &endpoints);
        let counts = counted(&proxy, 1000);
        let of = |name: &str| counts.get(name).copied().unwrap_or(0);
        assert_share(of("x") + of("y"), 1000, 0.16);
        // Some have favourites among equals; those that go by turns or at random have none.
        if ["round-robin", "random"].contains(&balancer) {
            assert_eq!(counts.len(), 5, "{balancer}: {counts:?}");
        }
    }
    // These keep a client where it is, within each tier.
    for balancer in ["ip-hash", "maglev"] {
        let counts = counted(&proxy(&format!("balancer = \"{balancer}\""), &endpoints), 1000);
        assert_eq!(counts.len(), 2, "{balancer}: {counts:?}");
        assert_share(counts.get("x").or(counts.get("y")).copied().unwrap(), 1000, 0.16);
    }
}

#[test]
fn a_tier_that_is_gone_is_replaced_and_comes_back() {
    let all = origins(["a", "b", "x"]);
    let [a, b, x] = all.each_ref().map(|one| &one.origin);
    let endpoints = [with(a, ""), with(b, ""), with(x, ", backup = true")];
    let proxy = proxy(CHECKED, &endpoints);
    assert_eq!(counted(&proxy, 100).into_keys().collect::<String>(), "ab");
    proxy.wait_for_admin("/metrics", "jackfield_upstream_tier_share{upstream=\"api\",tier=\"1\"} 0\n");
    // Half of it: 1.4 times 0.5 stays.
    all[0].healthy.store(false, SeqCst);
    wait_until("a to be down", || states(&proxy)[0] == "unhealthy");
    let counts = counted(&proxy, 2000);
    assert_share(counts["x"], 2000, 0.3);
    assert_eq!(counts.len(), 2, "{counts:?}");
    all[1].healthy.store(false, SeqCst);
    wait_until("b to be down", || states(&proxy)[1] == "unhealthy");
    assert_eq!(counted(&proxy, 100), BTreeMap::from([("x".to_owned(), 100)]));
    proxy.wait_for_admin("/metrics", "jackfield_upstream_tier_share{upstream=\"api\",tier=\"1\"} 1\n");
    for one in &all[..2] {
        one.healthy.store(true, SeqCst);
    }
    wait_until("both to be up", || states(&proxy)[..2] == ["healthy", "healthy"]);
    assert_eq!(counted(&proxy, 100).into_keys().collect::<String>(), "ab");
}

#[test]
fn a_retry_may_go_to_the_next_tier() {
    let [good] = origins(["x"]);
    let dead = format!("\"{}\"", nobody());
    let proxy = proxy("", &[dead, with(&good.origin, ", tier = 7")]);
    assert_eq!(counted(&proxy, 50), BTreeMap::from([("x".to_owned(), 50)]));
    let page = client::get(proxy.admin(), "/upstreams").json();
    assert_eq!(page[0]["endpoints"][0]["failures"], 50, "each request tried the first tier first");
    assert_eq!((&page[0]["tiers"][0]["share"], &page[0]["tiers"][1]["tier"]), (&1.0.into(), &7.into()));
}

/// A tier comes back with as little of the traffic as its endpoints may take.
#[test]
fn a_tier_returns_slowly() {
    let all = origins(["a", "x"]);
    let endpoints = [with(&all[0].origin, ""), with(&all[1].origin, ", tier = 1")];
    let proxy = proxy(&format!("{CHECKED}slow-start = \"10h\""), &endpoints);
    assert_eq!(counted(&proxy, 50).into_keys().collect::<String>(), "a");
    all[0].healthy.store(false, SeqCst);
    wait_until("a to be down", || states(&proxy)[0] == "unhealthy");
    all[0].healthy.store(true, SeqCst);
    wait_until("a to be up", || states(&proxy)[0] == "healthy");
    assert_share(counted(&proxy, 2000)["a"], 2000, 0.14);
}

#[test]
fn who_returns_begins_with_a_tenth_of_its_weight() {
    let all = origins(["a", "b"]);
    let endpoints = all.each_ref().map(|one| with(&one.origin, ""));
    let slow = |window: &str| {
        configured(&format!("balancer = \"weighted-round-robin\"\n{CHECKED}slow-start = \"{window}\""), &endpoints)
    };
    let proxy = start(&slow("10h"));
    assert_eq!(counted(&proxy, 20).into_values().collect::<Vec<_>>(), [10, 10], "nobody ramps up at the start");
    all[1].healthy.store(false, SeqCst);
    wait_until("b to be down", || states(&proxy)[1] == "unhealthy");
    assert_eq!(counted(&proxy, 20).into_keys().collect::<String>(), "a");
    all[1].healthy.store(true, SeqCst);
    wait_until("b to be up", || states(&proxy)[1] == "healthy");
    assert_eq!(counted(&proxy, 110), BTreeMap::from([("a".to_owned(), 100), ("b".to_owned(), 10)]));
    let page = client::get(proxy.admin(), "/upstreams").json();
    let endpoint = &page[0]["endpoints"][1];
    assert_eq!((&endpoint["weight"], &endpoint["slow_start"]), (&1.into(), &0.1.into()));
    let weight =
        format!("jackfield_endpoint_weight{{upstream=\"api\",endpoint=\"{}\"}} 0.1\n", all[1].origin.address());
    proxy.wait_for_admin("/metrics", &weight);
    // A reload goes on with the ramp; a shorter one ends soon.
    proxy.change_config(&slow("1ms")).unwrap();
    proxy.wait_for_log("endpoint has its full weight again");
    assert_eq!(counted(&proxy, 20).into_values().collect::<Vec<_>>(), [10, 10]);
}

/// The weight grows while time passes, by more than one step, and nobody asks for it.
#[test]
fn a_ramp_ends_by_itself() {
    let all = origins(["a", "b"]);
    let endpoints = all.each_ref().map(|one| with(&one.origin, ""));
    let proxy = proxy(&format!("balancer = \"weighted-round-robin\"\n{CHECKED}slow-start = \"5s\""), &endpoints);
    all[1].healthy.store(false, SeqCst);
    wait_until("b to be down", || states(&proxy)[1] == "unhealthy");
    all[1].healthy.store(true, SeqCst);
    let mut seen = Vec::new();
    let weight = format!("jackfield_endpoint_weight{{upstream=\"api\",endpoint=\"{}\"}} ", all[1].origin.address());
    wait_until("its full weight", || {
        let page = client::get(proxy.admin(), "/metrics").text();
        let value = page.lines().find_map(|line| line.strip_prefix(&weight)).unwrap().parse::<f64>().unwrap();
        if seen.last() != Some(&value) {
            seen.push(value);
        }
        proxy.log_contains("endpoint has its full weight again") && value >= 1.0
    });
    let ramp: Vec<f64> = seen.into_iter().skip_while(|weight| *weight >= 1.0).collect();
    assert!(ramp.is_sorted() && ramp.len() >= 2, "{ramp:?}");
    assert_eq!(counted(&proxy, 20).into_values().collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn who_is_added_begins_slowly_too() {
    let all = origins(["a", "b", "c"]);
    let endpoints = all.each_ref().map(|one| with(&one.origin, ""));
    let upstream = "balancer = \"weighted-round-robin\"\nslow-start = \"10h\"";
    let proxy = proxy(upstream, &endpoints[..2]);
    assert_eq!(counted(&proxy, 20).into_values().collect::<Vec<_>>(), [10, 10]);
    proxy.change_config(&configured(upstream, &endpoints)).unwrap();
    assert_eq!(counted(&proxy, 210).into_values().collect::<Vec<_>>(), [100, 100, 10]);
}
