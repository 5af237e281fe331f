//! Bodies in pieces, as they pass.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jackfield_tests::{Client, DEADLINE, Head, Message, Origin, RawOrigin, wait_for, wait_until};

use super::{bodies, each_protocol, filtered, letters, mirror, post, speaks, upload};

const MIB: usize = 1 << 20;
/// What the proxy may need more for a body that nobody reads: buffers of sockets, of hyper, of filters.
const SLACK: u64 = 32 << 20;

fn both_ways(action: &str) -> String {
    bodies(&format!("do = \"{action}\", request = \"chunks\", response = \"chunks\""), "")
}

#[test]
fn bodies_of_all_lengths_are_changed_on_their_way_between_all_protocols() {
    each_protocol(|client, endpoint| {
        let (speaks, protocol) = speaks(endpoint);
        let origin = mirror(speaks);
        let shout = bodies("do = \"shout\", request = \"chunks\"", "");
        let name = bodies("do = \"name\", name = \"!\", response = \"chunks\"", "");
        let proxy = filtered(origin.address(), protocol, &[shout, name]);
        for length in [0, 1, 64 << 10, 10 * MIB] {
            let body = letters(length);
            let returned = post(proxy.address(0), client, "/", &body);
            let expected: Bytes = [&body.to_ascii_uppercase()[..], b"!"].concat().into();
            // Only of what ends at once it is known how long it becomes.
            assert!(returned.length.is_none() || length == 0, "{client} {endpoint} {length}");
            assert_eq!(returned.status, 200);
            assert!(returned.body == expected, "{client} {endpoint} {length}: {} came", returned.body.len());
        }
    });
}

#[test]
fn what_passes_in_random_pieces_arrives_the_same() {
    let origin = mirror(speaks(false).0);
    let proxy = filtered(origin.address(), "http1", &[both_ways("pass"), both_ways("pass")]);
    let mut random = numbers(0x5eed);
    let mut client = Client::connect(proxy.address(0));
    for round in 0..60 {
        let body = letters(random(200_000));
        let mut stream = client.stream().try_clone().unwrap();
        let (sent, pieces) = (body.clone(), random(40) + 1);
        let cuts: Vec<usize> = (0..pieces).map(|_| random(body.len() + 1)).collect();
        let sender = std::thread::spawn(move || {
            let mut cuts = cuts;
            cuts.sort_unstable();
            cuts.dedup();
            let mut parts = Vec::new();
            let mut begin = 0;
            for cut in cuts.into_iter().chain([sent.len()]) {
                parts.push(sent.slice(begin..cut));
                begin = cut;
            }
            stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
            for part in parts.iter().filter(|part| !part.is_empty()) {
                stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).unwrap();
                stream.write_all(part).unwrap();
                stream.write_all(b"\r\n").unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        });
        let answer = client.receive("POST");
        sender.join().unwrap();
        assert!(answer.body == body, "round {round}: {} of {} bytes", answer.body.len(), body.len());
    }
    assert_eq!(origin.connections(), 1, "the endpoint's connection is kept");
}

/// Numbers below a bound, the same for the same seed.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound.max(1)
    }
}

#[test]
fn the_next_request_on_the_connection_is_in_step() {
    let origin = Origin::echo("a");
    let proxy = filtered(origin.address(), "http1", &[both_ways("shout")]);
    let mut client = Client::connect(proxy.address(0));
    client.send(
        "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\none\
         POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         GET /3 HTTP/1.1\r\nhost: a\r\n\r\nGET /plain/4 HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    for (path, body) in [("/1", "ONE"), ("/2", "TWO"), ("/3", "")] {
        let answer = client.receive("POST");
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        // The response is shouted too.
        let told: serde_json::Value = serde_json::from_str(&answer.text().to_lowercase()).unwrap();
        assert_eq!((&told["path"], &told["body"]), (&path.into(), &body.to_lowercase().into()));
        assert!(answer.text().contains(&format!("\"BODY\":\"{body}\"")), "{}", answer.text());
    }
    assert_eq!(client.receive("GET").json()["path"], "/plain/4");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_request_without_a_body_is_seen_once_and_stays_one() {
    let origin = Origin::echo("a");
    let name = bodies("do = \"name\", name = \"\", request = \"chunks\"", "");
    let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&name));
    let headers = &Client::connect(proxy.address(0)).get("/").json()["headers"];
    assert_eq!((&headers["content-length"], &headers["transfer-encoding"]), (&().into(), &().into()));
    let name = bodies("do = \"name\", name = \"made up\", request = \"chunks\"", "");
    let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&name));
    let seen = Client::connect(proxy.address(0)).get("/").json();
    assert_eq!((&seen["body"], &seen["headers"]["content-length"]), (&"made up".into(), &"7".into()));
}

