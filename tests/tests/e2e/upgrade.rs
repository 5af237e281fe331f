//! Upgrades (RFC 9110, section 7.8): after 101 the bytes pass, whatever they are.

use std::io::{Read, Write};
use std::time::Duration;

use jackfield_tests::raw::RawConnection;
use jackfield_tests::{Client, RawOrigin, client};

use crate::{config, endpoint, in_front_of, start};

const ASK: &str =
    "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: y\r\n\r\n";

/// Switches, sends back what it gets, and says goodbye at the end.
fn echo(mut connection: RawConnection) {
    let request = connection.request().unwrap();
    assert_eq!(request.header("upgrade"), Some("websocket"));
    assert!(request.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    connection.send(SWITCH);
    let mut bytes = [0; 1000];
    while let Ok(count @ 1..) = connection.reader.read(&mut bytes) {
        connection.send(&bytes[..count]);
    }
    connection.send("goodbye");
}

#[test]
fn bytes_pass_both_ways_and_each_side_may_finish_first() {
    let origin = RawOrigin::start(echo);
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    // What follows the head at once is not lost.
    client.send(format!("{ASK}early"));
    let switched = client.receive("GET");
    assert_eq!((switched.status(), switched.header("sec-websocket-accept")), (101, Some("y")));
    assert_eq!((switched.header("upgrade"), switched.header("connection")), (Some("websocket"), Some("upgrade")));
    let mut bytes = [0; 5];
    client.reader().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"early");
    client.stream().write_all(b"later").unwrap();
    client.reader().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"later");
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "goodbye");
    assert_eq!(proxy.access_of("/chat")["status"], 101);
}

#[test]
fn a_silent_tunnel_outlives_the_limit_for_heads() {
    let origin = RawOrigin::start(echo);
    let proxy = start(&config("header-timeout = \"200ms\"", &endpoint(origin.address())));
    let mut client = Client::connect(proxy.address(0));
    client.send(ASK);
    assert_eq!(client.receive("GET").status(), 101);
    for _ in 0..2 {
        client.stream().write_all(b"hello").unwrap();
        let mut bytes = [0; 5];
        client.reader().read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        // The silence is what is tested: nothing may come in it.
        client.stream().set_read_timeout(Some(Duration::from_millis(600))).unwrap();
        let nothing = client.reader().read(&mut bytes).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_tunnel_without_traffic_ends_at_the_idle_timeout() {
    let origin = RawOrigin::start(echo);
    let proxy = start(&config("idle-timeout = \"300ms\"", &endpoint(origin.address())));
    let mut client = Client::connect(proxy.address(0));
    client.send(ASK);
    assert_eq!(client.receive("GET").status(), 101);
    assert!(matches!(client.rest().as_str(), "" | "goodbye"));
}

#[test]
fn an_endpoint_may_decline() {
    let origin = RawOrigin::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    let answer = client.ask(ASK);
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
    assert_eq!(client.get("/").status(), 403);
}

#[test]
fn nobody_is_switched_who_did_not_ask() {
    let origin = RawOrigin::answering(SWITCH);
    let proxy = in_front_of(origin.address());
    let answer = client::get(proxy.address(0), "/");
    assert_eq!((answer.status(), answer.text().as_str()), (502, "502 Bad Gateway\n"));
    // An Upgrade that Connection does not name is none.
    let answer = client::get_with(proxy.address(0), "/", &["upgrade: websocket"]);
    assert_eq!(answer.status(), 502);
}

/// HTTP/2 by upgrade would go past all routes and filters; RFC 9113 has dropped it.
#[test]
fn an_upgrade_to_http2_is_not_passed_on() {
    let origin = jackfield_tests::Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let lines = ["connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA"];
    let answer = client::get_with(proxy.address(0), "/", &lines);
    assert_eq!((answer.status(), &answer.json()["headers"]), (200, &serde_json::json!({ "host": "test.example" })));
}
