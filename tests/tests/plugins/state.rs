//! The stores that plugins share: by all workers and by whoever is granted them, over reloads and new
//! versions, and never beyond their bound.

use std::time::{Duration, Instant};

use jackfield_tests::host::guest;
use jackfield_tests::{Proxy, client, wait_until};

use crate::{at_once, metric, put, start, with_plugins};

/// Two routes whose filters have a store each, and one that has both.
fn config(workers: usize, first: &str, stores: &str) -> String {
    let keep = |store: &str, grants: &str| {
        format!(
            "{{ plugin = \"keep\", settings = {{ store = \"{store}\" }}, grants = [{grants}], deadline = \"10s\" }}"
        )
    };
    format!(
        r#"
workers = {workers}
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/a/", upstream = "api", filters = [{}] }},
  {{ path = "/b/", upstream = "api", filters = [{}] }},
  {{ path = "/both/", upstream = "api", filters = [{}] }},
]
[upstream.api]
endpoints = ["127.0.0.1:1"]
{stores}
"#,
        keep(first, &format!("\"state:{first}\"")),
        keep("b", "\"state:b\""),
        keep("b", &format!("\"state:{first}\", \"state:b\"")),
    )
}

#[track_caller]
fn ask(proxy: &Proxy, path: &str) -> String {
    let answer = client::get(proxy.address(0), path);
    assert_eq!(answer.status(), 200, "{path}");
    answer.text()
}

fn of_store(proxy: &Proxy, what: &str, store: &str) -> u64 {
    metric(proxy, &format!("jackfield_state_{what}{{store=\"{store}\"}}"))
}

#[test]
fn workers_that_add_and_swap_at_once_lose_nothing() {
    const CLIENTS: usize = 16;
    const REQUESTS: usize = 250;
    let proxy = start(&config(4, "a", ""), &["keep"]);
    let path = |request: usize| if request.is_multiple_of(2) { "/a/add/sum" } else { "/a/swap/swapped" }.to_owned();
    at_once(CLIENTS, REQUESTS, proxy.address(0), path);
    let each = CLIENTS * REQUESTS / 2;
    assert_eq!(ask(&proxy, "/a/number/sum"), format!("Some({each})"));
    assert_eq!(ask(&proxy, "/a/get/swapped"), each.to_string());
}

#[test]
fn an_entry_ends_with_its_time_and_no_sooner() {
    let proxy = start(&config(2, "a", ""), &["keep"]);
    let begin = Instant::now();
    assert_eq!(ask(&proxy, "/a/set/session?value=mine&ttl=400"), "ok");
    wait_until("the end of the entry", || {
        let found = ask(&proxy, "/a/get/session");
        let over = found == "nothing";
        // The proxy counts in whole milliseconds.
        assert!(over || found == "mine");
        assert!(!over || begin.elapsed() > Duration::from_millis(399), "{:?}", begin.elapsed());
        over
    });
    assert_eq!(ask(&proxy, "/a/add/count?ttl=300"), "1");
    wait_until("the count to begin anew, though it is counted on", || ask(&proxy, "/a/add/count?ttl=300") == "1");
    assert_eq!(ask(&proxy, "/a/set/lasting?value=1"), "ok");
    assert_eq!([ask(&proxy, "/a/remove/lasting"), ask(&proxy, "/a/remove/lasting")], ["true", "false"]);
}

#[test]
fn a_store_belongs_to_whoever_is_granted_it() {
    let proxy = start(&config(2, "a", ""), &["keep"]);
    ask(&proxy, "/a/set/key?value=of-a");
    ask(&proxy, "/b/set/key?value=of-b");
    assert_eq!(ask(&proxy, "/both/get/key"), "of-b");
    assert_eq!(ask(&proxy, "/a/get/key"), "of-a");
    assert_eq!([ask(&proxy, "/a/open/b"), ask(&proxy, "/a/open/c")], ["not-granted", "not-granted"]);
    assert_eq!([ask(&proxy, "/both/open/a"), ask(&proxy, "/both/open/b")], ["ok", "ok"]);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let proxy = start(&config(1, "a", "[state.a]\nmemory = \"64KiB\""), &["keep"]);
    assert_eq!(
        ask(&proxy, "/b/wrong/"),
        "malformed malformed malformed malformed ok not-a-number None false ok",
        "keys, values, numbers; and what is just small enough"
    );
    assert!(ask(&proxy, "/a/wrong/").ends_with(" None false full"), "64 KiB do not fit where 64 KiB are all");
}

/// Two hundred thousand entries of next to nothing, then a gigabyte, into eight megabytes.
#[test]
fn a_plugin_that_fills_its_store_harms_nobody_else() {
    const MEMORY: u64 = 8 << 20;
    let proxy = start(&config(2, "a", &format!("[state.a]\nmemory = {MEMORY}")), &["keep"]);
    ask(&proxy, "/b/set/mine?value=still-there");
    at_once(4, 1, proxy.address(0), |_| "/a/tiny/".to_owned());
    let before = proxy.memory();
    at_once(4, 25, proxy.address(0), |_| "/a/tiny/".to_owned());
    // What an entry really takes is what it is counted as, or less.
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < MEMORY + (4 << 20), "{} KiB", grown >> 10);
    assert!(of_store(&proxy, "entries", "a") > 20_000);
    for _ in 0..20 {
        assert_eq!(ask(&proxy, "/a/large/"), "refused=0");
    }
    for what in ["bytes", "limit_bytes"] {
        assert!(of_store(&proxy, what, "a") <= MEMORY);
    }
    assert!(of_store(&proxy, "evictions_total", "a") > 150_000);
    assert!(proxy.memory().saturating_sub(before) < 2 * MEMORY);
    assert_eq!(ask(&proxy, "/b/get/mine"), "still-there");
    assert_eq!(of_store(&proxy, "evictions_total", "b"), 0);
    let page = client::get(proxy.admin(), "/plugins").json();
    assert_eq!(page["stores"][0]["limit"], MEMORY);
    let failures = "jackfield_plugin_failures_total{plugin=\"keep\",place=\"listener[0].routes[0].filters[0]\"}";
    assert_eq!(metric(&proxy, failures), 0);
}

#[test]
fn stores_outlive_reloads_and_new_versions_but_not_their_last_use() {
    let proxy = start(&config(2, "a", ""), &["keep"]);
    ask(&proxy, "/a/set/key?value=old");
    ask(&proxy, "/a/tiny/");
    let full = of_store(&proxy, "bytes", "a");
    // The smaller limit throws out at once; the last one written goes last.
    ask(&proxy, "/a/set/last?value=old");
    proxy.change_config(&with_plugins(&config(2, "a", "[state.a]\nmemory = \"64KiB\""))).unwrap();
    assert!(full > 64 << 10 && of_store(&proxy, "bytes", "a") <= 64 << 10);
    assert_eq!([ask(&proxy, "/a/get/last"), ask(&proxy, "/a/get/key")], ["old", "nothing"]);

    put(&proxy.plugins_folder(), "keep", &crate::patched(&guest("keep"), "no-such-action", "NO-SUCH-ACTION"));
    wait_until("the new version", || ask(&proxy, "/a/what/") == "NO-SUCH-ACTION");
    assert_eq!(ask(&proxy, "/a/get/last"), "old");

    proxy.change_config(&with_plugins(&config(2, "other", ""))).unwrap();
    assert_eq!(ask(&proxy, "/a/get/last"), "nothing");
    proxy.change_config(&with_plugins(&config(2, "a", ""))).unwrap();
    assert_eq!(ask(&proxy, "/a/get/last"), "nothing", "nobody was granted it for a while");
}
