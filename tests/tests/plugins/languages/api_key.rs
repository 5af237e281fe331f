//! `api-key`: a filter with settings that answers in the endpoint's place, or edits headers.

use jackfield::config::PluginKind;
use jackfield::plugin::{Filter, Outcome};
use jackfield_tests::host::Host;
use jackfield_tests::{Message, Origin, client};
use serde_json::Value;

use super::{assert_no_failures, build, host, no_failures, proxy, refused, request, used};

pub(super) const NAME: &str = "api-key";
pub(super) const SETTINGS: &str = "{\"keys\":{\"k-1\":\"alice\",\"k-2\":\"bob\"}}";

pub(super) fn battery(language: &str) {
    let Some(wasm) = build(language, NAME) else { return };
    // First what compiles without a proxy's deadline: it finds it in the cache then.
    let host = host();
    ten_thousand_requests_leave_nothing_behind(&host, &wasm);
    keys_become_consumers(&wasm);
    let settings = [
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[\"k\"]}",
        "{\"keys\":\"k\"}",
        "{\"keys\":null}",
        "{\"keys\":{\"k\":7}}",
        "{\"keys\":{\"k\":null}}",
        "{\"keys\":{\"k\":\"c\",\"l\":7}}",
        "{\"keys\":{\"k\":{\"l\":\"c\"}}}",
        "{\"keys\":{\"k\":\"c\"},\"more\":1}",
        "{\"key\":{\"k\":\"c\"}}",
    ];
    refused(&host, &wasm, PluginKind::HttpFilter, &settings, "api-key needs {\"keys\": {\"KEY\": \"CONSUMER\"}}");
}

fn keys_become_consumers(wasm: &[u8]) {
    let origin = Origin::echo("api");
    let filter = used(NAME, "{ keys = { k-1 = \"alice\", k-2 = \"bob\" } }", "");
    let config = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\nfilters = [{filter}]\n\
         [upstream.api]\nendpoints = [\"{}\"]\n",
        origin.address()
    );
    let proxy = proxy(NAME, wasm, &config);
    let ask = |lines: &[&str]| client::get_with(proxy.address(0), "/", lines);

    let strangers: &[&[&str]] = &[
        &[],
        &["x-api-key:"],
        &["x-api-key: k-3"],
        &["x-api-key: k-"],
        &["x-api-key: k-11"],
        &["x-api-key: K-1"],
        &["x-api-key: alice"],
        &["x-api-key: __proto__"],
        &["x-api-key: constructor"],
        &["x-api-key: \u{e4}"],
        &["x-api-key: k-3", "x-api-key: k-1"],
        &["x-consumer: alice"],
        &["authorization: k-1"],
    ];
    for lines in strangers {
        is_refused(&ask(lines));
    }
    assert_eq!(origin.requests(), 0);

    let known: &[(&[&str], &str)] = &[
        (&["x-api-key: k-1"], "alice"),
        (&["X-API-Key: k-2"], "bob"),
        (&["x-api-key: k-1", "x-api-key: k-3"], "alice"),
        (&["x-api-key: k-2", "x-consumer: alice"], "bob"),
        (&["X-Consumer: alice", "x-api-key: k-2", "x-consumer: root"], "bob"),
    ];
    for (lines, consumer) in known {
        let seen = ask(lines).json();
        assert_eq!(seen["headers"]["x-consumer"], *consumer, "{lines:?}");
        assert_eq!(seen["headers"]["x-api-key"], Value::Null, "{lines:?}");
    }
    no_failures(&proxy);
}

#[track_caller]
fn is_refused(answer: &Message) {
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.head.all("www-authenticate"), ["ApiKey"]);
    assert_eq!(answer.head.all("content-type"), ["text/plain"]);
    assert_eq!(answer.text(), "a valid x-api-key is needed\n");
}

/// Every second request has a key that is long enough for 64 MiB to be reached if it were kept.
fn ten_thousand_requests_leave_nothing_behind(host: &Host, wasm: &[u8]) {
    let usage = host.usage_of(wasm, PluginKind::HttpFilter, SETTINGS, None);
    let mut filter = Filter::start(&usage, 0).unwrap();
    assert!(filter.wants_request() && !filter.wants_response());
    let long = "k".repeat(16 << 10);
    for turn in 0..10_000 {
        let known = turn % 2 == 0;
        let key = if known { "k-2" } else { &long };
        let (exchange, outcome) = filter.on_request(request(&[("x-api-key", key)]));
        assert!(matches!(outcome, Outcome::Continue));
        let consumer = exchange.request.as_ref().unwrap().headers.get("x-consumer");
        assert_eq!(consumer.map(|consumer| consumer.to_str().unwrap()), known.then_some("bob"));
        assert_eq!(exchange.answer.map(|answer| answer.status.as_u16()), (!known).then_some(401));
    }
    assert_no_failures(&usage);
}
