//! Filters that fail, refuse, or never end while a body passes. What is cut off looks cut off to who
//! receives it; everybody else goes on.

use std::io::Read;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use jackfield::config::Grant;
use jackfield::plugin::{Delivery, Filter, Side};
use jackfield_tests::host::{Host, guest};
use jackfield_tests::{Client, Head, Message, Origin, RawOrigin, client, http2, wait_for, wait_until};

use super::{bodies, each_protocol, filtered, letters, mirror, post, speaks, upload};
use crate::metric;

const GENEROUS: Duration = Duration::from_secs(5);
const PLACE: &str = "{plugin=\"bodies\",place=\"listener[0].routes[1].filters[0]\"}";

#[track_caller]
fn failures(proxy: &jackfield_tests::Proxy) -> u64 {
    metric(proxy, &format!("jackfield_plugin_failures_total{PLACE}"))
}

/// The endpoint sees half a request, the client why.
#[test]
fn an_upload_that_a_filter_ends_is_cut_off_for_the_endpoint() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = RawOrigin::start(move |mut connection| {
        while let Ok(Some(head)) = Head::read(&mut connection.reader) {
            if head.first.starts_with("GET") {
                connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                continue;
            }
            let mut rest = Vec::new();
            let _ = connection.reader.read_to_end(&mut rest);
            tell.lock().unwrap().send(rest.ends_with(b"0\r\n\r\n")).unwrap();
            return;
        }
    });
    for (action, status) in [("abort", 403), ("trap", 503), ("loop", 503)] {
        let filter = bodies(&format!("do = \"{action}\", at = 3, request = \"chunks\""), "");
        let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&filter));
        let mut client = Client::connect(proxy.address(0));
        let begin = Instant::now();
        let answer = upload(&mut client, "POST /up HTTP/1.1\r\nhost: a\r\n", &letters(4 << 20));
        assert_eq!(answer.status(), status, "{action}");
        assert!(begin.elapsed() < GENEROUS, "{action}: {:?}", begin.elapsed());
        assert!(!wait_for("the end", || told.try_recv().ok()), "{action}: it looked complete");
        assert_eq!(client::get(proxy.address(0), "/plain/").text(), "ok");
        assert_eq!(proxy.access_of("/up")["status"], status);
    }
}

#[test]
fn over_http2_it_is_reset_and_the_endpoint_is_not_blamed() {
    for (action, status) in [("abort", 403), ("trap", 503)] {
        let origin = Origin::echo_speaking(speaks(true).0, "a");
        let filter = bodies(&format!("do = \"{action}\", at = 3, request = \"chunks\""), "");
        let proxy = filtered(origin.address(), "h2", std::slice::from_ref(&filter));
        for http2 in [false, true] {
            // The instance that trapped is replaced first, or the next request is refused at once.
            wait_until("the filter to be called", || {
                post(proxy.address(0), http2, "/", &letters(4 << 20)).status == status && failures(&proxy) < 5
            });
            assert_eq!(post(proxy.address(0), http2, "/plain/", &letters(9)).status, 200);
        }
        let endpoint = format!("{{upstream=\"api\",endpoint=\"{}\"}}", origin.address());
        assert_eq!(metric(&proxy, &format!("jackfield_endpoint_failures_total{endpoint}")), 0);
    }
}

#[test]
fn a_download_that_a_filter_ends_is_cut_off_for_the_client() {
    each_protocol(|http2, endpoint| {
        let (speaks, protocol) = speaks(endpoint);
        let origin = mirror(speaks);
        for action in ["abort", "trap"] {
            let filter = bodies(&format!("do = \"{action}\", at = 3, response = \"chunks\""), "");
            let proxy = filtered(origin.address(), protocol, std::slice::from_ref(&filter));
            let body = letters(4 << 20);
            if http2 {
                http2::block_on(async {
                    let mut client = http2::connect(proxy.address(0)).await;
                    let request = Request::post("http://a/down").body(http2::full(body)).unwrap();
                    let answer = client.send_request(request).await.unwrap();
                    assert_eq!(answer.status(), 200);
                    assert!(answer.into_body().collect().await.is_err(), "{action}: it looked complete");
                    // The connection lives on.
                    assert_eq!(http2::ask(&mut client, http2::get("/plain/")).await.status, 200);
                });
            } else {
                let mut client = Client::connect(proxy.address(0));
                let request = format!("POST /down HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
                let mut stream = client.stream().try_clone().unwrap();
                let sender = std::thread::spawn(move || {
                    use std::io::Write;
                    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(&body));
                });
                let came = Message::read_response(client.reader(), "POST");
                assert!(came.is_err(), "{action}: it looked complete");
                sender.join().unwrap();
                assert_eq!(client::get(proxy.address(0), "/plain/").status(), 200);
            }
            assert_eq!(proxy.access_of("/down")["error"], "the body did not reach its end");
        }
    });
}

#[test]
fn with_an_open_policy_the_rest_passes_and_what_was_replaced_stays() {
    each_protocol(|http2, endpoint| {
        let (speaks, protocol) = speaks(endpoint);
        let origin = mirror(speaks);
        for side in ["request", "response"] {
            let settings = format!("do = \"shout-then-trap\", at = 3, {side} = \"chunks\"");
            let filter = bodies(&settings, ", on-failure = \"open\"");
            let proxy = filtered(origin.address(), protocol, std::slice::from_ref(&filter));
            let body = letters(1 << 20);
            let returned = post(proxy.address(0), http2, "/", &body);
            assert_eq!((returned.status, returned.body.len()), (200, body.len()));
            let lower = returned.body.iter().position(u8::is_ascii_lowercase).unwrap();
            assert!(lower > 0 && returned.body[..lower] == body[..lower].to_ascii_uppercase());
            assert!(returned.body[lower..] == body[lower..], "{side}");
        }
    });
}

