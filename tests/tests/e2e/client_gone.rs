//! A client that goes away: what was being done for it is given up.

use std::io::Read;
use std::sync::{Mutex, mpsc};

use jackfield_tests::{Client, RawOrigin, http2, wait_for, wait_until};

use crate::in_front_of;

/// Never answers, and tells when its connection is closed.
fn silent() -> (RawOrigin, mpsc::Receiver<&'static str>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = RawOrigin::start(move |mut connection| {
        connection.request();
        tell.lock().unwrap().send("asked").unwrap();
        let _ = connection.reader.read(&mut [0]);
        tell.lock().unwrap().send("closed").unwrap();
    });
    (origin, told)
}

#[test]
fn the_origin_sees_its_connection_closed() {
    let (origin, told) = silent();
    let proxy = in_front_of(origin.address());
    let mut client = Client::connect(proxy.address(0));
    client.send("GET /given-up HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_for("the request", || told.try_recv().ok());
    drop(client);
    assert_eq!(wait_for("the end", || told.try_recv().ok()), "closed");
    assert_eq!(proxy.access_of("/given-up")["status"], 499);
}

#[test]
fn so_it_does_when_a_stream_of_http2_is_reset() {
    let (origin, told) = silent();
    let proxy = in_front_of(origin.address());
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let answer = client.send_request(http2::get("/given-up"));
        let asked = tokio::task::spawn_blocking(move || {
            wait_for("the request", || told.try_recv().ok());
            told
        });
        let told = tokio::select! {
            _ = answer => panic!("nobody answers"),
            told = asked => told.unwrap(),
        };
        // The connection lives on; only the stream is gone.
        let told = tokio::task::spawn_blocking(move || wait_for("the end", || told.try_recv().ok()));
        assert_eq!(told.await.unwrap(), "closed");
    });
    assert_eq!(proxy.access_of("/given-up")["status"], 499);
}

#[test]
fn a_broken_upload_is_broken_for_the_origin_too() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = RawOrigin::start(move |mut connection| {
        tell.lock().unwrap().send(connection.request().is_some()).unwrap();
    });
    let proxy = in_front_of(origin.address());
    for framing in ["content-length: 100\r\n\r\nsome", "transfer-encoding: chunked\r\n\r\n4\r\nsome\r\n"] {
        let before = origin.accepted();
        let mut client = Client::connect(proxy.address(0));
        client.send(format!("POST /broken HTTP/1.1\r\nhost: a\r\n{framing}"));
        wait_until("the origin to be asked", || origin.accepted() > before);
        drop(client);
        assert!(!wait_for("the end", || told.try_recv().ok()), "{framing:?} looked complete");
    }
}
