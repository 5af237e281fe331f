//! Bodies stream past in both directions, at the pace of whoever reads.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, mpsc};

use jackfield_tests::{Client, Origin, RawOrigin, client, wait_for, wait_until};

use crate::in_front_of;

const MIB: usize = 1 << 20;
/// What the proxy may need more for a body that nobody reads: buffers of sockets and of hyper.
const SLACK: u64 = 24 << 20;

#[test]
fn a_client_that_does_not_read_holds_up_the_origin_and_fills_no_memory() {
    const SIZE: usize = 200 * MIB;
    let sent = Arc::new(Mutex::new(0));
    let progress = Arc::clone(&sent);
    let origin = RawOrigin::start(move |mut connection| {
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"));
        let chunk = vec![7; MIB];
        while *progress.lock().unwrap() < SIZE && connection.send(&chunk) {
            *progress.lock().unwrap() += MIB;
        }
    });
    let proxy = in_front_of(origin.address());
    client::get_with(in_front_of(Origin::echo("warm").address()).address(0), "/", &[]);
    let before = proxy.memory();
    let mut client = Client::connect(proxy.address(0));
    client.send("GET /big HTTP/1.1\r\nhost: a\r\n\r\n");
    // Stuck: a good while without progress.
    let mut seen = (0, std::time::Instant::now());
    wait_until("the origin to be held up", || {
        let now = *sent.lock().unwrap();
        if now != seen.0 || now == 0 {
            seen = (now, std::time::Instant::now());
        }
        seen.1.elapsed().as_millis() > 700
    });
    assert!(seen.0 < SIZE / 2, "{} bytes went somewhere", seen.0);
    assert!(proxy.memory() < before + SLACK, "{} bytes more", proxy.memory() - before);
    let (mut all, mut peak, mut buffer) = (0, 0, vec![0; MIB]);
    let head = jackfield_tests::Head::read(client.reader()).unwrap().unwrap();
    assert_eq!(head.header("content-length"), Some(SIZE.to_string().as_str()));
    while all < SIZE {
        let count = client.reader().read(&mut buffer).unwrap();
        assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == 7));
        all += count;
        peak = peak.max(proxy.memory());
    }
    assert!(peak < before + SLACK, "{} bytes more", peak - before);
    assert_eq!(proxy.access_of("/big")["sent"], SIZE);
}

#[test]
fn an_origin_that_does_not_read_holds_up_the_client() {
    const SIZE: usize = 100 * MIB;
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = RawOrigin::start(move |mut connection| {
        jackfield_tests::Head::read(&mut connection.reader).unwrap();
        wait.lock().unwrap().recv().unwrap();
        let (mut all, mut buffer) = (0, vec![0; MIB]);
        while all < SIZE {
            all += connection.reader.read(&mut buffer).unwrap();
        }
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{all}"));
    });
    let proxy = in_front_of(origin.address());
    let before = proxy.memory();
    let mut client = Client::connect(proxy.address(0));
    client.send(format!("POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n"));
    client.stream().set_write_timeout(Some(std::time::Duration::from_millis(700))).unwrap();
    let (mut sent, chunk) = (0, vec![7; MIB]);
    while let Ok(count) = client.stream().write(&chunk) {
        sent += count;
        assert!(sent < SIZE / 2, "the proxy took {sent} bytes that nobody reads");
    }
    assert!(proxy.memory() < before + SLACK, "{} bytes more", proxy.memory() - before);
    go.send(()).unwrap();
    client.stream().set_write_timeout(Some(jackfield_tests::DEADLINE)).unwrap();
    while sent < SIZE {
        sent += client.stream().write(&chunk[..MIB.min(SIZE - sent)]).unwrap();
    }
    assert_eq!(client.receive("POST").text(), SIZE.to_string());
    assert!(proxy.memory() < before + SLACK, "{} bytes more", proxy.memory() - before);
}

