//! What a peer may try so that two sides of a connection disagree where a message ends.

use std::net::Shutdown;
use std::sync::{Mutex, mpsc};

use jackfield_tests::{Client, Head, Origin, RawOrigin, client, wait_for};

use crate::{config, endpoint, in_front_of, start};

const CHUNKED: &str = "POST /first HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// The endpoint has answered already, so nobody needs the rest of the body; but where it ends nobody
/// knows either.
#[test]
fn no_request_hides_behind_a_broken_chunk() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = RawOrigin::start(move |mut connection| {
        while let Ok(Some(head)) = Head::read(&mut connection.reader) {
            assert!(head.first.contains("/first"), "{}", head.first);
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nha\r\n");
            wait.lock().unwrap().recv().unwrap();
            connection.send("2\r\nlf\r\n0\r\n\r\n");
        }
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send(CHUNKED);
    Head::read(client.reader()).unwrap().unwrap();
    client.send("29\n0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: a\r\n\r\n");
    go.send(()).unwrap();
    let rest = client.rest();
    assert!(rest.contains("lf") && !rest.contains("HTTP/1.1"), "{rest}");
}

/// A worker's task that has used its share of the time must not take a connection on trust.
#[test]
fn a_pipeline_of_any_length_gets_its_own_answers() {
    let (sent, poisoned) = mpsc::channel();
    let sent = Mutex::new(sent);
    let origin = RawOrigin::start(move |mut connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            // Nobody asked for this one. What comes after the next request is sent nobody can tell from its answer.
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
            let _ = sent.lock().unwrap().send(());
        }
    });
    let routes = r#"routes = [{ path = "/own", respond = { status = 200, body = "own" } }, { upstream = "u" }]"#;
    let proxy = start(&format!(
        "workers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n{routes}\n[upstream.u]\n{}",
        endpoint(origin.address())
    ));
    for before in 120..=130 {
        assert_eq!(client::get(proxy.address(0), "/").text(), "ok");
        poisoned.recv().unwrap();
        let mut client = Client::connect(proxy.address(0));
        let own = "GET /own HTTP/1.1\r\nhost: a\r\n\r\n".repeat(before);
        client.send(format!("{own}GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        for _ in 0..before {
            assert_eq!(client.receive("GET").text(), "own");
        }
        assert_eq!(client.receive("GET").text(), "ok", "after {before}");
        poisoned.recv().unwrap();
    }
}

#[test]
fn a_body_that_nobody_wants_does_not_cost_the_connection() {
    let origin = Origin::echo("a");
    let routes = r#"routes = [{ path = "/no", respond = { status = 403, body = "no" } }, { upstream = "u" }]"#;
    let proxy = start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n{routes}\n[upstream.u]\n{}",
        crate::endpoints(&[&origin])
    ));
    let mut client = Client::connect(proxy.address(0));
    for framing in ["content-length: 4\r\n\r\n", "transfer-encoding: chunked\r\n\r\n"] {
        client.send(format!("POST /no HTTP/1.1\r\nhost: a\r\n{framing}"));
        let answer = client.receive("POST");
        assert_eq!((answer.status(), answer.header("connection")), (403, None));
        client.send(if framing.contains("chunked") { "4\r\nbody\r\n0\r\n\r\n" } else { "body" });
        assert_eq!(client.get("/yes").json()["path"], "/yes");
    }
    // Much of it, or a client that waits for a word before it sends any: the end is announced.
    for lines in ["content-length: 1000000", "content-length: 4\r\nexpect: 100-continue"] {
        let mut client = Client::connect(proxy.address(0));
        client.send(format!("POST /no HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n"));
        let answer = client.receive("POST");
        assert_eq!((answer.status(), answer.header("connection")), (403, Some("close")), "{lines}");
        assert_eq!(client.rest(), "");
    }
}

#[test]
fn no_tunnel_opens_in_the_middle_of_a_body() {
    let origin = RawOrigin::start(|mut connection| {
        Head::read(&mut connection.reader).unwrap();
        connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
        assert!(connection.request().is_none());
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send(
        "POST /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    assert_eq!(client.receive("POST").status(), 502);
}

/// Where the end of the connection is the end of the body, a half one must not look whole.
#[test]
fn a_response_that_breaks_off_is_a_reset_for_http10() {
    let origin = RawOrigin::start(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    let mut answer = Vec::new();
    let error = std::io::Read::read_to_end(client.reader(), &mut answer).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// The body travels by a task of its own to an HTTP/2 endpoint; a client that leaves is noticed.
#[test]
fn a_client_that_leaves_is_noticed_behind_an_upload_to_http2() {
    let (tell, told) = mpsc::channel();
    let origin = jackfield_tests::http2::silent_origin(move |event| tell.send(event).unwrap());
    let upstream = format!("protocol = \"h2\"\n{}", endpoint(origin));
    let proxy = start(&config("", &upstream));
    let mut client = Client::connect(proxy.address(0));
    client.send("POST /gone HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
    assert_eq!(wait_for("the request", || told.try_recv().ok()), "asked");
    client.stream().shutdown(Shutdown::Both).unwrap();
    assert_eq!(wait_for("the reset", || told.try_recv().ok()), "reset");
    assert_eq!(proxy.access_of("/gone")["status"], 499);
}

/// An endpoint that takes nothing of the body is the one that is late, not the client.
#[test]
fn an_endpoint_that_reads_nothing_is_504() {
    let (_hold, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = RawOrigin::start(move |mut connection| {
        Head::read(&mut connection.reader).unwrap();
        let _ = wait.lock().unwrap().recv();
    });
    let routes = r#"routes = [{ upstream = "u", timeout = "700ms" }]"#;
    let proxy = start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n{routes}\n[upstream.u]\n{}",
        endpoint(origin.address())
    ));
    let mut client = Client::connect(proxy.address(0));
    client.send("POST /deaf HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n");
    let mut upload = client.stream().try_clone().unwrap();
    let upload = std::thread::spawn(move || while std::io::Write::write_all(&mut upload, &[0; 10_000]).is_ok() {});
    assert_eq!(client.receive("POST").status(), 504);
    drop(client);
    upload.join().unwrap();
}

/// A client that does not read them yet does not make the proxy keep them all.
#[test]
fn a_flood_of_interim_responses_fills_no_memory() {
    const FLOOD: usize = 64 << 20;
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = RawOrigin::start(move |mut connection| {
        connection.request();
        let hints = format!("HTTP/1.1 103 Early Hints\r\nx: {}\r\n\r\n", "y".repeat(900)).repeat(70);
        for _ in 0..FLOOD / hints.len() {
            connection.send(&hints);
        }
        tell.lock().unwrap().send(()).unwrap();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let proxy = in_front_of(origin.address());
    let before = proxy.memory();
    let mut client = Client::connect(proxy.address(0));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_for("the flood's end", || told.try_recv().ok());
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < FLOOD as u64 / 4, "{grown} bytes");
    let mut answer = client.receive("GET");
    while answer.status() == 103 {
        answer = client.receive("GET");
    }
    assert_eq!(answer.text(), "ok");
}
