//! A plugin is swapped fifty times and the configuration reloaded fifty times under load: no request
//! fails, every swap takes effect, memory stays flat.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

use jackfield_tests::host::guest;
use jackfield_tests::{Client, Message, Origin, http2, wait_until};

use crate::{patched, put, start, with_plugins};

const ROUNDS: usize = 50;
/// Until here allocators, caches and pools fill up.
const WARM_UP: usize = 15;
/// What fragmentation may take; fifty leaked states with their compiled code would be far more.
const MEMORY_SLACK: u64 = 48 << 20;

fn version(number: usize) -> String {
    format!("version-{number:04}")
}

fn component(number: usize) -> Vec<u8> {
    // Two components that take turns: each is compiled once, swapped fifty times.
    patched(&guest("version"), "version-0000", &version(number % 2))
}

fn config(origins: &[Origin], round: usize) -> String {
    // The route's name changes: every reload brings something new.
    format!(
        r#"
workers = 2
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
filters = ["version", "x-forwarded-for"]
routes = [{{ name = "round-{round}", upstream = "api" }}]
[upstream.api]
balancer = "version"
endpoints = ["{}", "{}"]
"#,
        origins[0].address(),
        origins[1].address()
    )
}

/// What the load counts.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    served: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.stop.load(SeqCst)
    }

    #[track_caller]
    fn check(&self, status: u16, headers: [Option<&str>; 2]) {
        assert_eq!(status, 200);
        for header in headers {
            assert!(header.is_some_and(|version| version.starts_with("version-000")), "{header:?}");
        }
        self.served.fetch_add(1, SeqCst);
    }

    fn check_message(&self, answer: &Message) {
        self.check(answer.status(), [answer.header("x-filter"), answer.header("x-balancer")]);
    }
}

fn keep_alive(load: &Load, address: SocketAddr) {
    let mut client = Client::connect(address);
    while load.goes_on() {
        load.check_message(&client.get("/"));
    }
}

/// A body in pieces, with something else going on between them.
fn slow_bodies(load: &Load, address: SocketAddr) {
    let mut client = Client::connect(address);
    while load.goes_on() {
        client.send("POST /slow HTTP/1.1\r\nhost: test.example\r\ncontent-length: 400\r\n\r\n");
        for _ in 0..4 {
            client.stream().write_all(&[b'x'; 100]).unwrap();
            load.check_message(&jackfield_tests::client::get(address, "/between"));
        }
        let answer = client.receive("POST");
        assert_eq!(answer.json()["length"], 400);
        load.check_message(&answer);
    }
}

async fn multiplexed(load: &Load, address: SocketAddr) {
    let mut client = http2::connect(address).await;
    let mut other = client.clone();
    while load.goes_on() {
        let (first, second) =
            tokio::join!(http2::ask(&mut client, http2::get("/")), http2::ask(&mut other, http2::get("/")));
        for answer in [first, second] {
            let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
            load.check(answer.status, [header("x-filter"), header("x-balancer")]);
        }
    }
}

fn begin(load: &Arc<Load>, address: SocketAddr) -> Vec<JoinHandle<()>> {
    let thread = |work: Box<dyn FnOnce(&Load) + Send>| {
        let load = Arc::clone(load);
        std::thread::spawn(move || work(&load))
    };
    vec![
        thread(Box::new(move |load| keep_alive(load, address))),
        thread(Box::new(move |load| keep_alive(load, address))),
        thread(Box::new(move |load| slow_bodies(load, address))),
        thread(Box::new(move |load| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { tokio::join!(multiplexed(load, address), multiplexed(load, address)) });
        })),
    ]
}

#[test]
fn fifty_swaps_and_fifty_reloads_under_load_lose_nothing() {
    let origins = [Origin::echo("a"), Origin::echo("b")];
    let proxy = start(&config(&origins, 0), &["version"]);
    let address = proxy.address(0);
    let load = Arc::new(Load::default());
    let threads = begin(&load, address);
    let mut client = Client::connect(address);
    let mut warm = 0;
    for round in 1..=ROUNDS {
        put(&proxy.plugins_folder(), "version", &component(round));
        let expected = version(round % 2);
        wait_until(&format!("swap {round}"), || {
            let answer = client.get("/");
            load.check_message(&answer);
            answer.header("x-filter") == Some(&expected) && answer.header("x-balancer") == Some(&expected)
        });
        proxy.change_config(&with_plugins(&config(&origins, round))).unwrap();
        let served = load.served.load(SeqCst);
        wait_until("the load to go on", || {
            threads.iter().any(JoinHandle::is_finished) || load.served.load(SeqCst) > served + 20
        });
        if round == WARM_UP {
            warm = proxy.memory();
        }
    }
    let end = proxy.memory();
    load.stop.store(true, SeqCst);
    for thread in threads {
        thread.join().expect("a request failed");
    }
    let failures =
        crate::metric(&proxy, "jackfield_plugin_failures_total{plugin=\"version\",place=\"upstream.api.balancer\"}");
    assert_eq!(failures, 0);
    assert!(end < warm + MEMORY_SLACK, "{} KiB after {WARM_UP} rounds, {} after {ROUNDS}", warm >> 10, end >> 10);
}
