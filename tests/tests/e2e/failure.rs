//! Endpoints that fail: whoever can be served by another is; everyone gets an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use jackfield_tests::raw::nobody;
use jackfield_tests::{Client, Origin, RawOrigin, client, http2, wait_until};

use crate::{config, endpoint, in_front_of, start};

#[test]
fn an_endpoint_that_refuses_is_skipped_without_a_lost_request() {
    let origin = Origin::echo("b");
    let endpoints = format!("endpoints = [\"{}\", \"{}\"]", nobody(), origin.address());
    let proxy = start(&config("", &endpoints));
    for turn in 0..20 {
        // Nothing was sent to the first one, so that even this may go to the next.
        let answer = Client::connect(proxy.address(0))
            .ask(&format!("POST /{turn} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok"));
        assert_eq!((answer.status(), &answer.json()["body"]), (200, &"ok".into()));
    }
    assert_eq!(origin.requests(), 20);
}

#[test]
fn nobody_there_is_502_with_the_reason_in_the_log() {
    let proxy = in_front_of(nobody());
    let answer = client::get(proxy.address(0), "/x");
    assert_eq!((answer.status(), answer.text().as_str()), (502, "502 Bad Gateway\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let line = proxy.access_of("/x");
    assert_eq!(line["status"], 502);
    let reason = line["error"].as_str().unwrap();
    assert!(reason.starts_with("no endpoint could be connected: Connection refused"), "{reason}");
}

#[test]
fn no_answer_in_time_is_504() {
    let origin = RawOrigin::start(|mut connection| while connection.request().is_some() {});
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [{ upstream = \"api\", timeout = \"300ms\" }]\n";
    let proxy = start(&format!("{listener}[upstream.api]\n{}\n", endpoint(origin.address())));
    let answer = client::get(proxy.address(0), "/slow");
    assert_eq!((answer.status(), answer.text().as_str()), (504, "504 Gateway Timeout\n"));
    let line = proxy.access_of("/slow");
    assert_eq!((&line["error"], &line["upstream"]), (&"no answer in time".into(), &"api".into()));
}

#[test]
fn an_endpoint_without_room_to_connect_is_502_after_the_connect_timeout() {
    // A listener whose queue is full: the kernel drops further connections' first packets.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let short = std::time::Duration::from_millis(200);
    let fillers: Vec<_> = (0..8).filter_map(|_| std::net::TcpStream::connect_timeout(&address, short).ok()).collect();
    assert!(fillers.len() < 8, "the queue takes all");
    let proxy = start(&config("", &format!("{}\nconnect-timeout = \"300ms\"", endpoint(address))));
    let answer = client::get(proxy.address(0), "/x");
    assert_eq!(answer.status(), 502);
    let reason = proxy.access_of("/x")["error"].to_string();
    assert!(reason.contains("no connection within 300ms"), "{reason}");
}

#[test]
fn all_endpoints_unhealthy_is_503() {
    let origin = RawOrigin::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    let health = "health = { path = \"/\", interval = \"50ms\", fall = 1 }";
    let proxy = start(&config("", &format!("{}\n{health}", endpoint(origin.address()))));
    proxy.wait_for_log("endpoint is down");
    wait_until("503", || client::get(proxy.address(0), "/x").status() == 503);
    let answer = client::get(proxy.address(0), "/y");
    assert_eq!((answer.status(), answer.text().as_str()), (503, "503 Service Unavailable\n"));
    assert_eq!(proxy.access_of("/y")["error"], "no endpoint of the upstream can be chosen");
}

#[test]
fn no_route_is_404() {
    let proxy = start(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [{ host = \"only.example\", respond = { status = 200 } }]\n",
    );
    let answer = client::get(proxy.address(0), "/x");
    assert_eq!((answer.status(), answer.text().as_str()), (404, "404 Not Found\n"));
    assert_eq!(proxy.access_of("/x")["error"], "no route for this request");
}

/// Reads the request, and closes without an answer.
fn closing() -> (RawOrigin, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let origin = RawOrigin::start(move |mut connection| {
        if connection.request().is_some() {
            count.fetch_add(1, SeqCst);
        }
    });
    (origin, asked)
}

#[test]
fn what_may_be_repeated_goes_to_the_next_and_a_post_does_not() {
    let (bad, asked) = closing();
    let good = Origin::echo("good");
    let endpoints = format!("endpoints = [\"{}\", \"{}\"]", bad.address(), good.address());
    let proxy = start(&config("", &endpoints));
    for _ in 0..6 {
        assert_eq!(client::get(proxy.address(0), "/").json()["origin"], "good");
    }
    assert_eq!((asked.load(SeqCst), good.requests()), (3, 6));
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let answer = Client::connect(proxy.address(0)).ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab");
        statuses.push(answer.status());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 502, 502, 502]);
    assert_eq!((asked.load(SeqCst), good.requests()), (6, 9));
}

#[test]
fn tries_have_an_end() {
    let (bad, asked) = closing();
    let others: Vec<_> = (0..9).map(|_| closing()).collect();
    let all: Vec<String> = others.iter().map(|(origin, _)| format!("\"{}\"", origin.address())).collect();
    let endpoints = format!("endpoints = [\"{}\", {}]\nretries = 3", bad.address(), all.join(", "));
    let proxy = start(&config("", &endpoints));
    assert_eq!(client::get(proxy.address(0), "/").status(), 502);
    let tried = asked.load(SeqCst) + others.iter().map(|(_, asked)| asked.load(SeqCst)).sum::<usize>();
    assert_eq!(tried, 4);
}

/// HTTP/2 endpoints that reset every stream: the try fails, and is not repeated for ever.
#[test]
fn an_http2_endpoint_that_resets_every_stream_is_left_alone() {
    let origin = RawOrigin::start(http2_resetting);
    let proxy = start(&config("", &format!("{}\nprotocol = \"h2\"", endpoint(origin.address()))));
    for _ in 0..3 {
        let answer = client::get(proxy.address(0), "/");
        assert_eq!((answer.status(), answer.text().as_str()), (502, "502 Bad Gateway\n"));
    }
}

/// RFC 9113 by hand: settings, and `RST_STREAM` for every HEADERS frame.
fn http2_resetting(mut connection: jackfield_tests::raw::RawConnection) {
    use std::io::Read;
    let mut preface = [0; 24];
    let _ = connection.reader.read_exact(&mut preface);
    connection.send([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut head = [0; 9];
    while connection.reader.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        let _ = connection.reader.read_exact(&mut payload);
        match head[3] {
            1 => {
                let mut reset = vec![0, 0, 4, 3, 0];
                reset.extend_from_slice(&head[5..]);
                reset.extend_from_slice(&[0, 0, 0, 2]);
                connection.send(reset);
            }
            4 if head[4] == 0 => {
                connection.send([0, 0, 0, 4, 1, 0, 0, 0, 0]);
            }
            _ => {}
        }
    }
}

/// The pool believes in connections that the endpoint has closed: nobody notices.
#[test]
fn stale_connections_are_no_failures() {
    let origin = RawOrigin::start(|mut connection| {
        // One answer that promises more, then the end.
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    for _ in 0..200 {
        assert_eq!(client.get("/").text(), "ok");
    }
}

#[test]
fn an_endpoint_killed_under_load_loses_no_request() {
    let mut origins = [Origin::echo("a"), Origin::echo("b"), Origin::echo("c")];
    let endpoints = crate::endpoints(&[&origins[0], &origins[1], &origins[2]]);
    let proxy = start(&format!("workers = 2\n{}", config("", &endpoints)));
    let (address, stop) = (proxy.address(0), Arc::new(AtomicBool::new(false)));
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    let answer = client.get("/load");
                    assert_eq!(answer.status(), 200, "{answer:?}");
                    done.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    wait_until("some load", || done.load(SeqCst) > 300);
    origins[1].kill();
    let killed = done.load(SeqCst);
    wait_until("more load", || done.load(SeqCst) > killed + 500);
    stop.store(true, SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    let errors = proxy.access_log().iter().filter(|line| line["status"] != 200).count();
    assert_eq!(errors, 0);
}

#[test]
fn http2_clients_hear_of_failures_too() {
    let proxy = in_front_of(nobody());
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let answer = http2::ask(&mut client, http2::get("/")).await;
        assert_eq!((answer.status, &answer.body[..]), (502, &b"502 Bad Gateway\n"[..]));
        assert_eq!(http2::ask(&mut client, http2::get("/")).await.status, 502);
    });
}
