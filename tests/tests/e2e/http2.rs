//! HTTP/2 in front and behind, by prior knowledge; with TLS see `tls`.

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use jackfield_tests::origin::{Speaks, json_response, seen};
use jackfield_tests::{Client, Origin, RawOrigin, client, http2, tool};

use crate::{config, endpoint, endpoints, in_front_of, start};

fn http2_origin(name: &str) -> Origin {
    Origin::echo_speaking(Speaks { http2: true, ..Speaks::default() }, name)
}

fn in_front_of_http2(origin: &Origin) -> jackfield_tests::Proxy {
    start(&config("", &format!("{}\nprotocol = \"h2\"", endpoints(&[origin]))))
}

#[test]
fn prior_knowledge_in_front_of_http1() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let answer = http2::ask(&mut client, http2::get("/x?y")).await.json();
        assert_eq!((&answer["version"], &answer["path"]), (&"HTTP/1.1".into(), &"/x?y".into()));
        assert_eq!(answer["headers"], serde_json::json!({ "host": "test.example" }));
        let post = Request::post("http://test.example/up").body(http2::full(vec![b'x'; 100_000])).unwrap();
        assert_eq!(http2::ask(&mut client, post).await.json()["length"], 100_000);
    });
    assert_eq!(proxy.access_of("/x?y")["protocol"], "HTTP/2");
}

#[test]
fn http2_to_the_endpoint_on_one_connection() {
    let origin = http2_origin("h2");
    let proxy =
        start(&format!("workers = 1\n{}", config("", &format!("{}\nprotocol = \"h2\"", endpoints(&[&origin])))));
    let mut client = Client::connect(proxy.address(0));
    for turn in 0..5 {
        let answer =
            client.ask(&format!("POST /{turn} HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\nok")).json();
        assert_eq!((&answer["version"], &answer["authority"]), (&"HTTP/2.0".into(), &"a.example".into()));
        assert_eq!((&answer["body"], &answer["path"]), (&"ok".into(), &format!("/{turn}").into()));
    }
    let answer = client.ask("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
    assert_eq!(answer.json()["body"], "ab");
    let options = client.ask("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(options.status(), 200, "{options:?}");
    assert_eq!(client::exchange(proxy.address(0), "GET /old HTTP/1.0\r\n\r\n").lines().next(), Some("HTTP/1.0 200 OK"));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn many_streams_at_once() {
    let origin = http2_origin("h2");
    let proxy = in_front_of_http2(&origin);
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let mut asked = Vec::new();
        for turn in 0..200 {
            client.ready().await.unwrap();
            asked.push((turn, client.send_request(http2::get(&format!("/{turn}")))));
        }
        for (turn, answer) in asked {
            assert_eq!(http2::whole(answer.await.unwrap()).await.json()["path"], format!("/{turn}"));
        }
    });
}

/// RFC 9113, section 8.2.3: cookies that came in several fields are one in HTTP/1.1.
#[test]
fn split_cookies_are_joined() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let mut request = http2::get("/");
        request.headers_mut().append("cookie", HeaderValue::from_static("a=1"));
        request.headers_mut().append("cookie", HeaderValue::from_static("b=2"));
        let answer = http2::ask(&mut client, request).await.json();
        assert_eq!(answer["headers"]["cookie"], "a=1; b=2");
    });
}

/// As gRPC has it: `te: trailers`, and the outcome after the body.
#[test]
fn trailers_pass_from_end_to_end() {
    let speaks = Speaks { http2: true, ..Speaks::default() };
    let origin = Origin::speaking(speaks, |request| async move {
        let seen = seen("h2", request).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Full::new(bytes::Bytes::from(seen.to_string())).with_trailers(async { Some(Ok(trailers)) });
        Response::new(body.map_err(|never| match never {}).boxed())
    });
    let proxy = in_front_of_http2(&origin);
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let mut sent = HeaderMap::new();
        sent.insert("x-sum", HeaderValue::from_static("7"));
        let body = Full::new(bytes::Bytes::from_static(b"data")).with_trailers(async { Some(Ok(sent)) });
        let request = Request::post("http://test.example/rpc").header("te", "trailers");
        let answer = http2::ask(&mut client, request.body(body.map_err(|never| match never {}).boxed()).unwrap()).await;
        assert_eq!(answer.trailers.as_ref().unwrap()["grpc-status"], "0");
        let seen = answer.json();
        assert_eq!((&seen["body"], &seen["trailers"]["x-sum"]), (&"data".into(), &"7".into()));
        assert_eq!(seen["headers"]["te"], "trailers");
    });
}

