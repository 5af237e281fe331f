//! `examples/plugins`: what each language makes of the same plugin passes the same battery. Where a
//! toolchain is missing the test says so and passes.

use std::hint::black_box;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackfield::config::{EndpointConfig, PluginKind};
use jackfield::endpoint::{Endpoint, EndpointSet, EndpointState};
use jackfield::plugin::{Balancer, Choice, Decision, Engine, Exchange, Library, Usage};
use jackfield_tests::host::{Host, exchange};
use jackfield_tests::{Origin, Proxy, client};

use crate::{cache_folder, plugins_folder, put, with_plugins};

/// Builds the plugin of this folder, as its README says.
fn build(language: &str, plugin: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins").join(language).join(plugin);
    let file =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{language}-{plugin}-{}.wasm", std::process::id()));
    let output = Command::new(folder.join("build.sh")).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        // Not by println: the test harness would hide it.
        let _ = std::io::stderr().write_all(format!("SKIPPED: {language}: {said}").as_bytes());
        return None;
    }
    assert!(output.status.success(), "{language}: {said}");
    let wasm = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    Some(wasm)
}

#[track_caller]
fn battery(language: &str) {
    let Some(wasm) = build(language, "canary-by-header") else { return };
    for then in ["", ", then = \"least-connections\""] {
        canaries_get_their_requests(&wasm, then);
    }
    let host = host();
    ten_thousand_picks_leave_nothing_behind(&host, &wasm);
    bad_settings_are_refused(&host, &wasm);
}

/// Python takes seconds to compile, so the proxies' cache serves here too.
fn host() -> Host {
    Host { engine: Engine::new(Some(cache_folder())).unwrap(), library: Library::default() }
}

fn canaries_get_their_requests(wasm: &[u8], then: &str) {
    let origins = ["canary", "first", "second"].map(Origin::echo);
    let address = |number: usize| origins[number].address();
    let config = format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
upstream = "api"
[upstream.api]
balancer = {{ plugin = "canary-by-header"{then} }}
endpoints = ["{}", {{ address = "{}", labels = {{ canary = "yes" }} }}, "{}"]
"#,
        address(1),
        address(0),
        address(2)
    );
    let proxy = Proxy::start_with(jackfield_tests::program!(), &with_plugins(&config), |folder| {
        put(&plugins_folder(folder), "canary-by-header", wasm);
    });
    let ask =
        |lines: &[&str]| client::get_with(proxy.address(0), "/", lines).json()["origin"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        assert_eq!(ask(&["x-canary: 1"]), "canary");
    }
    let others: Vec<String> = (0..20).map(|_| ask(&[])).collect();
    for name in ["first", "second"] {
        assert!(others.iter().any(|other| other == name), "{others:?}");
    }
    assert!(!others.iter().any(|other| other == "canary"), "{others:?}");
    assert_eq!(
        crate::metric(
            &proxy,
            "jackfield_plugin_failures_total{plugin=\"canary-by-header\",place=\"upstream.api.balancer\"}"
        ),
        0
    );
}

/// Number 2 of ten is the canary.
fn endpoints(canary: EndpointState) -> Arc<EndpointSet> {
    let endpoint = |number: u32| {
        let address = std::net::SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 80));
        let labels = if number == 2 { vec![("canary".to_owned(), "yes".to_owned())] } else { Vec::new() };
        let config = EndpointConfig { name: address.to_string(), address, weight: 1, labels, draining: false, tier: 0 };
        Arc::new(Endpoint::new(config, Arc::default()))
    };
    let states = (0..10).map(|number| if number == 2 { canary } else { EndpointState::Healthy }).collect();
    let generation = if canary == EndpointState::Healthy { 1 } else { 2 };
    Arc::new(EndpointSet::new(generation, (0..10).map(endpoint).collect(), states, Duration::from_secs(10)))
}

fn request(canary: bool) -> Box<Exchange> {
    let mut exchange = exchange(Ipv4Addr::new(192, 0, 2, 7));
    if canary {
        let headers = &mut exchange.request.as_mut().unwrap().headers;
        headers.insert("x-canary", http::HeaderValue::from_static("1"));
    }
    exchange
}

