//! Plugins that trap, never end, eat memory or answer nonsense. Every request is answered by the
//! policy of the plugin's use, the only worker serves on, and whoever does not use the plugin does
//! not notice.

use std::time::{Duration, Instant};

use jackfield_tests::{Client, Origin, Proxy, client, wait_until};

use crate::{metric, start};

const DEADLINE: Duration = Duration::from_millis(50);
/// For a busy machine, and for an `update`, which may take five times as long.
const GENEROUS: Duration = Duration::from_secs(5);

fn config(origin: &Origin, action: &str) -> String {
    let misbehave = |policy: &str| {
        format!("{{ plugin = \"misbehave\", settings = {{ do = \"{action}\" }}, on-failure = \"{policy}\" }}")
    };
    let endpoints = format!("endpoints = [\"{}\"]", origin.address());
    format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/good/", upstream = "good", filters = ["x-forwarded-for"] }},
  {{ path = "/fallback/", upstream = "fallback" }},
  {{ path = "/closed/", upstream = "closed" }},
  {{ path = "/open/", upstream = "good", filters = [{open}] }},
  {{ path = "/shut/", upstream = "good", filters = [{closed}] }},
]
[upstream.good]
{endpoints}
[upstream.fallback]
balancer = {fallback}
{endpoints}
[upstream.closed]
balancer = {closed}
{endpoints}
"#,
        open = misbehave("open"),
        closed = misbehave("closed"),
        fallback = misbehave("fallback"),
    )
}

#[track_caller]
fn ask(client: &mut Client, path: &str, expected: u16) {
    let begin = Instant::now();
    assert_eq!(client.get(path).status(), expected, "{path}");
    assert!(begin.elapsed() < DEADLINE + GENEROUS, "{path}: {:?}", begin.elapsed());
}

/// How many failures it takes at least: five, or two that held everybody up for long.
fn until_quarantine(action: &str) -> u64 {
    if ["trap", "panic", "out-of-range"].contains(&action) { 3 } else { 2 }
}

/// Each request is answered by policy, from the first to the last before quarantine and after it.
#[track_caller]
fn hostile_everywhere(action: &str) {
    let origin = Origin::echo("a");
    let proxy = start(&config(&origin, action), &["misbehave"]);
    let mut client = Client::connect(proxy.address(0));
    let quarantined = |place: &str| {
        proxy.log_lines().iter().any(|line| line.contains("quarantined") && line.contains(&format!("\"{place}\"")))
    };
    for (path, place, expected) in [
        ("/fallback/", "upstream.fallback.balancer", 200),
        ("/closed/", "upstream.closed.balancer", 503),
        ("/open/", "listener[0].routes[3].filters[0]", 200),
        ("/shut/", "listener[0].routes[4].filters[0]", 503),
    ] {
        if path.starts_with("/open") && is_balancers(action) {
            break;
        }
        wait_until(&format!("{place} to be quarantined"), || {
            ask(&mut client, path, expected);
            ask(&mut client, "/good/", 200);
            quarantined(place)
        });
        (0..3).for_each(|_| ask(&mut client, path, expected));
        assert!(failures(&proxy, place) >= until_quarantine(action), "counted always");
        let told = format!("\"{place}\"");
        let lines = |text: &str| proxy.log_lines().iter().filter(|l| l.contains(text) && l.contains(&told)).count();
        assert_eq!(lines("plugin failed"), 1, "logged once");
    }
    assert_eq!(failures(&proxy, "listener[0].routes[0].filters[0]"), 0);
    assert_eq!(failures(&proxy, "upstream.good.balancer"), 0);
    assert_eq!(client::get(proxy.address(0), "/good/").json()["headers"]["x-forwarded-for"], "127.0.0.1");
}

/// What only a balancer can do wrong.
fn is_balancers(action: &str) -> bool {
    action == "out-of-range"
}

#[track_caller]
fn failures(proxy: &Proxy, place: &str) -> u64 {
    let plugin = match place {
        "listener[0].routes[0].filters[0]" => "x-forwarded-for",
        "upstream.good.balancer" => "round-robin",
        _ => "misbehave",
    };
    metric(proxy, &format!("jackfield_plugin_failures_total{{plugin=\"{plugin}\",place=\"{place}\"}}"))
}

#[test]
fn an_endless_loop() {
    hostile_everywhere("loop");
}

#[test]
fn an_endless_recursion() {
    hostile_everywhere("recurse");
}

#[test]
fn a_memory_bomb() {
    hostile_everywhere("bomb");
}

#[test]
fn a_trap() {
    hostile_everywhere("trap");
}

#[test]
fn a_panic() {
    hostile_everywhere("panic");
}

