//! Interim responses (RFC 9110, section 15.2).

use jackfield_tests::{Client, Origin, RawOrigin, wait_until};

use crate::in_front_of;

#[test]
fn expect_100_continue_is_answered_before_the_body_is_sent() {
    let origin = Origin::echo("a");
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send("PUT /up HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    let mut begun = [0; 25];
    std::io::Read::read_exact(client.reader(), &mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    assert_eq!(client.receive("PUT").json()["body"], "body");
}

#[test]
fn a_refusal_comes_instead_of_100() {
    let proxy = crate::start(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [{ path = \"/\", respond = { status = 413 } }]\n",
    );
    let mut client = Client::connect(proxy.address(0));
    client.send("PUT /up HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    let answer = client.receive("PUT");
    assert_eq!((answer.status(), answer.interim.len()), (413, 0));
}

#[test]
fn early_hints_reach_an_http1_client_before_the_final_response() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = RawOrigin::start(move |mut connection| {
        connection.request();
        connection.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x\r\nx: 1\r\n\r\n");
        wait.lock().unwrap().recv().unwrap();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    // It is there while the origin still thinks about the rest.
    let hints = jackfield_tests::Head::read(client.reader()).unwrap().unwrap();
    assert_eq!((hints.status(), hints.header("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(hints.header("connection"), None);
    go.send(()).unwrap();
    assert_eq!(client.receive("GET").text(), "ok");
    wait_until("one request", || origin.accepted() == 1);
}

#[test]
fn an_http10_client_gets_no_interim_response() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let proxy = in_front_of(origin.address());
    let answer = jackfield_tests::client::exchange(proxy.address(0), "GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
}