#[test]
fn what_is_said_of_the_head_comes_too_late_and_notes_do_not() {
    let origin = Origin::echo("a");
    let edit = bodies("do = \"edit\", request = \"chunks\"", "");
    let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&edit));
    let answer = upload(&mut Client::connect(proxy.address(0)), "POST / HTTP/1.1\r\nhost: a\r\n", &letters(3));
    assert_eq!(answer.json()["headers"]["x-edited"], serde_json::Value::Null);
    assert_eq!(answer.header("x-tried"), Some("header=Forbidden note=ok answer=Forbidden"));
}

/// Notes are the request's, wherever it is seen.
#[test]
fn what_was_noted_of_the_body_is_known_when_the_response_comes() {
    for (endpoint, protocol) in [(false, "http1"), (true, "h2")] {
        let origin = Origin::echo_speaking(speaks(endpoint).0, "a");
        let count = bodies("do = \"count\", request = \"chunks\"", "");
        let proxy = filtered(origin.address(), protocol, std::slice::from_ref(&count));
        let answer = upload(&mut Client::connect(proxy.address(0)), "POST / HTTP/1.1\r\nhost: a\r\n", &letters(MIB));
        assert_eq!(answer.header("x-uploaded"), Some(MIB.to_string().as_str()));
        assert_eq!(answer.json()["length"], MIB);
    }
}

#[test]
fn requests_pass_filters_in_order_and_responses_in_reverse() {
    let origin = mirror(speaks(false).0);
    let config = |name: &str| {
        bodies(&format!("do = \"name\", name = \"{name}\", request = \"chunks\", response = \"chunks\""), "")
    };
    let whole = bodies("do = \"name\", name = \"w\", request = \"whole\", response = \"whole\"", "");
    let text = format!(
        r#"
workers = 1
[[listener]]
address = "127.0.0.1:0"
filters = [{}, {whole}]
routes = [{{ path = "/", upstream = "api", filters = [{}, {}] }}]
[upstream.api]
endpoints = ["{}"]
"#,
        config("1"),
        config("2"),
        config("3"),
        origin.address()
    );
    let proxy = crate::start(&text, &["bodies"]);
    let answer = upload(&mut Client::connect(proxy.address(0)), "POST / HTTP/1.1\r\nhost: a\r\n", &"-".into());
    assert_eq!(answer.text(), "-1w2332w1");
}

#[test]
fn trailers_and_100_continue_pass() {
    let origin = RawOrigin::start(|mut connection| {
        let request = connection.request().unwrap();
        assert_eq!((request.text().as_str(), &request.trailers[..]), ("AB", &[("x-sum".into(), "12".into())][..]));
        connection.send(
            "HTTP/1.1 200 OK\r\ntrailer: x-check\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-check: 34\r\n\r\n",
        );
    });
    for delivery in ["chunks", "whole"] {
        let shout = bodies(&format!("do = \"shout\", request = \"{delivery}\", response = \"{delivery}\""), "");
        let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&shout));
        let mut client = Client::connect(proxy.address(0));
        client.send(
            "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntrailer: x-sum\r\nexpect: 100-continue\r\n\
             transfer-encoding: chunked\r\n\r\n",
        );
        assert_eq!(Head::read(client.reader()).unwrap().unwrap().status(), 100);
        client.send("2\r\nab\r\n0\r\nx-sum: 12\r\n\r\n");
        let answer = client.receive("POST");
        assert_eq!((answer.text().as_str(), &answer.trailers[..]), ("OK", &[("x-check".into(), "34".into())][..]));
    }
}

#[test]
fn responses_that_have_no_body_get_none() {
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n", 200),
        ("GET", "HTTP/1.1 204 No Content\r\netag: \"a\"\r\n\r\n", 204),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 99\r\n\r\n", 304),
    ];
    for delivery in ["chunks", "whole"] {
        let name = bodies(&format!("do = \"name\", name = \"!\", response = \"{delivery}\""), "");
        for (method, answer, status) in cases {
            let origin = RawOrigin::answering(answer);
            let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&name));
            let mut client = Client::connect(proxy.address(0));
            for _ in 0..2 {
                let answer = client.ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
                // Of a length nobody knows, nothing is said.
                assert_eq!((answer.status(), answer.header("content-length")), (status, None), "{method} {delivery}");
                assert_eq!(answer.header("transfer-encoding"), None);
            }
            assert_eq!(origin.accepted(), 1);
        }
    }
}

#[test]
fn a_tunnel_passes_no_filter() {
    let origin = RawOrigin::start(|mut connection| {
        Head::read(&mut connection.reader).unwrap();
        connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
        let mut word = [0; 5];
        connection.reader.read_exact(&mut word).unwrap();
        connection.send(word);
    });
    let proxy = filtered(origin.address(), "http1", &[both_ways("shout")]);
    let mut client = Client::connect(proxy.address(0));
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    assert_eq!(Head::read(client.reader()).unwrap().unwrap().status(), 101);
    client.send("hello");
    let mut word = [0; 5];
    client.reader().read_exact(&mut word).unwrap();
    assert_eq!(&word, b"hello");
}