/// A part of a response goes on before the next exists, and so with requests.
#[test]
fn parts_pass_as_they_come() {
    let origin = RawOrigin::start(|mut connection| {
        jackfield_tests::Head::read(&mut connection.reader).unwrap();
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut byte = [0];
        while connection.reader.read_exact(&mut byte).is_ok() {
            // The chunks of the request come back, framing and all, as one chunk for each byte.
            let shown = format!("1\r\n{}\r\n", char::from(byte[0]).to_ascii_uppercase());
            if byte[0].is_ascii_lowercase() && !connection.send(shown) {
                return;
            }
            if byte[0] == b'z' {
                connection.send("0\r\n\r\n");
                return;
            }
        }
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let head = jackfield_tests::Head::read(client.reader()).unwrap().unwrap();
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    for letter in ["g", "h", "i"] {
        client.send(format!("1\r\n{letter}\r\n"));
        let mut chunk = [0; 6];
        client.reader().read_exact(&mut chunk).unwrap();
        assert_eq!(&chunk[..], format!("1\r\n{}\r\n", letter.to_uppercase()).as_bytes());
    }
}

#[test]
fn trailers_pass_both_ways() {
    let origin = RawOrigin::start(|mut connection| {
        let request = connection.request().unwrap();
        assert_eq!((request.text().as_str(), &request.trailers[..]), ("ab", &[("x-sum".into(), "12".into())][..]));
        connection.send(
            "HTTP/1.1 200 OK\r\ntrailer: x-check\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-check: 34\r\n\r\n",
        );
    });
    let proxy = in_front_of(origin.address());
    let answer = Client::connect(proxy.address(0)).ask(
        "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntrailer: x-sum\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 12\r\n\r\n",
    );
    assert_eq!((answer.text().as_str(), answer.header("trailer")), ("ok", Some("x-check")));
    assert_eq!(answer.trailers, [("x-check".to_owned(), "34".to_owned())]);
}

#[test]
fn head_keeps_the_length_and_has_no_body() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n", Some("1234")),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n\r\n", None),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", Some("99")),
    ];
    for (answer, length) in cases {
        let origin = RawOrigin::answering(answer);
        let proxy = in_front_of(origin.address());
        let mut client = Client::connect(proxy.address(0));
        for _ in 0..2 {
            let head = client.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(head.header("content-length"), length, "{answer:?}");
        }
    }
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    for status in ["204 No Content", "304 Not Modified"] {
        let origin = RawOrigin::answering(format!("HTTP/1.1 {status}\r\netag: \"a\"\r\n\r\n"));
        let proxy = in_front_of(origin.address());
        let mut client = Client::connect(proxy.address(0));
        for _ in 0..3 {
            let answer = client.get("/");
            assert_eq!((answer.header("etag"), answer.header("content-length")), (Some("\"a\""), None));
        }
        assert_eq!(origin.accepted(), 1);
    }
}

#[test]
fn a_body_until_the_end_of_the_connection_arrives_whole() {
    let origin = RawOrigin::start(|mut connection| {
        connection.request();
        connection.send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "until the end");
    }
}

#[test]
fn a_response_that_breaks_off_does_not_look_complete() {
    let parts = [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ];
    for part in parts {
        let origin = RawOrigin::start(move |mut connection| {
            connection.request();
            connection.send(part);
        });
        let proxy = in_front_of(origin.address());
        let answer = client::exchange(proxy.address(0), "GET /half HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(answer.contains("only this") && !answer.ends_with("0\r\n\r\n"), "{answer}");
        assert_eq!(proxy.access_of("/half")["error"], "the body did not reach its end");
    }
}

/// A GET with a body is odd but legal.
#[test]
fn any_method_may_have_a_body() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    for method in ["GET", "DELETE", "PATCH", "PROPFIND"] {
        let mut client = Client::connect(proxy.address(0));
        let answer = client.ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab"));
        assert_eq!((&answer.json()["method"], &answer.json()["body"]), (&method.into(), &"ab".into()));
        let answer = client
            .ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"));
        assert_eq!(answer.json()["body"], "c");
    }
}

/// An endpoint that answers before it has read the request's body is busy with it until its end;
/// the next request must not wait for that.
#[test]
fn an_upload_that_goes_on_after_its_answer_is_in_nobodys_way() {
    let origin = RawOrigin::start(|mut connection| {
        while let Ok(Some(head)) = jackfield_tests::Head::read(&mut connection.reader) {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            if head.first.starts_with("POST") {
                let mut all = Vec::new();
                let _ = connection.reader.read_to_end(&mut all);
            }
        }
    });
    let proxy = crate::start(&format!("workers = 1\n{}", crate::config("", &crate::endpoint(origin.address()))));
    let mut slow = Client::connect(proxy.address(0));
    slow.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nbegin");
    assert_eq!(slow.receive("POST").text(), "ok");
    assert_eq!(client::get(proxy.address(0), "/").text(), "ok");
    slow.send("more");
    assert_eq!(client::get(proxy.address(0), "/").text(), "ok");
}

#[test]
fn an_endless_response_ends_when_the_client_goes() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = RawOrigin::start(move |mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n\r\n");
        while connection.send([0; 1000]) {}
        tell.lock().unwrap().send(()).unwrap();
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut some = vec![0; 100_000];
    client.reader().read_exact(&mut some).unwrap();
    drop(client);
    wait_for("the origin to hear of it", || told.try_recv().ok());
    assert_eq!(proxy.access_of("/endless")["error"], "the body did not reach its end");
}
