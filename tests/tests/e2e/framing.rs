//! Requests whose framing is not beyond doubt: a clear answer, then the connection is closed, and
//! no origin hears of them. Otherwise a request could hide inside another (request smuggling).

use jackfield_tests::{Client, Origin, RawOrigin, client, wait_until};

use crate::in_front_of;

#[track_caller]
fn refused(proxy: std::net::SocketAddr, request: &str, status: &str) {
    let answer = client::exchange(proxy, request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?} is answered {answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?} is answered {answer:?}");
}

#[test]
fn bad_heads_are_refused_and_never_passed_on() {
    const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let post = |lines: &str, body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n{body}{HIDDEN}");
    let get = |lines: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n{HIDDEN}");
    let bad = [
        post("content-length: 6\r\ntransfer-encoding: chunked", "0\r\n\r\nX"),
        post("transfer-encoding: chunked\r\nContent-Length: 6", "0\r\n\r\nX"),
        post("content-length: 5\r\ncontent-length: 6", "123456"),
        post("content-length: 5, 6", "123456"),
        post("content-length: +5", "12345"),
        post("content-length: -1", ""),
        post("content-length: 0x5", "12345"),
        post("content-length: 99999999999999999999", ""),
        post("content-length:", ""),
        post("transfer-encoding: xchunked", "0\r\n\r\n"),
        post("transfer-encoding: chunked, identity", "0\r\n\r\n"),
        post("transfer-encoding:\x0bchunked", "0\r\n\r\n"),
        post("transfer-encoding : chunked", "0\r\n\r\n"),
        post("x: y\r\n transfer-encoding: chunked", "0\r\n\r\n"),
        get("x: a\r\n b: c"),
        get("x: a\0b"),
        get("x: a\rtransfer-encoding: chunked"),
        get("x : a"),
        get(" x: a"),
        get("x\0y: a"),
        get("nothing"),
        get("host: b"),
        format!("GET / HTTP/1.1\r\nhost: a b\r\n\r\n{HIDDEN}"),
        format!("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n{HIDDEN}"),
        format!("GET / HTTP/1.1\r\nhost: a@b\r\n\r\n{HIDDEN}"),
        format!("GET / HTTP/1.1\r\nx: a\r\n\r\n{HIDDEN}"),
        format!("GET elsewhere HTTP/1.1\r\nhost: a\r\n\r\n{HIDDEN}"),
        format!("GET / HTTP/1.1 \r\nhost: a\r\n\r\n{HIDDEN}"),
        format!("GET / /b HTTP/1.1\r\nhost: a\r\n\r\n{HIDDEN}"),
        format!("GET / HTTP/9.9\r\nhost: a\r\n\r\n{HIDDEN}"),
        format!("GE\tT / HTTP/1.1\r\nhost: a\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
    ];
    for request in &bad {
        refused(proxy.address(0), request, "400 Bad Request");
    }
    let tunnel = format!("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n{HIDDEN}");
    refused(proxy.address(0), &tunnel, "501 Not Implemented");
    refused(proxy.address(0), &post("transfer-encoding: gzip, chunked", "0\r\n\r\n"), "501 Not Implemented");
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_body_that_breaks_the_rules_never_looks_complete_to_the_origin() {
    let origin = RawOrigin::start(|mut connection| {
        let complete = connection.request().is_some();
        assert!(!complete || !connection.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ncomplete"));
    });
    let proxy = in_front_of(origin.address());
    for chunks in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-1\r\nab\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nab\r\n0\r\n\r\n",
        "2\r\nabXX0\r\n\r\n",
        "2\nab\n0\n\n",
        "\r\n",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}GET /b HTTP/1.1\r\n\r\n");
        let answer = client::exchange(proxy.address(0), &request);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{chunks:?} is answered {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{chunks:?} is answered {answer:?}");
    }
}

#[test]
fn what_only_looks_dangerous_passes() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    let answer = client.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n12345");
    assert_eq!(answer.json()["headers"]["content-length"], "5");
    let answer = client.ask(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n15;x=y\r\ncontent-length: 5\r\n\r\n\r\n0\r\n\r\n",
    );
    assert_eq!((answer.status(), &answer.json()["length"]), (200, &21.into()));
    // Two at once (pipelining), the second one in chunks.
    let mut client = Client::connect(proxy.address(0));
    client.send(
        "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nab\r\n0\r\n\r\n",
    );
    assert_eq!(client.receive("GET").json()["path"], "/1");
    assert_eq!(client.receive("POST").json()["body"], "ab");
    // The absolute form names the host better than the header does.
    let answer = client::get_with(proxy.address(0), "http://b.example/x?y", &["host: a"]);
    assert_eq!((&answer.json()["path"], &answer.json()["headers"]["host"]), (&"/x?y".into(), &"b.example".into()));
    // HTTP/1.0 needs no Host, and its connection ends.
    let answer = client::exchange(proxy.address(0), "GET /old HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.contains("\"/old\""), "{answer}");
}

#[test]
fn a_head_hidden_behind_another_request_does_not_escape_the_checks() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send(
        "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    assert_eq!(client.receive("GET").json()["path"], "/1");
    // By RFC 9112, section 6.1, the connection is closed in any case.
    client.receive("POST");
    assert_eq!(client.rest(), "");
    assert!(origin.requests() <= 2);
}

#[test]
fn a_response_with_two_lengths_reaches_the_client_with_one() {
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let origin = RawOrigin::answering(both);
    let proxy = in_front_of(origin.address());
    let answer = client::get(proxy.address(0), "/");
    assert_eq!((answer.text().as_str(), answer.header("content-length")), ("hello", None));
    for bad in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nx: a\0\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let origin = RawOrigin::answering(bad);
        let proxy = in_front_of(origin.address());
        let answer = client::get(proxy.address(0), "/");
        assert_eq!((answer.status(), answer.text().as_str()), (502, "502 Bad Gateway\n"), "{bad:?}");
        wait_until("the reason in the log", || {
            proxy.access_log().iter().any(|line| line["error"].as_str().is_some_and(|why| !why.is_empty()))
        });
    }
}