/// Piece by piece: a part goes on, changed, before the next exists.
#[test]
fn parts_pass_as_they_come() {
    let origin = mirror(speaks(false).0);
    let proxy = filtered(origin.address(), "http1", &[both_ways("shout")]);
    let mut client = Client::connect(proxy.address(0));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\ng\r\n");
    let head = Head::read(client.reader()).unwrap().unwrap();
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    for (letter, next) in [("G", "h"), ("H", "i"), ("I", "j")] {
        let mut chunk = [0; 6];
        client.reader().read_exact(&mut chunk).unwrap();
        assert_eq!(&chunk[..], format!("1\r\n{letter}\r\n").as_bytes());
        client.send(format!("1\r\n{next}\r\n"));
    }
}

#[test]
fn an_origin_that_does_not_read_holds_up_the_client() {
    const SIZE: usize = 100 * MIB;
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = RawOrigin::start(move |mut connection| {
        Head::read(&mut connection.reader).unwrap();
        wait.lock().unwrap().recv().unwrap();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let shout = bodies("do = \"shout\", request = \"chunks\"", "");
    let proxy = filtered(origin.address(), "http1", &[shout, both_ways("pass")]);
    let before = proxy.memory();
    let mut client = Client::connect(proxy.address(0));
    client.send(format!("POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n"));
    client.stream().set_write_timeout(Some(Duration::from_millis(700))).unwrap();
    let (mut sent, chunk) = (0, vec![b'x'; MIB]);
    while let Ok(count) = client.stream().write(&chunk) {
        sent += count;
        assert!(sent < SIZE / 2, "the proxy took {sent} bytes that nobody reads");
    }
    assert!(proxy.memory() < before + SLACK, "{} bytes more", proxy.memory() - before);
    go.send(()).unwrap();
    assert_eq!(client.receive("POST").text(), "ok");
}

#[test]
fn a_client_that_does_not_read_holds_up_the_origin() {
    const SIZE: usize = 200 * MIB;
    let sent = Arc::new(Mutex::new(0));
    let progress = Arc::clone(&sent);
    let origin = RawOrigin::start(move |mut connection| {
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"));
        let chunk = vec![b'x'; MIB];
        while *progress.lock().unwrap() < SIZE && connection.send(&chunk) {
            *progress.lock().unwrap() += MIB;
        }
    });
    let blow_up = bodies("do = \"blow-up\", response = \"chunks\"", "");
    let proxy = filtered(origin.address(), "http1", &[both_ways("shout"), blow_up]);
    let before = proxy.memory();
    let mut client = Client::connect(proxy.address(0));
    client.send("GET /big HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut seen = (0, Instant::now());
    wait_until("the origin to be held up", || {
        let now = *sent.lock().unwrap();
        if now != seen.0 || now == 0 {
            seen = (now, Instant::now());
        }
        seen.1.elapsed().as_millis() > 700
    });
    assert!(seen.0 < SIZE / 2, "{} bytes went somewhere", seen.0);
    assert!(proxy.memory() < before + SLACK, "{} bytes more", proxy.memory() - before);
}

#[test]
fn a_client_that_goes_in_the_middle_is_gone_for_the_origin_too() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = RawOrigin::start(move |mut connection| {
        tell.lock().unwrap().send(connection.request().is_some()).unwrap();
    });
    let proxy = filtered(origin.address(), "http1", &[both_ways("pass")]);
    for framing in ["content-length: 100\r\n\r\nsome", "transfer-encoding: chunked\r\n\r\n4\r\nsome\r\n"] {
        let before = origin.accepted();
        let mut client = Client::connect(proxy.address(0));
        client.send(format!("POST /broken HTTP/1.1\r\nhost: a\r\n{framing}"));
        wait_until("the origin to be asked", || origin.accepted() > before);
        drop(client);
        assert!(!wait_for("the end", || told.try_recv().ok()), "{framing:?} looked complete");
    }
}

#[test]
fn an_origin_that_goes_in_the_middle_is_gone_for_the_client_too() {
    for framing in ["content-length: 100\r\n\r\nsome", "transfer-encoding: chunked\r\n\r\n4\r\nsome\r\n"] {
        let origin = RawOrigin::start(move |mut connection| {
            connection.request();
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
        });
        let proxy = filtered(origin.address(), "http1", &[both_ways("shout")]);
        let mut client = Client::connect(proxy.address(0));
        client.stream().set_read_timeout(Some(DEADLINE)).unwrap();
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let rest = client.rest();
        assert!(rest.ends_with("4\r\nSOME\r\n"), "{rest:?}");
        assert!(Message::read_response(&mut rest.as_bytes(), "GET").is_err(), "{rest:?} looks complete");
    }
}
