//! RFC 9110, section 7.6.1: what belongs to one connection stays on it, and nothing else is lost.

use jackfield_tests::{Client, Origin, RawOrigin, client};

use crate::{config, endpoints, in_front_of, start};

#[test]
fn what_connection_names_is_stripped() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let lines = ["connection: close, x-foo", "x-foo: 1", "x-bar: 2", "keep-alive: timeout=5", "proxy-connection: a"];
    let answer = client::get_with(proxy.address(0), "/", &lines);
    let headers = &answer.json()["headers"];
    assert_eq!(*headers, serde_json::json!({ "host": "test.example", "x-bar": "2" }));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn connection_cannot_strip_what_others_rely_on() {
    let origin = Origin::echo("a");
    let proxy = start(&config("filters = [\"x-forwarded-for\"]", &endpoints(&[&origin])));
    let answer = Client::connect(proxy.address(0)).ask(
        "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\nx-forwarded-for: 6.6.6.6\r\nauthorization: b\r\n\
         cookie: c=d\r\nconnection: x-forwarded-for, host, content-length, authorization, cookie\r\n\r\nok",
    );
    let seen = answer.json();
    assert_eq!(seen["body"], "ok");
    let headers = serde_json::json!({
        "host": "a.example", "content-length": "2", "authorization": "b", "cookie": "c=d",
        "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": "a.example",
    });
    assert_eq!(seen["headers"], headers);
}

#[test]
fn the_endpoints_own_headers_stay_with_it() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-own\r\nx-own: 1\r\nkeep-alive: timeout=9\r\nx-kept: 2\r\n\
         upgrade: h2c\r\ncontent-length: 2\r\n\r\nok",
    );
    let proxy = in_front_of(origin.address());
    let answer = Client::connect(proxy.address(0)).get("/");
    let names: Vec<&str> = answer.head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-kept", "content-length", "date"]);
}

#[test]
fn repeated_headers_stay_repeated_and_in_order() {
    let origin =
        RawOrigin::answering("HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n");
    let proxy = in_front_of(origin.address());
    assert_eq!(client::get(proxy.address(0), "/").head.all("set-cookie"), ["a=1", "b=2"]);
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let answer = client::get_with(proxy.address(0), "/", &["x: 1", "y: 0", "x: 2"]);
    assert_eq!(answer.json()["headers"]["x"], serde_json::json!(["1", "2"]));
}