#[test]
fn trailers_only_is_passed_as_it_is() {
    let speaks = Speaks { http2: true, ..Speaks::default() };
    let origin = Origin::speaking(speaks, |_| async {
        Response::builder().header("grpc-status", "5").body(jackfield_tests::origin::full("")).unwrap()
    });
    let proxy = in_front_of_http2(&origin);
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let answer = http2::ask(&mut client, http2::get("/")).await;
        assert_eq!(
            (answer.status, &answer.headers["grpc-status"], answer.body.len()),
            (200, &HeaderValue::from_static("5"), 0)
        );
    });
}

#[test]
fn too_large_a_head_is_431() {
    let origin = Origin::echo("a");
    let proxy = start(&config("max-header-bytes = \"8KiB\"", &endpoints(&[&origin])));
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let mut request = http2::get("/");
        request.headers_mut().insert("x", HeaderValue::from_str(&"a".repeat(9000)).unwrap());
        assert_eq!(http2::ask(&mut client, request).await.status, 431);
        assert_eq!(http2::ask(&mut client, http2::get("/")).await.status, 200);
        let long = format!("/{}", "a".repeat(10_000));
        assert!(matches!(http2::ask(&mut client, http2::get(&long)).await.status, 414 | 431));
    });
    assert_eq!(origin.requests(), 1);
}

#[test]
fn an_idle_connection_is_told_goodbye() {
    let origin = Origin::echo("a");
    let proxy = start(&config("idle-timeout = \"300ms\"", &endpoints(&[&origin])));
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        assert_eq!(http2::ask(&mut client, http2::get("/")).await.status, 200);
        while client.ready().await.is_ok() && !client.is_closed() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
}

/// A response that breaks off is a reset, not an end.
#[test]
fn a_response_that_breaks_off_is_a_reset() {
    let origin = RawOrigin::start(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    });
    let proxy = in_front_of(origin.address());
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        client.ready().await.unwrap();
        let answer = client.send_request(http2::get("/")).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
    });
}

#[test]
fn requests_without_an_authority_are_refused() {
    let origin = Origin::start(|request| async move { json_response(&seen("a", request).await) });
    let proxy = start(&config("", &endpoint(origin.address())));
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let mut request = http2::get("/");
        *request.uri_mut() = "/only-a-path".parse().unwrap();
        // hyper's client may refuse to send that; then there is nothing to test.
        if let Ok(answer) = client.send_request(request).await {
            assert_eq!(answer.status(), 400);
        }
    });
    assert_eq!(origin.requests(), 0);
}

#[test]
fn curl_with_prior_knowledge() {
    let Some(curl) = tool::tool("curl", "curl") else { return };
    let origin = http2_origin("h2");
    let proxy = in_front_of_http2(&origin);
    let url = format!("http://{}/x", proxy.address(0));
    let answer =
        tool::run(&curl, &["-sS", "--http2-prior-knowledge", "-w", "|%{http_version}|%{http_code}", &url, "-d", "abc"]);
    let mut parts = answer.split('|');
    let seen: serde_json::Value = serde_json::from_str(parts.next().unwrap()).unwrap();
    assert_eq!((&seen["body"], &seen["version"]), (&"abc".into(), &"HTTP/2.0".into()));
    assert_eq!(parts.collect::<Vec<_>>(), ["2", "200"]);
    // By upgrade, which is not taken: HTTP/1.1 it stays.
    let answer = tool::run(&curl, &["-sS", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", &url]);
    assert_eq!(answer, "1.1 200");
}

#[test]
fn h2load_loses_nothing() {
    let Some(h2load) = tool::tool("h2load", "nghttp2-client") else { return };
    let origins = [http2_origin("a"), http2_origin("b")];
    let upstream = format!("{}\nprotocol = \"h2\"", endpoints(&[&origins[0], &origins[1]]));
    let proxy = start(&format!("workers = 2\n{}", config("", &upstream)));
    let url = format!("http://{}/x", proxy.address(0));
    for flags in [vec![], vec!["--h1"]] {
        let arguments = [flags, vec!["-n", "2000", "-c", "8", "-m", "10", &url]].concat();
        let report = tool::run(&h2load, &arguments);
        let expected = "requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(report.contains(expected), "{report}");
    }
    assert_eq!(origins[0].requests() + origins[1].requests(), 4000);
    assert!(origins[0].requests().abs_diff(origins[1].requests()) < 200);
}
