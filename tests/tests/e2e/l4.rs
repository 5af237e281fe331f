//! TCP and UDP, byte by byte; for the servers and clients that people use see the target `clients`.

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};

use jackfield_tests::Proxy;
use jackfield_tests::raw::nobody;

use crate::start;

/// A listener for this protocol in front of these.
fn passing(protocol: &str, endpoints: &[SocketAddr]) -> Proxy {
    let all: Vec<String> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
    start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"all\"\n\
         [upstream.all]\nendpoints = [{}]\n",
        all.join(", ")
    ))
}

/// What one side has finished saying, the other can still answer.
#[test]
fn half_closed_connections_are_kept() {
    let origin = jackfield_tests::RawOrigin::start(|mut connection| {
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut connection.reader, &mut all).unwrap();
        connection.send(format!("{} bytes", all.len()));
    });
    let proxy = passing("tcp", &[nobody(), origin.address()]);
    for _ in 0..4 {
        let mut client = jackfield_tests::Client::connect(proxy.address(0));
        client.stream().write_all(&vec![7; 3_000_000]).unwrap();
        client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "3000000 bytes");
    }
}

#[test]
fn a_tcp_client_whose_endpoints_are_all_gone_is_closed() {
    let proxy = passing("tcp", &[nobody(), nobody()]);
    assert_eq!(jackfield_tests::Client::connect(proxy.address(0)).rest(), "");
    let line = proxy.wait_for_access("the reason", |line| line["error"].is_string());
    assert_eq!(line["protocol"], "tcp");
}

#[test]
fn connections_that_pass_through_end_with_the_drain() {
    let origin = jackfield_tests::RawOrigin::start(|mut connection| {
        connection.send("hello");
        let _ = std::io::Read::read(&mut connection.reader, &mut [0]);
    });
    let mut proxy = start(&format!(
        "drain-timeout = \"200ms\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\nupstream = \"all\"\n\
         [upstream.all]\nendpoints = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = jackfield_tests::Client::connect(proxy.address(0));
    let mut hello = [0; 5];
    std::io::Read::read_exact(client.reader(), &mut hello).unwrap();
    assert!(proxy.stop().success());
    assert_eq!(client.rest(), "");
}

#[test]
fn each_udp_client_has_a_session_of_its_own() {
    let origins = ["a", "b"].map(|name| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 2000];
            while let Ok((count, from)) = socket.recv_from(&mut bytes) {
                let answer = [name.as_bytes(), &bytes[..count]].concat();
                let _ = socket.send_to(&answer, from);
            }
        });
        address
    });
    let proxy = passing("udp", &origins);
    let mut served = std::collections::BTreeSet::new();
    for number in 0..8 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(jackfield_tests::DEADLINE)).unwrap();
        client.connect(proxy.address(0)).unwrap();
        let mut home = None;
        for turn in 0..5 {
            let text = format!(" {number} {turn}");
            client.send(text.as_bytes()).unwrap();
            let mut bytes = [0; 2000];
            let count = client.recv(&mut bytes).unwrap();
            let answer = String::from_utf8_lossy(&bytes[..count]).into_owned();
            assert_eq!(answer[1..], text);
            // The same endpoint for all datagrams of a session.
            assert_eq!(*home.get_or_insert(answer[..1].to_owned()), answer[..1]);
        }
        served.extend(home);
    }
    assert_eq!(served.len(), 2);
}
