//! What it costs to find a request's route among few and among many.

use std::fmt::Write;
use std::hint::black_box;
use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use jackfield::config::{self, KnownPlugin, KnownPlugins, PluginKind, Route, Service, Source};
use jackfield::route::Router;

/// Half by host, half by path.
fn routes(count: usize) -> Vec<Route> {
    let mut text = String::from("[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [\n");
    for number in 0..count / 2 {
        writeln!(text, "{{ host = \"www{number}.example.com\", path = \"/api/\", upstream = \"api\" }},").unwrap();
        writeln!(text, "{{ path = \"/app/{number}/items/\", upstream = \"api\" }},").unwrap();
    }
    text.push_str("]\n[upstream.api]\nendpoints = [\"127.0.0.1:5001\"]\n");
    let source = Source { name: "bench".to_owned(), text, folder: PathBuf::new() };
    let known = |_: Option<&std::path::Path>| {
        KnownPlugins::from([(
            "round-robin".to_owned(),
            KnownPlugin { kinds: vec![PluginKind::Balancer], needs: Vec::new() },
        )])
    };
    let mut config = config::parse(source, known).unwrap();
    match config.listeners.remove(0).service {
        Service::Http(http) => http.routes,
        _ => unreachable!("it is an HTTP listener"),
    }
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [2, 10_000] {
        let router = Router::new(&routes(count)).unwrap();
        let last = count / 2 - 1;
        let host = format!("www{last}.example.com");
        let by_host = http::Request::get("/api/v1/users").body(()).unwrap().into_parts().0;
        let by_path = http::Request::get(format!("/app/{last}/items/7")).body(()).unwrap().into_parts().0;
        group.bench_function(BenchmarkId::new("by host", count), |bencher| {
            bencher.iter(|| black_box(router.find(Some(&host), &by_host)).unwrap());
        });
        group.bench_function(BenchmarkId::new("by path", count), |bencher| {
            bencher.iter(|| black_box(router.find(Some("other.example"), &by_path)).unwrap());
        });
    }
}

criterion_group!(benches, find);
criterion_main!(benches);
