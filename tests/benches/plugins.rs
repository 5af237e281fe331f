//! What plugins cost in the real host: warm picks of each default balancer, updates, a filter.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::HeaderValue;
use jackfield::config::{Grant, PluginKind};
use jackfield::plugin::{Balancer, Choice, Filter, Memory, Side, Store, Usage};
use jackfield_tests::host::{Host, connection, endpoints, exchange, exchange_on, guest};

const BATCH: BatchSize = BatchSize::NumIterations(32);

fn pick(criterion: &mut Criterion) {
    let host = Host::new();
    let mut group = criterion.benchmark_group("pick");
    for name in host.balancers() {
        for count in [10, 100, 1000] {
            let set = endpoints(1, count);
            let usage = host.usage(name, PluginKind::Balancer);
            let mut balancer = Balancer::start(&usage, 0, &set).unwrap();
            let mut exchange = Some(exchange(Ipv4Addr::new(192, 0, 2, 7)));
            let mut choice = Choice::default();
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    let (mut back, decision) = balancer.pick(exchange.take().unwrap(), &mut choice, &set);
                    back.reply.clear();
                    exchange = Some(back);
                    black_box(decision)
                });
            });
            assert_eq!(usage.shared.totals.failures(), 0);
        }
    }
}

/// Each iteration: an update to the other generation, and a pick.
fn update(criterion: &mut Criterion) {
    let host = Host::new();
    let mut group = criterion.benchmark_group("update");
    for name in ["maglev", "weighted-round-robin", "round-robin"] {
        for count in [10, 100, 1000] {
            let sets = [endpoints(1, count), endpoints(2, count)];
            let usage = host.usage(name, PluginKind::Balancer);
            let mut balancer = Balancer::start(&usage, 0, &sets[0]).unwrap();
            let mut exchange = Some(exchange(Ipv4Addr::new(192, 0, 2, 7)));
            let mut choice = Choice::default();
            let mut turn = 0;
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    turn += 1;
                    let (back, decision) = balancer.pick(exchange.take().unwrap(), &mut choice, &sets[turn % 2]);
                    exchange = Some(back);
                    black_box(decision)
                });
            });
            assert_eq!(usage.shared.totals.failures(), 0);
        }
    }
}

fn filter(criterion: &mut Criterion) {
    let host = Host::new();
    let usage = host.usage("x-forwarded-for", PluginKind::HttpFilter);
    let mut filter = Filter::start(&usage, 0).unwrap();
    let mut group = criterion.benchmark_group("on-request");
    let address = Ipv4Addr::new(192, 0, 2, 7);
    let client = connection(address);
    group.bench_function("x-forwarded-for", |bencher| {
        bencher.iter_batched(|| exchange_on(&client), |exchange| filter.on_request(exchange), BATCH);
    });
    group.bench_function("x-forwarded-for, first of a connection", |bencher| {
        bencher.iter_batched(|| exchange(address), |exchange| filter.on_request(exchange), BATCH);
    });
    group.bench_function("x-forwarded-for over a client's own", |bencher| {
        bencher.iter_batched(
            || {
                let mut exchange = exchange_on(&client);
                let headers = &mut exchange.request.as_mut().unwrap().headers;
                for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
                    headers.insert(name, HeaderValue::from_static("192.0.2.99"));
                }
                exchange
            },
            |exchange| filter.on_request(exchange),
            BATCH,
        );
    });
    assert_eq!(usage.shared.totals.failures(), 0);
}

/// A piece that passes, and one that is replaced by another.
fn body(criterion: &mut Criterion) {
    let host = Host::new();
    let mut group = criterion.benchmark_group("on-request-body");
    for action in ["pass", "shout"] {
        let settings = format!(r#"{{"do": "{action}", "request": "chunks"}}"#);
        let usage = host.filter_of(&guest("bodies"), &settings, vec![Grant::Body]);
        let mut filter = Filter::start(&usage, 0).unwrap();
        for length in [0, 1 << 10, 16 << 10, 64 << 10] {
            let bytes = vec![b'a'; length];
            let mut exchange = Some(exchange(Ipv4Addr::new(192, 0, 2, 7)));
            group.bench_function(BenchmarkId::new(action, length), |bencher| {
                bencher.iter(|| {
                    let (back, verdict) = filter.on_body(exchange.take().unwrap(), Side::Request, &bytes, false);
                    exchange = Some(back);
                    black_box(verdict)
                });
            });
        }
        assert_eq!(usage.shared.totals.failures(), 0);
    }
}

/// What a plain configuration has plugins do for each request.
fn request(criterion: &mut Criterion) {
    let host = Host::new();
    let set = endpoints(1, 10);
    let mut filter = Filter::start(&host.usage("x-forwarded-for", PluginKind::HttpFilter), 0).unwrap();
    let mut balancer = Balancer::start(&host.usage("round-robin", PluginKind::Balancer), 0, &set).unwrap();
    let client = connection(Ipv4Addr::new(192, 0, 2, 7));
    criterion.bench_function("request/x-forwarded-for and round-robin", |bencher| {
        bencher.iter_batched(
            || exchange_on(&client),
            |exchange| {
                let (exchange, _) = filter.on_request(exchange);
                balancer.pick(exchange, &mut Choice::default(), &set)
            },
            BATCH,
        );
    });
}

/// A pick that asks a store once, beside one that asks for nothing; the store itself, without a plugin.
fn state(criterion: &mut Criterion) {
    let host = Host::new();
    let mut group = criterion.benchmark_group("state");
    let mut pick = |name: &str, usage: &Arc<Usage>| {
        let set = endpoints(1, 10);
        let mut balancer = Balancer::start(usage, 0, &set).unwrap();
        let (mut exchange, mut choice) = (Some(exchange(Ipv4Addr::new(192, 0, 2, 7))), Choice::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (back, decision) = balancer.pick(exchange.take().unwrap(), &mut choice, &set);
                exchange = Some(back);
                black_box(decision)
            });
        });
        assert_eq!(usage.shared.totals.failures(), 0);
    };
    let first = "{\"do\":\"always-first\"}";
    pick("pick without state", &host.usage_of(&guest("misbehave"), PluginKind::Balancer, first, None));
    let (usage, store) = host.usage_with_store("keep", PluginKind::Balancer, "store");
    pick("pick and get, absent", &usage);
    store.set("which", b"3".as_slice().into(), None, 0).unwrap();
    pick("pick and get", &usage);
    let store = Memory::new(1 << 20);
    let value: Arc<[u8]> = [0; 64].into();
    let mut now = 0;
    group.bench_function("set with an end, beside the plugin", |bencher| {
        bencher.iter(|| {
            now += 1;
            store.set("which", Arc::clone(&value), Some(60_000), now)
        });
    });
    group.bench_function("set into a full store, beside the plugin", |bencher| {
        bencher.iter(|| {
            now += 1;
            store.set(&now.to_string(), Arc::clone(&value), Some(60_000), now)
        });
    });
    group.bench_function("add, beside the plugin", |bencher| bencher.iter(|| store.add("sum", 1, None, now)));
}

criterion_group!(benches, pick, update, filter, body, request, state);
criterion_main!(benches);
