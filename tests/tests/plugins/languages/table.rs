//! What each language costs. Prints the table of `examples/plugins/README.md`:
//! `cargo test --release -p jackfield-tests --test plugins languages::table -- --ignored --nocapture`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use jackfield::config::PluginKind;
use jackfield::endpoint::{EndpointSet, EndpointState};
use jackfield::plugin::{Balancer, Choice, Exchange, Filter, Usage};
use jackfield_tests::host::Host;

use super::{LANGUAGES, api_key, assert_no_failures, build, canary, request, sticky};

const CALLS: u32 = 5000;
const ROUNDS: usize = 9;

#[test]
#[ignore = "it measures"]
fn table() {
    println!(
        "| language | size, KiB | compiles, ms | starts, µs | memory, KiB per instance | canary-by-header, ns a pick \
         | sticky-by-cookie, ns a pick | api-key, ns a request |\n|---|---|---|---|---|---|---|---|"
    );
    for language in LANGUAGES {
        row(language);
    }
}

fn row(language: &str) {
    let (Some(canary), Some(sticky), Some(api_key)) =
        (build(language, canary::NAME), build(language, sticky::NAME), build(language, api_key::NAME))
    else {
        return;
    };
    let (host, set) = (Host::new(), canary::ten(EndpointState::Healthy));
    let (usage, compiles) = timed(|| host.usage_of(&canary, PluginKind::Balancer, "{}", None));
    let (starts, memory) = instances(&usage, &set);
    let picks = pick(&usage, &set, "x-canary", "1");
    let usage = host.usage_of(&sticky, PluginKind::Balancer, sticky::SETTINGS, None);
    let sessions = pick(&usage, &set, "cookie", &format!("route={}", sticky::key("10.0.0.7:80")));
    let usage = host.usage_of(&api_key, PluginKind::HttpFilter, api_key::SETTINGS, None);
    let requests = request_with_key(&usage);
    println!(
        "| {language} | {} | {} | {starts} | {memory} | {picks} | {sessions} | {requests} |",
        canary.len() / 1024,
        compiles.as_millis(),
    );
}

/// Microseconds that one takes to start, and KiB that one adds to the process.
fn instances(usage: &Arc<Usage>, set: &Arc<EndpointSet>) -> (u128, usize) {
    const INSTANCES: usize = 8;
    let mut exchange = Some(request(&[]));
    // What only the first one costs is not counted.
    let _first = Balancer::start(usage, 0, set).unwrap();
    let before = resident();
    let start = || Balancer::start(usage, 0, set).unwrap();
    let (mut balancers, starts) = timed(|| (0..INSTANCES).map(|_| start()).collect::<Vec<_>>());
    for balancer in &mut balancers {
        let (back, _) = balancer.pick(exchange.take().unwrap(), &mut Choice::default(), set);
        exchange = Some(back);
    }
    (starts.as_micros() / INSTANCES as u128, resident().saturating_sub(before) / INSTANCES / 1024)
}

/// Nanoseconds of a pick for a request with this header.
fn pick(usage: &Arc<Usage>, set: &Arc<EndpointSet>, name: &'static str, value: &str) -> u128 {
    let mut balancer = Balancer::start(usage, 0, set).unwrap();
    let mut choice = Choice::default();
    fastest(usage, &[(name, value)], |exchange| {
        let (exchange, decision) = balancer.pick(exchange, &mut choice, set);
        black_box(decision);
        exchange
    })
}

/// Nanoseconds of a request with a known key; the plugin takes the key away, so it is put back.
fn request_with_key(usage: &Arc<Usage>) -> u128 {
    const KEY: HeaderName = HeaderName::from_static("x-api-key");
    let mut filter = Filter::start(usage, 0).unwrap();
    fastest(usage, &[], |mut exchange| {
        exchange.request.as_mut().unwrap().headers.insert(KEY, HeaderValue::from_static("k-2"));
        let (exchange, outcome) = filter.on_request(exchange);
        black_box(outcome);
        exchange
    })
}

/// Of several rounds the fastest, in nanoseconds a call.
fn fastest(
    usage: &Usage,
    headers: &[(&'static str, &str)],
    mut call: impl FnMut(Box<Exchange>) -> Box<Exchange>,
) -> u128 {
    let rounds = (0..ROUNDS).map(|_| {
        let mut exchange = request(headers);
        let begin = Instant::now();
        for _ in 0..CALLS {
            exchange = call(exchange);
        }
        begin.elapsed()
    });
    let fastest = rounds.min().unwrap();
    assert_no_failures(usage);
    fastest.as_nanos() / u128::from(CALLS)
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