fn decide(balancer: &mut Balancer, canary: bool, set: &Arc<EndpointSet>) -> usize {
    match balancer.pick(request(canary), &mut Choice::default(), set).1 {
        Decision::Endpoint(endpoint) => endpoint,
        other => panic!("{other:?}"),
    }
}

fn ten_thousand_picks_leave_nothing_behind(host: &Host, wasm: &[u8]) {
    let usage = host.usage_of(wasm, PluginKind::Balancer, "{}", None);
    let set = endpoints(EndpointState::Healthy);
    let mut balancer = Balancer::start(&usage, 0, &set).unwrap();
    for turn in 0..10_000 {
        let canary = turn % 2 == 0;
        assert_eq!(decide(&mut balancer, canary, &set) == 2, canary);
    }
    let without = endpoints(EndpointState::Unhealthy);
    assert_ne!(decide(&mut balancer, true, &without), 2, "the rest serves while no canary can");
    assert_eq!(usage.shared.totals.failures(), 0);
}

fn bad_settings_are_refused(host: &Host, wasm: &[u8]) {
    let usage = host.usage_of(wasm, PluginKind::Balancer, "{\"a\":1}", None);
    let refusal = Balancer::start(&usage, 0, &endpoints(EndpointState::Healthy)).err().unwrap().to_string();
    assert_eq!(refusal, "refuses its settings: canary-by-header has no settings");
}

#[test]
fn javascript() {
    battery("javascript");
}

#[test]
fn python() {
    battery("python");
}

#[test]
fn c() {
    battery("c");
}

#[test]
fn zig() {
    battery("zig");
}

/// Prints the table of docs/plugins.md:
/// `cargo test --release -p jackfield-tests --test plugins languages::table -- --ignored --nocapture`.
#[test]
#[ignore = "it measures"]
fn table() {
    println!(
        "| language | size, KiB | compiles, ms | starts, µs | memory, KiB per instance | pick, ns |\n|---|---|---|---|---|---|"
    );
    for language in ["c", "zig", "javascript", "python"] {
        if let Some(wasm) = build(language, "canary-by-header") {
            row(language, &wasm);
        }
    }
}

fn row(language: &str, wasm: &[u8]) {
    const INSTANCES: usize = 8;
    let (host, set) = (Host::new(), endpoints(EndpointState::Healthy));
    let (usage, compiles) = timed(|| host.usage_of(wasm, PluginKind::Balancer, "{}", None));
    let first = Balancer::start(&usage, 0, &set).unwrap();
    let before = resident();
    let start = || Balancer::start(&usage, 0, &set).unwrap();
    let (mut balancers, starts) = timed(|| (0..INSTANCES).map(|_| start()).collect::<Vec<_>>());
    let pick = nanos_of_a_pick(&usage, &mut balancers[0], &set);
    let memory = (resident() - before) / INSTANCES / 1024;
    drop(first);
    println!(
        "| {language} | {} | {} | {} | {memory} | {pick} |",
        wasm.len() / 1024,
        compiles.as_millis(),
        starts.as_micros() / INSTANCES as u128
    );
}

fn nanos_of_a_pick(usage: &Usage, balancer: &mut Balancer, set: &Arc<EndpointSet>) -> u128 {
    const PICKS: u32 = 20_000;
    let mut exchange = Some(request(true));
    let (mut choice, mut best) = (Choice::default(), Duration::MAX);
    for _ in 0..3 {
        let ((), took) = timed(|| {
            for _ in 0..PICKS {
                let (back, decision) = balancer.pick(exchange.take().unwrap(), &mut choice, set);
                exchange = Some(back);
                black_box(decision);
            }
        });
        best = best.min(took);
    }
    assert_eq!(usage.shared.totals.failures(), 0);
    best.as_nanos() / u128::from(PICKS)
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = what();
    (result, begin.elapsed())
}

/// Memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
