//! A plugin that tries what no plugin may: everything is refused with a reason, and what reaches
//! the endpoint and the client stays HTTP.

use std::net::SocketAddr;

use jackfield_tests::{Client, Origin, Proxy, RawOrigin};

use crate::start;

fn meddling(origin: SocketAddr) -> Proxy {
    let config = format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/meddle/", upstream = "api", filters = [{{ plugin = "meddle", grants = ["log"] }}] }},
  {{ path = "/pick/", upstream = "picked" }},
]
[upstream.api]
endpoints = ["{origin}"]
[upstream.picked]
balancer = {{ plugin = "meddle", grants = ["log"], then = "round-robin" }}
endpoints = ["{origin}"]
[upstream.other]
endpoints = ["{origin}"]
"#
    );
    start(&config, &["meddle"])
}

#[track_caller]
fn check(path: &str, expected: &str) {
    let origin = Origin::echo("a");
    let proxy = meddling(origin.address());
    let answer = Client::connect(proxy.address(0)).get(path);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), expected);
    assert_eq!(origin.requests(), 0);
}

#[test]
fn headers_that_are_not_a_plugins() {
    check(
        "/meddle/headers",
        r#""content-length"=Forbidden
"Transfer-Encoding"=Forbidden
"connection"=Forbidden
"keep-alive"=Forbidden
"te"=Forbidden
"trailer"=Forbidden
"upgrade"=Forbidden
"proxy-connection"=Forbidden
"host"=Forbidden
":path"=Malformed
""=Malformed
"a b"=Malformed
"a\r\nb"=Malformed
"ä"=Malformed
"X-Good"=ok
"a\r\nx-injected: 1"=Malformed
"a\nb"=Malformed
"a\0b"=Malformed
"\u{7f}"=Malformed
"tab\tand ä"=ok
bytes=ok
bytes-newline=Malformed
append=Forbidden
join=Forbidden
join-value=Malformed
copy=Forbidden
copy-nothing=Unknown
remove=Forbidden"#,
    );
}

#[test]
fn prepared_edits_are_no_way_around() {
    check(
        "/meddle/prepared",
        "length=Forbidden
remove-host=Forbidden
name=Malformed
value=Malformed
source=Malformed
text=TooMany
made=0
without-value=1
on-the-response=4294967295
lists=1020",
    );
}

#[test]
fn messages_that_are_none() {
    check(
        "/meddle/messages",
        "method=Malformed
connect=Forbidden
path=Malformed
path-space=Malformed
host=Malformed
host-user=Malformed
host-newline=Malformed
upstream=Unknown
answer-101=Malformed
answer-999=Malformed
answer-length=Forbidden
answer-newline=Malformed
answer-headers=TooMany
answer-body=TooMany
response=Forbidden
path-kept=/meddle/messages
host-kept=test.example",
    );
}

#[test]
fn more_than_there_is_room_for() {
    check("/meddle/notes", "kept=32\nagain=ok\nhuge=TooMany\nnote=Some(\"2\")");
    // 256 KiB, all edits of an exchange together.
    check("/meddle/huge", "set=26");
}

#[test]
fn a_flood_of_headers_ends_at_the_bound_and_the_request_goes_on() {
    let origin = RawOrigin::start(|mut connection| {
        while let Some(request) = connection.request() {
            let body = format!("{} {:?}", request.head.headers.len(), request.header("x-report"));
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let proxy = meddling(origin.address());
    let mut client = Client::connect(proxy.address(0));
    // 256 lines in all, the client's own among them.
    assert_eq!(client.get("/meddle/flood").text(), "256 Some(\"255\")");
    assert_eq!(client.get("/meddle/flood-response").header("x-report"), Some("set=255"));
}

#[test]
fn what_is_said_of_the_request_once_it_is_sent_comes_too_late() {
    let origin = Origin::echo("a");
    let proxy = meddling(origin.address());
    let mut client = Client::connect(proxy.address(0));
    let answer = client.get("/meddle/after");
    assert_eq!(
        answer.header("x-report"),
        Some(
            "set-header=Forbidden answer=Forbidden upstream=Forbidden length=Forbidden append=Forbidden \
             newline=Malformed remove=Forbidden note=ok"
        )
    );
    assert_eq!(answer.json()["path"], "/meddle/after");
}

#[test]
fn statuses_that_end_no_exchange_are_refused_and_a_body_without_a_place_is_dropped() {
    let origin = Origin::echo("a");
    let proxy = meddling(origin.address());
    let mut client = Client::connect(proxy.address(0));
    let answer = client.get("/meddle/status");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("x-report"), Some("101=Malformed 100=Malformed 600=Malformed 999=Malformed 0=Malformed"));
    assert_eq!(client.get("/meddle/no-content").status(), 204);
    // The connection is still in step.
    assert_eq!(client.get("/meddle/plain").json()["path"], "/meddle/plain");
}

#[test]
fn a_balancer_edits_nothing_but_the_reply() {
    let origin = Origin::echo("a");
    let proxy = meddling(origin.address());
    let answer = Client::connect(proxy.address(0)).get("/pick/");
    assert_eq!(answer.json()["headers"]["x-from-pick"], serde_json::Value::Null);
    assert_eq!(answer.head.all("x-reply").len(), 16);
    proxy.wait_for_log(
        "pick: set-header=Forbidden answer=Forbidden upstream=Forbidden response=Forbidden reply-length=Forbidden \
         delegate-in-update=None replies=16",
    );
}

#[test]
fn what_it_logs_is_bounded_and_harmless() {
    let origin = Origin::echo("a");
    let proxy = meddling(origin.address());
    let mut client = Client::connect(proxy.address(0));
    assert_eq!(client.get("/meddle/log").status(), 200);
    let line = proxy.wait_for_log("forged");
    let message = serde_json::from_str::<serde_json::Value>(&line).unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.len() <= 2048 && !message.contains(['\n', '\u{1b}']), "{message:?}");
}

#[test]
fn handing_over_megabytes_is_a_failure() {
    let origin = Origin::echo("a");
    let proxy = meddling(origin.address());
    let mut client = Client::connect(proxy.address(0));
    assert_eq!(client.get("/meddle/hand-over").status(), 503);
    proxy.wait_for_log("plugin failed");
}
