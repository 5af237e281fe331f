//! What a hostile plugin does to those who do not use it: the latency of a plain route, on the same
//! single worker, while another route's plugin misbehaves. Prints the table of docs/grants.md:
//! `cargo bench -p jackfield-tests --bench neighbours`, or with names of rows to run only those.
//!
//! Both routes are asked at a fixed rate, and latency counts from when a request was due, so a
//! worker that stalls shows in all the requests that it kept waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use jackfield_tests::host::guest;
use jackfield_tests::{Client, Origin, Proxy};

/// A plugin put to use, as it stands in a configuration.
struct Neighbour {
    name: &'static str,
    guest: &'static str,
    /// Keys of the upstream, and of the route.
    balancer: String,
    filters: String,
}

const MEASURED: Duration = Duration::from_secs(20);
const PLAIN_PER_SECOND: u32 = 500;
const HOSTILE_PER_SECOND: u32 = 200;

fn filter(name: &'static str, guest: &'static str, rest: &str) -> Neighbour {
    let filters = format!(", filters = [{{ plugin = \"{guest}\"{rest} }}]");
    Neighbour { name, guest, balancer: String::new(), filters }
}

fn balancer(name: &'static str, guest: &'static str, rest: &str) -> Neighbour {
    let balancer = format!("balancer = {{ plugin = \"{guest}\"{rest} }}");
    Neighbour { name, guest, balancer, filters: String::new() }
}

fn neighbours() -> Vec<Neighbour> {
    vec![
        filter("does nothing", "misbehave", ""),
        filter("traps", "misbehave", ", settings = { do = \"trap\" }"),
        filter("never returns", "misbehave", ", settings = { do = \"loop\" }"),
        filter("eats memory", "misbehave", ", settings = { do = \"bomb\" }"),
        filter("recurses", "misbehave", ", settings = { do = \"recurse\" }"),
        balancer("chooses who is not there", "misbehave", ", settings = { do = \"out-of-range\" }"),
        balancer("never returns from pick", "misbehave", ", settings = { do = \"loop\" }"),
    ]
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    println!(
        "| the neighbour | p50, µs | p99, µs | p99.9, µs | most, ms | neighbour's answers |\n|---|---|---|---|---|---|"
    );
    let quiet = || row("(nobody asks it)", &measure(&filter("", "misbehave", ""), 0));
    quiet();
    for neighbour in neighbours() {
        if wanted.is_empty() || wanted.iter().any(|name| neighbour.name.contains(name)) {
            row(neighbour.name, &measure(&neighbour, HOSTILE_PER_SECOND));
        }
    }
    quiet();
}

struct Measured {
    /// Ascending.
    latencies: Vec<Duration>,
    answers: String,
}

fn row(name: &str, measured: &Measured) {
    let at = |share: f64| measured.latencies[((measured.latencies.len() - 1) as f64 * share) as usize];
    println!(
        "| {name} | {} | {} | {} | {} | {} |",
        at(0.5).as_micros(),
        at(0.99).as_micros(),
        at(0.999).as_micros(),
        at(1.0).as_millis(),
        measured.answers
    );
}

fn measure(neighbour: &Neighbour, hostile_per_second: u32) -> Measured {
    let origin = Origin::echo("a");
    let proxy = Proxy::start_with(jackfield_tests::program!(), &config(&origin, neighbour), |folder| {
        let folder = folder.join("plugins");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(format!("{}.wasm", neighbour.guest)), guest(neighbour.guest)).unwrap();
    });
    let address = proxy.address(0);
    let over = Arc::new(AtomicBool::new(false));
    let hostile = (hostile_per_second > 0).then(|| {
        let (over, mut client) = (Arc::clone(&over), Client::connect(address));
        thread::spawn(move || {
            let mut answers = std::collections::BTreeMap::<u16, u32>::new();
            pace(hostile_per_second, || {
                *answers.entry(client.get("/hostile/").status()).or_default() += 1;
                !over.load(Relaxed)
            });
            answers
        })
    });
    let mut client = Client::connect(address);
    let (mut latencies, end) = (Vec::new(), Instant::now() + MEASURED);
    pace_from(PLAIN_PER_SECOND, |due| {
        assert_eq!(client.get("/plain/").status(), 200);
        latencies.push(due.elapsed());
        Instant::now() < end
    });
    over.store(true, Relaxed);
    let answers = hostile.map(|thread| thread.join().unwrap()).unwrap_or_default();
    let answers = answers.iter().map(|(status, count)| format!("{count} × {status}")).collect::<Vec<_>>().join(", ");
    latencies.sort_unstable();
    Measured { latencies, answers }
}

fn pace(per_second: u32, mut go_on: impl FnMut() -> bool) {
    pace_from(per_second, |_| go_on());
}

/// Calls at a fixed rate, late ones at once, until one says no; tells each when it was due.
fn pace_from(per_second: u32, mut go_on: impl FnMut(Instant) -> bool) {
    let step = Duration::from_secs(1) / per_second;
    let mut due = Instant::now();
    while go_on(due) {
        due += step;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn config(origin: &Origin, neighbour: &Neighbour) -> String {
    format!(
        r#"
workers = 1
plugins = "plugins"
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/plain/", upstream = "plain", filters = ["x-forwarded-for"] }},
  {{ path = "/hostile/", upstream = "hostile"{filters} }},
]
[upstream.plain]
endpoints = ["{origin}"]
[upstream.hostile]
{balancer}
endpoints = ["{origin}"]
"#,
        origin = origin.address(),
        filters = neighbour.filters,
        balancer = neighbour.balancer,
    )
}
