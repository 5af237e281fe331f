//! Bodies that filters want whole, before the head goes on.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use jackfield_tests::{Client, Head, Origin, RawOrigin, client, http2};

use super::{bodies, each_protocol, filtered, letters, mirror, post, speaks, upload};

fn whole(action: &str, more: &str) -> String {
    bodies(&format!("do = \"{action}\", request = \"whole\", response = \"whole\""), more)
}

fn request(action: &str, more: &str) -> String {
    bodies(&format!("do = \"{action}\", request = \"whole\""), more)
}

fn response(action: &str, more: &str) -> String {
    bodies(&format!("do = \"{action}\", response = \"whole\""), more)
}

#[test]
fn head_and_body_change_together_and_the_length_is_the_new_one() {
    each_protocol(|client, endpoint| {
        let (speaks, protocol) = speaks(endpoint);
        let origin = mirror(speaks);
        let proxy = filtered(origin.address(), protocol, &[request("redact", "")]);
        let returned = post(proxy.address(0), client, "/", &"a secret, no secrets".into());
        assert_eq!(&returned.body[..], b"a [gone]!, no [gone]!s");
        let proxy = filtered(origin.address(), protocol, &[whole("count", ""), response("redact", "")]);
        let returned = post(proxy.address(0), client, "/", &"a secret".into());
        assert_eq!((&returned.body[..], returned.length.as_deref()), (&b"a [gone]!"[..], Some("9")));
        for length in [0, 1, 64 << 10, 1 << 20] {
            let body = letters(length);
            let returned = post(proxy.address(0), client, "/", &body);
            // Of nothing HTTP/2 need not say how long it is.
            let told = returned.length.map_or(0, |length| length.parse().unwrap());
            assert!(returned.body == body && told == length, "{client} {endpoint} {length}");
        }
    });
}

#[test]
fn the_endpoint_is_told_the_new_length_and_what_was_set() {
    for (endpoint, protocol) in [(false, "http1"), (true, "h2")] {
        let origin = Origin::echo_speaking(speaks(endpoint).0, "a");
        let proxy = filtered(origin.address(), protocol, &[request("redact", "")]);
        let mut client = Client::connect(proxy.address(0));
        for framing in
            ["content-length: 8\r\n\r\na secret", "transfer-encoding: chunked\r\n\r\n8\r\na secret\r\n0\r\n\r\n"]
        {
            let seen = client.ask(&format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}")).json();
            assert_eq!((&seen["body"], &seen["headers"]["content-length"]), (&"a [gone]!".into(), &"9".into()));
            assert_eq!(
                (&seen["headers"]["x-redacted"], &seen["headers"]["transfer-encoding"]),
                (&"1".into(), &().into())
            );
        }
        // A request without a body says nothing of it.
        let headers = &client.get("/").json()["headers"];
        assert_eq!((&headers["x-redacted"], &headers["content-length"]), (&"0".into(), &().into()));
    }
}

/// A small firewall: what is in the body decides, and the endpoint never hears of it.
#[test]
fn a_filter_answers_by_the_body() {
    each_protocol(|http2, endpoint| {
        let (speaks, protocol) = speaks(endpoint);
        let origin = mirror(speaks);
        let proxy = filtered(origin.address(), protocol, &[request("waf", "")]);
        let refused = post(proxy.address(0), http2, "/", &"this is an attack!".into());
        assert_eq!((refused.status, &refused.body[..]), (403, &b"not with us"[..]));
        assert_eq!(origin.requests(), 0);
        let passed = post(proxy.address(0), http2, "/", &"this is a tack".into());
        assert_eq!((passed.status, &passed.body[..]), (200, &b"this is a tack"[..]));
    });
    let origin = Origin::echo("a");
    let proxy = filtered(origin.address(), "http1", &[request("waf", "")]);
    let mut client = Client::connect(proxy.address(0));
    for _ in 0..3 {
        let refused = upload(&mut client, "POST / HTTP/1.1\r\nhost: a\r\n", &"attack".into());
        assert_eq!((refused.status(), refused.header("x-waf")), (403, Some("attack")));
        assert_eq!(client.get("/").json()["body"], "");
    }
}

#[test]
fn what_is_longer_than_the_limit_is_refused() {
    each_protocol(|http2, endpoint| {
        let (speaks, protocol) = speaks(endpoint);
        let origin = mirror(speaks);
        let limit = ", body = \"1000B\"";
        let proxy = filtered(origin.address(), protocol, &[request("pass", limit)]);
        assert_eq!(post(proxy.address(0), http2, "/", &letters(1000)).status, 200);
        assert_eq!(post(proxy.address(0), http2, "/", &letters(1001)).status, 413);
        assert_eq!(post(proxy.address(0), http2, "/plain/", &letters(1001)).status, 200);
        let proxy = filtered(origin.address(), protocol, &[response("pass", limit)]);
        assert_eq!(post(proxy.address(0), http2, "/", &letters(1000)).status, 200);
        assert_eq!(post(proxy.address(0), http2, "/", &letters(1001)).status, 502);
    });
}