#[test]
fn an_answer_out_of_range() {
    hostile_everywhere("out-of-range");
}

#[test]
fn a_trap_and_a_slow_start_each_time() {
    hostile_everywhere("slow-start-and-trap");
}

#[test]
fn a_quarantine_ends() {
    let origin = Origin::echo("a");
    let proxy = start(&config(&origin, "trap"), &["misbehave"]);
    let mut client = Client::connect(proxy.address(0));
    let place = "upstream.fallback.balancer";
    wait_until("the quarantine", || {
        ask(&mut client, "/fallback/", 200);
        proxy.log_contains("quarantined")
    });
    let in_quarantine = failures(&proxy, place);
    wait_until("the plugin to be called again", || {
        ask(&mut client, "/fallback/", 200);
        failures(&proxy, place) > in_quarantine
    });
}

/// A new version gets its chance at once.
#[test]
fn a_new_version_ends_a_quarantine() {
    let origin = Origin::echo("a");
    let proxy = start(&config(&origin, "trap"), &["misbehave"]);
    let mut client = Client::connect(proxy.address(0));
    wait_until("the quarantine", || {
        ask(&mut client, "/closed/", 503);
        proxy.log_contains("quarantined")
    });
    crate::put(&proxy.plugins_folder(), "misbehave", &jackfield_tests::host::guest("version"));
    proxy.wait_for_log("configuration replaced");
    ask(&mut client, "/closed/", 200);
}

#[test]
fn a_balancer_that_chooses_nobody_is_obeyed() {
    let origin = Origin::echo("a");
    let proxy = start(&config(&origin, "nobody"), &["misbehave"]);
    let mut client = Client::connect(proxy.address(0));
    for path in ["/fallback/", "/closed/"] {
        ask(&mut client, path, 503);
    }
    assert_eq!(failures(&proxy, "upstream.fallback.balancer"), 0);
}

/// `then` of a good balancer.
fn wrapped(origin: &Origin, outer: &str, outer_does: &str, inner: &str) -> String {
    format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
upstream = "api"
[upstream.api]
balancer = {{ plugin = "{outer}", settings = {{ {outer_does} }}, then = {inner} }}
endpoints = ["{}"]
"#,
        origin.address()
    )
}

#[test]
fn a_hostile_delegate_is_not_its_wrappers_fault() {
    let origin = Origin::echo("a");
    for action in ["loop", "recurse", "trap", "out-of-range"] {
        let inner = format!("{{ plugin = \"misbehave\", settings = {{ do = \"{action}\" }} }}");
        let proxy = start(&wrapped(&origin, "sticky-cookie", "name = \"s\"", &inner), &["misbehave"]);
        let mut client = Client::connect(proxy.address(0));
        let failures = |plugin: &str, place: &str| {
            metric(&proxy, &format!("jackfield_plugin_failures_total{{plugin=\"{plugin}\",place=\"{place}\"}}"))
        };
        wait_until("the delegate's quarantine", || {
            let answer = client.get("/");
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.head.all("set-cookie").len(), 1);
            failures("misbehave", "upstream.api.balancer.then") >= until_quarantine(action)
        });
        assert_eq!(failures("sticky-cookie", "upstream.api.balancer"), 0);
    }
}

#[test]
fn a_wrapper_that_never_stops_asking_is_stopped() {
    let origin = Origin::echo("a");
    let proxy = start(&wrapped(&origin, "misbehave", "do = \"delegate-endlessly\"", "\"round-robin\""), &["misbehave"]);
    let mut client = Client::connect(proxy.address(0));
    (0..8).for_each(|_| ask(&mut client, "/", 200));
    let place = "{plugin=\"round-robin\",place=\"upstream.api.balancer.then\"}";
    assert_eq!(metric(&proxy, &format!("jackfield_plugin_failures_total{place}")), 0);
}

#[test]
fn a_chain_of_eight_is_deep_enough_and_stands() {
    let origin = Origin::echo("a");
    let delegate = "{ plugin = \"misbehave\", settings = { do = \"delegate\" }, then = ".repeat(7);
    let inner = format!("{delegate}{{ plugin = \"misbehave\", settings = {{ do = \"recurse\" }} }}{}", " }".repeat(7));
    let proxy = start(&wrapped(&origin, "misbehave", "do = \"delegate\"", &inner), &["misbehave"]);
    let mut client = Client::connect(proxy.address(0));
    (0..8).for_each(|_| ask(&mut client, "/", 200));
    let outer = "{plugin=\"misbehave\",place=\"upstream.api.balancer\"}";
    assert_eq!(metric(&proxy, &format!("jackfield_plugin_failures_total{outer}")), 0);
}
