//! What plugins get of WASI: enough for a language runtime to start, and nothing of the outside.

use jackfield_tests::{Client, Origin, Proxy, wait_until};

use crate::{metric, start};

fn started(origin: &Origin, action: &str) -> Proxy {
    started_with(origin, action, r#""clock", "random", "log""#)
}

fn started_with(origin: &Origin, action: &str, grants: &str) -> Proxy {
    let config = format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
upstream = "api"
[upstream.api]
balancer = {{ plugin = "wasi", settings = {{ do = "{action}" }}, grants = [{grants}] }}
endpoints = ["{}"]
"#,
        origin.address()
    );
    start(&config, &["wasi"])
}

#[track_caller]
fn ask(proxy: &Proxy) {
    assert_eq!(Client::connect(proxy.address(0)).get("/").status(), 200);
}

fn failures(proxy: &Proxy) -> u64 {
    metric(proxy, "jackfield_plugin_failures_total{plugin=\"wasi\",place=\"upstream.api.balancer\"}")
}

/// The guest checks all that it is given, and refuses its settings when something is amiss.
#[test]
fn clocks_and_randomness_are_there_and_nothing_else_is() {
    let origin = Origin::echo("a");
    let proxy = started(&origin, "nothing");
    ask(&proxy);
    assert_eq!(failures(&proxy), 0);
}

#[test]
fn what_it_prints_reaches_the_log_line_by_line() {
    let origin = Origin::echo("a");
    let proxy = started(&origin, "print");
    ask(&proxy);
    for line in ["first line", "second line"] {
        let logged = proxy.wait_for_log(line);
        for part in ["\"plugin\":\"wasi\"", "\"stream\":\"stdout\"", &format!("\"message\":\"{line}\"")] {
            assert!(logged.contains(part), "{logged}");
        }
    }
    assert_eq!(failures(&proxy), 0);
}

#[test]
fn its_last_words_and_where_it_died_reach_the_log() {
    let origin = Origin::echo("a");
    let proxy = started(&origin, "panic");
    ask(&proxy);
    for line in ["panicked at src/lib.rs:", "the reason of it"] {
        assert!(proxy.wait_for_log(line).contains("\"stream\":\"stderr\""));
    }
    let failed = proxy.wait_for_log("plugin failed");
    for part in ["; it said: panicked at src/lib.rs: the reason of it\"", "die_of_a_panic"] {
        assert!(failed.contains(part), "{failed}");
    }
}

#[test]
fn a_flood_is_dammed() {
    let origin = Origin::echo("a");
    let proxy = started(&origin, "flood");
    ask(&proxy);
    proxy.wait_for_log("flood");
    // Ten lines a second; the call may fall into two of them.
    assert!(proxy.log().iter().filter(|message| *message == "flood").count() <= 20);
    assert_eq!(failures(&proxy), 0);
}

#[test]
fn what_would_stall_or_end_a_worker_is_a_failure_of_the_plugin() {
    let origin = Origin::echo("a");
    for (action, reason) in [
        ("sleep", "trapped: it wanted to sleep or wait, which a plugin cannot"),
        ("exit", "trapped: it called exit, with a failure"),
        ("greedy", "trapped: it asked for 1099511627776 random bytes at once"),
    ] {
        let proxy = started(&origin, action);
        ask(&proxy);
        wait_until("the failure", || failures(&proxy) == 1);
        assert!(proxy.wait_for_log("plugin failed").contains(reason), "{:?}", proxy.log_lines());
    }
}
