//! Filters that read and change bodies, between clients and endpoints of either protocol.

mod chunks;
mod hostile;
mod mirror;
mod whole;

use std::io::Write;
use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use jackfield_tests::origin::Speaks;
use jackfield_tests::{Client, Message, Proxy, http2};

use crate::start;
pub use mirror::mirror;

/// How the guest `bodies` is used.
fn bodies(settings: &str, more: &str) -> String {
    format!("{{ plugin = \"bodies\", grants = [\"body\"], settings = {{ {settings} }}{more} }}")
}

/// A proxy with one worker and these filters on `/`; `/plain/` has none.
#[track_caller]
fn filtered(origin: SocketAddr, protocol: &str, filters: &[String]) -> Proxy {
    let filters = filters.join(", ");
    let config = format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/plain/", upstream = "api" }},
  {{ path = "/", upstream = "api", filters = [{filters}] }},
]
[upstream.api]
protocol = "{protocol}"
endpoints = ["{origin}"]
"#
    );
    start(&config, &["bodies"])
}

/// What came back of a body.
struct Returned {
    status: u16,
    body: Bytes,
    length: Option<String>,
}

/// Sends this body by HTTP/1.1 or HTTP/2 and reads what comes back meanwhile.
#[track_caller]
fn post(to: SocketAddr, http2: bool, path: &str, body: &Bytes) -> Returned {
    if http2 {
        let request = Request::post(format!("http://test.example{path}")).body(http2::full(body.clone())).unwrap();
        let answer = http2::block_on(async {
            let mut client = http2::connect(to).await;
            http2::ask(&mut client, request).await
        });
        let length = answer.headers.get("content-length").map(|length| length.to_str().unwrap().to_owned());
        return Returned { status: answer.status, body: answer.body, length };
    }
    let mut client = Client::connect(to);
    let answer = upload(&mut client, &format!("POST {path} HTTP/1.1\r\nhost: a\r\n"), body);
    let length = answer.header("content-length").map(str::to_owned);
    Returned { status: answer.status(), body: answer.body.into(), length }
}

/// The head without its last lines, then the body on a thread of its own: the answer may be as long.
#[track_caller]
fn upload(client: &mut Client, head: &str, body: &Bytes) -> Message {
    let mut stream = client.stream().try_clone().unwrap();
    let (head, body) = (format!("{head}content-length: {}\r\n\r\n", body.len()), body.clone());
    let sender = std::thread::spawn(move || {
        // The answer may come, and the connection end, before all of it is sent.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    });
    let answer = client.receive("POST");
    sender.join().unwrap();
    answer
}

/// So many letters, none of them a capital, no two parts alike.
fn letters(count: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'a' + ((state >> 40) % 26) as u8
    };
    std::iter::repeat_with(letter).take(count).collect()
}

/// Every protocol of a client with every one of an endpoint.
fn each_protocol(test: impl Fn(bool, bool)) {
    for (client, endpoint) in [(false, false), (false, true), (true, false), (true, true)] {
        test(client, endpoint);
    }
}

fn speaks(http2: bool) -> (Speaks, &'static str) {
    (Speaks { http2, ..Speaks::default() }, if http2 { "h2" } else { "http1" })
}
