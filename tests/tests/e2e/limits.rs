//! Heads that are too large, too long or too slow.

use jackfield_tests::{Client, Origin, client};

use crate::{config, endpoints, in_front_of, start};

#[test]
fn too_large_a_head_is_431() {
    let origin = Origin::echo("a");
    let proxy = start(&config("max-header-bytes = \"8KiB\"", &endpoints(&[&origin])));
    let with = |bytes: usize| format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(bytes));
    let answer = client::exchange(proxy.address(0), with(9000));
    assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    let answer = client::exchange(proxy.address(0), with(3_000_000));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(origin.requests(), 0);
    assert_eq!(Client::connect(proxy.address(0)).ask(&with(7000)).status(), 200);
}

#[test]
fn too_many_header_lines_are_431() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let many = "x: y\r\n".repeat(500);
    let answer = client::exchange(proxy.address(0), format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn too_long_a_target_is_414() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    for length in [33_000, 66_000, 200_000] {
        let request = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(length));
        let answer = client::exchange(proxy.address(0), request);
        assert!(answer.starts_with("HTTP/1.1 414 URI Too Long\r\n"), "{length} bytes: {answer}");
    }
    assert_eq!(origin.requests(), 0);
    let path = format!("/{}", "a".repeat(32_000));
    assert_eq!(client::get(proxy.address(0), &path).json()["path"], path);
}

#[test]
fn a_head_that_does_not_come_is_408() {
    let origin = Origin::echo("a");
    let proxy = start(&config("header-timeout = \"300ms\"", &endpoints(&[&origin])));
    for begun in ["", "GE", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let answer = client::exchange(proxy.address(0), begun);
        let expected =
            "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 20\r\n\r\n408 Request Timeout\n";
        assert_eq!(answer, expected, "after {begun:?}");
    }
    let mut client = Client::connect(proxy.address(0));
    assert_eq!(client.get("/").status(), 200);
    client.send("GET /never");
    assert!(client.rest().starts_with("HTTP/1.1 408 "));
    assert_eq!(origin.requests(), 1);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::echo("a");
    let proxy = start(&config("idle-timeout = \"300ms\"", &endpoints(&[&origin])));
    let mut client = Client::connect(proxy.address(0));
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(client.rest(), "");
}

#[test]
fn no_more_connections_than_allowed_are_served_at_a_time() {
    let origin = Origin::echo("a");
    let listener = "max-connections = 1";
    let proxy = start(&config(listener, &endpoints(&[&origin])));
    let mut first = Client::connect(proxy.address(0));
    assert_eq!(first.get("/1").status(), 200);
    let mut second = Client::connect(proxy.address(0));
    second.send("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(first.get("/3").json()["path"], "/3");
    assert_eq!(origin.requests(), 2);
    drop(first);
    assert_eq!(second.receive("GET").json()["path"], "/2");
}
