//! examples/flask-prototype, as its README says.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use jackfield_tests::tool::{Server, python};
use jackfield_tests::{Client, client, wait_until};

use crate::start;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flask-prototype")
}

/// Ports that nobody has at the moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let all: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    all.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

fn serve(python: &Path, kind: &str, port: u16) -> Server {
    let server = Server::start(Command::new(python).arg(example().join("app.py")).args([kind, &port.to_string()]));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_until("Flask to serve", || client::try_get(address, "/healthz").is_ok_and(|answer| answer.status() == 200));
    server
}

/// The example's own configuration, with other ports.
fn config(ports: &[u16]) -> String {
    let written = std::fs::read_to_string(example().join("jackfield.toml")).unwrap();
    let moved = written.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:9901", "127.0.0.1:0");
    (5001..)
        .zip(ports)
        .fold(moved, |text, (from, to)| text.replace(&format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}")))
}

#[test]
fn the_prototype_routes_balances_and_survives() {
    let Some(python) = python() else { return };
    let ports: [u16; 5] = free_ports();
    let kinds = ["api", "api", "api", "images", "images"];
    let mut servers: Vec<Server> = kinds.iter().zip(ports).map(|(kind, port)| serve(&python, kind, port)).collect();
    let proxy = start(&config(&ports));
    let address = proxy.address(0);

    let mut counts = BTreeMap::new();
    for number in 0..30 {
        let answer = client::get_with(address, &format!("/api/{number}"), &["x-forwarded-for: 6.6.6.6"]).json();
        assert_eq!((&answer["kind"], &answer["path"]), (&"api".into(), &number.to_string().into()));
        assert_eq!((&answer["forwarded_for"], &answer["forwarded_proto"]), (&"127.0.0.1".into(), &"http".into()));
        assert_eq!(answer["host"], "test.example");
        *counts.entry(answer["server"].as_u64().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(counts, ports[..3].iter().map(|port| (u64::from(*port), 10)).collect());
    let images: std::collections::BTreeSet<u64> =
        (0..10).map(|_| client::get(address, "/images/a").json()["server"].as_u64().unwrap()).collect();
    assert!(images.iter().all(|port| ports[3..].contains(&u16::try_from(*port).unwrap())), "{images:?}");
    let posted = Client::connect(address).ask("POST /api/up HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
    assert_eq!(posted.json()["received"], 3);
    assert_eq!(client::get(address, "/other").text(), "try /api/ or /images/\n");

    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    assert_eq!(client.get("/api/load").status(), 200);
                    done.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    wait_until("some load", || done.load(SeqCst) > 50);
    servers[1].kill();
    let killed = done.load(SeqCst);
    wait_until("more load", || done.load(SeqCst) > killed + 100);
    proxy.wait_for_log("endpoint is down");
    servers[1] = serve(&python, "api", ports[1]);
    proxy.wait_for_log("endpoint is up again");
    stop.store(true, SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    wait_until("it to get its share", || client::get(address, "/api/").json()["server"] == ports[1]);
}