#[test]
fn a_whole_body_whose_filter_fails_is_answered_by_policy() {
    let origin = mirror(speaks(false).0);
    for (side, aborted) in [("request", 403), ("response", 502)] {
        let of = |action: &str, policy: &str| {
            let settings = format!("do = \"{action}\", at = 1, {side} = \"whole\"");
            filtered(origin.address(), "http1", &[bodies(&settings, &format!(", on-failure = \"{policy}\""))])
        };
        for action in ["trap", "loop", "too-much"] {
            let proxy = of(action, "closed");
            assert_eq!(post(proxy.address(0), false, "/", &letters(9)).status, 503, "{action} {side}");
            assert_eq!(failures(&proxy), 1);
            let proxy = of(action, "open");
            let returned = post(proxy.address(0), false, "/", &letters(9));
            assert_eq!((returned.status, returned.body), (200, letters(9)), "{action} {side}");
        }
        let proxy = of("abort", "closed");
        assert_eq!(post(proxy.address(0), false, "/", &letters(9)).status, aborted);
        assert_eq!(failures(&proxy), 0, "to refuse is no failure");
    }
}

#[test]
fn in_quarantine_a_closed_filter_lets_nothing_pass_and_an_open_one_everything() {
    let origin = mirror(speaks(false).0);
    for (policy, expected) in [("closed", 503), ("open", 200)] {
        let filter = bodies("do = \"trap\", at = 1, request = \"chunks\"", &format!(", on-failure = \"{policy}\""));
        let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&filter));
        wait_until("the quarantine", || {
            assert_eq!(post(proxy.address(0), false, "/", &letters(99)).status, expected);
            proxy.log_contains("quarantined")
        });
        let before = failures(&proxy);
        let returned = post(proxy.address(0), false, "/", &letters(99));
        assert_eq!((returned.status, returned.body == letters(99)), (expected, expected == 200));
        assert_eq!(failures(&proxy), before, "it was called in quarantine");
        assert_eq!(post(proxy.address(0), false, "/plain/", &letters(99)).body, letters(99));
    }
}

/// Two megabytes for every byte: as slow as whoever reads, and no more memory than that.
#[test]
fn a_filter_that_blows_bodies_up_fills_no_memory() {
    let origin = RawOrigin::start(|mut connection| {
        Head::read(&mut connection.reader).unwrap();
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for _ in 0..40 {
            connection.send("1\r\na\r\n");
        }
        connection.send("0\r\n\r\n");
        let _ = connection.reader.read(&mut [0]);
    });
    let twice = bodies("do = \"blow-up\", response = \"chunks\"", "");
    let proxy = filtered(origin.address(), "http1", &[twice.clone(), twice]);
    let before = proxy.memory();
    let mut client = Client::connect(proxy.address(0));
    client.send("GET /big HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut some = vec![0; 64 << 20];
    client.reader().read_exact(&mut some).unwrap();
    // Two instances have their copies, two lanes theirs.
    assert!(proxy.memory() < before + (48 << 20), "{} bytes more", proxy.memory() - before);
    drop(client);
    proxy.access_of("/big");
}

#[test]
fn swallowed_bodies_end_and_others_have_their_turn() {
    let origin = mirror(speaks(false).0);
    for (action, rest) in [("swallow", ""), ("swallow-but-the-end", "the end")] {
        for delivery in ["chunks", "whole"] {
            let settings = format!("do = \"{action}\", request = \"{delivery}\", response = \"{delivery}\"");
            let filter = bodies(&settings, ", body = \"8MiB\"");
            let proxy = filtered(origin.address(), "http1", std::slice::from_ref(&filter));
            let returned = post(proxy.address(0), false, "/", &letters(5 << 20));
            assert_eq!((returned.status, returned.body), (200, Bytes::from(rest)), "{action} {delivery}");
        }
    }
}

/// The endpoint began to answer and waits for the rest of the request, which a filter ends.
#[test]
fn an_upload_that_ends_while_the_answer_is_under_way_ends_both() {
    for (endpoint, protocol) in [(false, "http1"), (true, "h2")] {
        let origin = mirror(speaks(endpoint).0);
        let filter = bodies("do = \"abort\", at = 2, request = \"chunks\"", "");
        let proxy = filtered(origin.address(), protocol, std::slice::from_ref(&filter));
        let mut client = Client::connect(proxy.address(0));
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
        let head = Head::read(client.reader()).unwrap().unwrap();
        assert_eq!((head.status(), head.header("transfer-encoding")), (200, Some("chunked")));
        let mut chunk = [0; 8];
        client.reader().read_exact(&mut chunk).unwrap();
        assert_eq!(&chunk, b"3\r\none\r\n");
        client.send("3\r\ntwo\r\n");
        assert_eq!(client.rest(), "", "nothing more, and not its end");
    }
}

/// Whatever it exports.
#[test]
fn without_the_grant_it_is_not_asked() {
    let host = Host::new();
    let settings = r#"{"do": "trap", "request": "chunks", "response": "whole"}"#;
    let delivery = |grants: Vec<Grant>| {
        let usage = host.filter_of(&guest("bodies"), settings, grants);
        let filter = Filter::start(&usage, 0).unwrap();
        [filter.delivery(Side::Request), filter.delivery(Side::Response)]
    };
    assert_eq!(delivery(vec![Grant::Body]), [Delivery::Chunks, Delivery::Whole]);
    assert_eq!(delivery(vec![Grant::Metrics]), [Delivery::Never, Delivery::Never]);
}