#[test]
fn too_long_a_body_is_refused_before_it_is_asked_for_and_when_it_shows() {
    let origin = Origin::echo("a");
    let proxy = filtered(origin.address(), "http1", &[request("pass", ", body = \"10B\"")]);
    let mut client = Client::connect(proxy.address(0));
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n");
    let answer = client.receive("POST");
    assert_eq!((answer.status(), answer.interim.len(), answer.header("connection")), (413, 0, Some("close")));
    let mut client = Client::connect(proxy.address(0));
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(Head::read(client.reader()).unwrap().unwrap().status(), 100);
    client.send("8\r\n12345678\r\n3\r\n");
    client.send("abc");
    assert_eq!(client.receive("POST").status(), 413);
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_body_that_does_not_come_is_not_awaited_for_ever() {
    let origin = RawOrigin::start(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        let _ = connection.reader.read(&mut [0]);
    });
    let config = |filter: String| {
        format!(
            "workers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             routes = [{{ path = \"/\", upstream = \"api\", timeout = \"300ms\", filters = [{filter}] }}]\n\
             [upstream.api]\nendpoints = [\"{}\"]",
            origin.address()
        )
    };
    let proxy = crate::start(&config(request("pass", "")), &["bodies"]);
    let mut client = Client::connect(proxy.address(0));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    assert_eq!(client.receive("POST").status(), 408);
    let proxy = crate::start(&config(response("pass", "")), &["bodies"]);
    assert_eq!(client::get(proxy.address(0), "/").status(), 504);
}

#[test]
fn a_body_that_breaks_off_is_no_body() {
    let origin = RawOrigin::start(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    });
    let proxy = filtered(origin.address(), "http1", &[response("pass", "")]);
    assert_eq!(client::get(proxy.address(0), "/").status(), 502);
    let origin = Origin::echo("a");
    let proxy = filtered(origin.address(), "http1", &[request("pass", "")]);
    let mut client = Client::connect(proxy.address(0));
    client.send("POST /gone HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.receive("POST").status(), 400);
    assert_eq!((origin.requests(), &proxy.access_of("/gone")["status"]), (0, &400.into()));
}

/// A body that is held can be sent again.
#[test]
fn an_upload_is_repeated_when_its_endpoint_breaks_off() {
    let broken = RawOrigin::start(|mut connection| drop(connection.request()));
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&asked);
    let good = RawOrigin::start(move |mut connection| {
        while let Some(request) = connection.request() {
            counter.fetch_add(1, SeqCst);
            connection.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
                request.body.len(),
                request.text()
            ));
        }
    });
    let config = format!(
        "workers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         routes = [{{ path = \"/\", upstream = \"api\", filters = [{}] }}]\n\
         [upstream.api]\nretries = 1\nendpoints = [\"{}\", \"{}\"]",
        request("shout", ""),
        broken.address(),
        good.address()
    );
    let proxy = crate::start(&config, &["bodies"]);
    let mut client = Client::connect(proxy.address(0));
    for _ in 0..4 {
        let answer = client.ask("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nagain");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "AGAIN"));
    }
    assert!(broken.accepted() >= 1);
    assert_eq!(asked.load(SeqCst), 4);
    // What is not known to be repeatable is not repeated.
    let answers: Vec<u16> =
        (0..2).map(|_| client.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na").status()).collect();
    assert!(answers.contains(&502) && answers.contains(&200), "{answers:?}");
}

#[test]
fn a_response_is_answered_otherwise_or_becomes_one_without_a_body() {
    let origin = Origin::echo("a");
    for http2 in [false, true] {
        let proxy = filtered(origin.address(), "http1", &[response("answer-and-abort", "")]);
        let answer = post(proxy.address(0), http2, "/", &letters(3));
        assert_eq!((answer.status, &answer.body[..], answer.length.as_deref()), (451, &b"unavailable"[..], Some("11")));
        let proxy = filtered(origin.address(), "http1", &[response("no-content", "")]);
        let answer = post(proxy.address(0), http2, "/", &letters(3));
        assert_eq!((answer.status, answer.body.len(), answer.length), (204, 0, None));
    }
}

#[test]
fn what_the_body_says_can_lead_the_request_elsewhere() {
    let origin = Origin::echo("a");
    let proxy = filtered(origin.address(), "http1", &[request("path", "")]);
    let answer = upload(&mut Client::connect(proxy.address(0)), "POST / HTTP/1.1\r\nhost: a\r\n", &"there".into());
    assert_eq!(answer.json()["path"], "/there");
}

/// Also what no endpoint gave: a route's own words, another filter's answer.
#[test]
fn answers_of_the_proxys_own_routes_pass_filters() {
    let config = format!(
        "workers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\nfilters = [{}]\n\
         routes = [{{ path = \"/\", respond = {{ status = 200, body = \"a secret\" }} }}]",
        whole("redact", "")
    );
    let proxy = crate::start(&config, &["bodies"]);
    let mut client = Client::connect(proxy.address(0));
    let answer = client.get("/");
    assert_eq!((answer.text().as_str(), answer.header("x-redacted")), ("a [gone]!", Some("1")));
    let head = client.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((head.status(), head.header("content-length")), (200, None));
    let answer = http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        http2::ask(&mut client, http2::get("/")).await
    });
    assert_eq!(&answer.body[..], b"a [gone]!");
}
