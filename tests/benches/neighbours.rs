//! What a hostile plugin does to those who do not use it: the latency of a plain route, on the same
//! single worker, while another route's plugin misbehaves. Prints the table of docs/grants.md:
//! `cargo bench -p jackfield-tests --bench neighbours`, or with names of rows to run only those.
//!
//! Both routes are asked at a fixed rate, and latency counts from when a request was due, so a
//! worker that stalls shows in all the requests that it kept waiting. What the origin and the clients
//! cost is in it too: they share the machine.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
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
    /// What its clients ask for.
    path: &'static str,
    /// Keys of the upstream, and of the route.
    balancer: String,
    filters: String,
}

const MEASURED: Duration = Duration::from_secs(30);
const PLAIN_PER_SECOND: u32 = 500;
const HOSTILE_CLIENTS: u32 = 8;
/// Of each of them.
const HOSTILE_PER_SECOND: u32 = 25;

fn filter(name: &'static str, guest: &'static str, rest: &str) -> Neighbour {
    let filters = format!(", filters = [{{ plugin = \"{guest}\"{rest} }}]");
    Neighbour { name, guest, path: "/hostile/", balancer: String::new(), filters }
}

fn balancer(name: &'static str, guest: &'static str, rest: &str) -> Neighbour {
    let balancer = format!("balancer = {{ plugin = \"{guest}\"{rest} }}");
    Neighbour { balancer, filters: String::new(), ..filter(name, guest, "") }
}

impl Neighbour {
    fn asked_for(self, path: &'static str) -> Self {
        Self { path, ..self }
    }
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
        filter("floods the log", "chatter", ", grants = [\"log\"]").asked_for("/flood/"),
        filter("fills its store", "keep", ", settings = { store = \"flood\" }, grants = [\"state:flood\"]")
            .asked_for("/hostile/large"),
        filter("makes a million metrics", "measure", ", grants = [\"metrics\"]").asked_for("/measure/million"),
        filter("asks who never answers", "ask", ", grants = [\"http:service\", \"log\"]").asked_for("/hostile/soon"),
        filter("never returns from a body", "bodies", &body("loop")),
        filter("makes a body a thousand times as long", "bodies", &body("blow-up")),
        filter(
            "never returns from its timer",
            "refresh",
            ", settings = { do = \"loop\" }, grants = [\"timer\", \"http:service\"]",
        ),
    ]
}

fn body(action: &str) -> String {
    format!(", settings = {{ do = \"{action}\", response = \"chunks\", at = 1 }}, grants = [\"body\"]")
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
            row(neighbour.name, &measure(&neighbour, HOSTILE_CLIENTS));
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

fn measure(neighbour: &Neighbour, hostile_clients: u32) -> Measured {
    let (origin, silent) = (Origin::echo("a"), TcpListener::bind("127.0.0.1:0").unwrap());
    let config = config(&origin, silent.local_addr().unwrap(), neighbour);
    let proxy = Proxy::start_with(jackfield_tests::program!(), &config, |folder| {
        let folder = folder.join("plugins");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(format!("{}.wasm", neighbour.guest)), guest(neighbour.guest)).unwrap();
    });
    let address = proxy.address(0);
    let over = Arc::new(AtomicBool::new(false));
    let hostile: Vec<_> = (0..hostile_clients)
        .map(|_| {
            let (over, path) = (Arc::clone(&over), neighbour.path);
            thread::spawn(move || hostile(address, path, &over))
        })
        .collect();
    let mut client = Client::connect(address);
    let (mut latencies, end) = (Vec::new(), Instant::now() + MEASURED);
    pace_from(PLAIN_PER_SECOND, |due| {
        assert_eq!(client.get("/plain/").status(), 200);
        latencies.push(due.elapsed());
        Instant::now() < end
    });
    over.store(true, Relaxed);
    let mut answers = BTreeMap::<String, u32>::new();
    for (answer, count) in hostile.into_iter().flat_map(|thread| thread.join().unwrap()) {
        *answers.entry(answer).or_default() += count;
    }
    let answers = answers.iter().map(|(answer, count)| format!("{count} × {answer}")).collect::<Vec<_>>().join(", ");
    latencies.sort_unstable();
    Measured { latencies, answers }
}

/// Asks until it is over; a connection that is cut off is made anew.
fn hostile(address: SocketAddr, path: &str, over: &AtomicBool) -> BTreeMap<String, u32> {
    let (mut client, mut answers) = (Client::connect(address), BTreeMap::new());
    pace(HOSTILE_PER_SECOND, || {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test.example\r\n\r\n");
        let answer = client.try_ask(&request).map_or_else(
            |_| {
                client = Client::connect(address);
                "cut off".to_owned()
            },
            |answer| answer.status().to_string(),
        );
        *answers.entry(answer).or_default() += 1;
        !over.load(Relaxed)
    });
    answers
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

fn config(origin: &Origin, silent: SocketAddr, neighbour: &Neighbour) -> String {
    format!(
        r#"
workers = 1
plugins = "plugins"
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/plain/", upstream = "plain", filters = ["x-forwarded-for"] }},
  {{ path = "/", upstream = "hostile"{filters} }},
]
[upstream.plain]
endpoints = ["{origin}"]
[upstream.hostile]
{balancer}
endpoints = ["{origin}"]
[upstream.service]
endpoints = ["{silent}"]
"#,
        origin = origin.address(),
        filters = neighbour.filters,
        balancer = neighbour.balancer,
    )
}
