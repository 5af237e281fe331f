//! Active health checks: of every kind, and of very many endpoints.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use http::Response;
use http_body_util::BodyExt;
use jackfield_tests::origin::{Speaks, full, text};
use jackfield_tests::{Authority, Client, Origin, Proxy, RawOrigin, client, program, wait_for, wait_until};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::{config, endpoint, endpoints, start};

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

/// What the admin page says of an endpoint of the first upstream.
fn shown(proxy: &Proxy, position: usize) -> Value {
    client::get(proxy.admin(), "/upstreams").json()[0]["endpoints"][position].clone()
}

/// Waits for this state, and answers what the last check failed for.
#[track_caller]
fn why(proxy: &Proxy, position: usize, state: &str) -> String {
    let found = wait_for(state, || Some(shown(proxy, position)).filter(|endpoint| endpoint["state"] == state));
    found["check"].as_str().unwrap_or_default().to_owned()
}

/// One endpoint that is checked like this, often, and judged by a single check.
fn checked(health: &str, upstream: &str) -> String {
    let health = format!("health = {{ {health}, interval = \"20ms\", rise = 1, fall = 1 }}");
    format!("{ADMIN}{}", config("", &format!("{health}\n{upstream}")))
}

#[test]
fn an_http_check_asks_and_looks_as_it_is_told() {
    let answer = Arc::new(Mutex::new("all is well"));
    let said = Arc::clone(&answer);
    let origin = Origin::start(move |request| {
        let asked = request.method() == "POST"
            && request.uri() == "/check?deep=1"
            && request.headers()["x-probe"] == "jack"
            && request.headers()["host"] == "api.example";
        let said = *said.lock().unwrap();
        async move { Response::builder().status(if asked { 299 } else { 404 }).body(full(said)).unwrap() }
    });
    let how = "path = \"/check?deep=1\", method = \"POST\", host = \"api.example\", headers = { x-probe = \"jack\" }";
    let upstream = endpoint(origin.address());
    let proxy = start(&checked(&format!("{how}, expect = 299, body = \"~ ^all is w\""), &upstream));
    wait_until("some checks", || origin.requests() > 3);
    assert_eq!(shown(&proxy, 0)["state"], "healthy");
    *answer.lock().unwrap() = "database is gone";
    assert_eq!(why(&proxy, 0, "unhealthy"), "`~ ^all is w` is not in the body `database is gone`");
    assert!(proxy.wait_for_log("endpoint is down").contains("database is gone"));
    *answer.lock().unwrap() = "all is well";
    assert_eq!(why(&proxy, 0, "healthy"), "");
    proxy.wait_for_admin("/metrics", "jackfield_health_checks_total{upstream=\"api\",result=\"failed\"} ");
}

/// The check reads the beginning of a body that never ends, and no more.
#[test]
fn a_body_without_end_does_not_hold_a_check_up() {
    let origin = RawOrigin::start(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n");
        while connection.send(format!("1000\r\n{}\r\n", "x".repeat(4096))) {}
    });
    let proxy = start(&checked("path = \"/\", body = \"no\", timeout = \"20s\"", &endpoint(origin.address())));
    let expected = format!("`no` is not in the body `yes{}…`", "x".repeat(61));
    assert_eq!(why(&proxy, 0, "unhealthy"), expected);
}

#[test]
fn a_dialogue_over_tcp_tells_who_is_ready() {
    let ready = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&ready);
    let origin = RawOrigin::start(move |mut connection| {
        let mut asked = [0; 6];
        if connection.reader.read_exact(&mut asked).is_ok() && &asked == b"PING\r\n" {
            connection.send(if state.load(SeqCst) { "+PONG\r\n" } else { "-LOADING wait\r\n" });
        }
    });
    let how = "type = \"tcp\", send = \"PING\\r\\n\", expect = \"+PONG\"";
    let proxy = start(&checked(how, &endpoint(origin.address())));
    wait_until("some checks", || origin.accepted() > 3);
    assert_eq!(shown(&proxy, 0)["state"], "healthy");
    ready.store(false, SeqCst);
    assert_eq!(why(&proxy, 0, "unhealthy"), "`+PONG` did not come, but `-LOADING wait\\r\\n`");
    ready.store(true, SeqCst);
    why(&proxy, 0, "healthy");
}

#[test]
fn a_tls_check_verifies_whom_it_meets() {
    let (ours, other) = (Authority::new(), Authority::new());
    let over_tls = |authority: &Authority| {
        let tls = Some(authority.certificate(&["api.example"]).server(&["http/1.1"]));
        Origin::echo_speaking(Speaks { tls, ..Speaks::default() }, "a")
    };
    let (good, bad) = (over_tls(&ours), over_tls(&other));
    let upstream = format!("tls = {{ ca = \"ca.pem\", server-name = \"api.example\" }}\n{}", endpoints(&[&good, &bad]));
    let proxy = Proxy::start_with(program!(), &checked("type = \"tls\"", &upstream), |folder| {
        std::fs::write(folder.join("ca.pem"), ours.pem()).unwrap();
    });
    let reason = why(&proxy, 1, "unhealthy");
    assert!(reason.starts_with("TLS: invalid peer certificate"), "{reason}");
    wait_until("some checks", || good.connections() > 3);
    assert_eq!(shown(&proxy, 0)["state"], "healthy");
}

/// `grpc.health.v1.Health/Check` of an origin whose status can be set.
fn grpc_origin() -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(1));
    let now = Arc::clone(&status);
    let origin = Origin::speaking(Speaks { http2: true, ..Speaks::default() }, move |request| {
        let status = now.load(SeqCst) as u8;
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            assert_eq!((head.uri.path(), &body[..]), ("/grpc.health.v1.Health/Check", &b"\0\0\0\0\x05\x0a\x03pkg"[..]));
            assert_eq!(head.headers["content-type"], "application/grpc");
            assert_eq!(head.headers["te"], "trailers");
            let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
            let message = full(vec![0, 0, 0, 0, 2, 8, status]).with_trailers(async { Some(Ok(trailers)) });
            Response::builder().header("content-type", "application/grpc").body(message.boxed()).unwrap()
        }
    });
    (origin, status)
}

#[test]
fn a_grpc_check_follows_the_status_of_the_service() {
    let (origin, status) = grpc_origin();
    let upstream = format!("protocol = \"h2\"\n{}", endpoint(origin.address()));
    let proxy = start(&checked("type = \"grpc\", service = \"pkg\"", &upstream));
    wait_until("some checks", || origin.requests() > 3);
    assert_eq!(shown(&proxy, 0)["state"], "healthy");
    status.store(2, SeqCst);
    assert_eq!(why(&proxy, 0, "unhealthy"), "NOT_SERVING");
    status.store(1, SeqCst);
    why(&proxy, 0, "healthy");
}

/// Once an hour while it is up: only the other interval can bring it back within this test.
#[test]
fn what_is_down_is_asked_more_often() {
    let well = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&well);
    let origin = Origin::start(move |_| {
        let well = state.load(SeqCst);
        async move { if well { text("ok") } else { Response::builder().status(503).body(full("")).unwrap() } }
    });
    let health = "health = { path = \"/\", interval = \"1h\", interval-down = \"20ms\", rise = 3, fall = 1 }";
    let proxy = start(&format!("{ADMIN}{}", config("", &format!("{health}\n{}", endpoint(origin.address())))));
    assert_eq!(why(&proxy, 0, "unhealthy"), "status 503, expected 200-299");
    well.store(true, SeqCst);
    why(&proxy, 0, "healthy");
}

/// A configuration that changes more often than `fall` checks take must not keep the dead alive.
#[test]
fn reloads_forget_nothing_of_what_checks_found() {
    let origin = Origin::start(|_| async { Response::builder().status(503).body(full("")).unwrap() });
    let upstream = format!("health = {{ path = \"/\", interval = \"1h\", fall = 3 }}\n{}", endpoint(origin.address()));
    let proxy = start(&format!("{ADMIN}{}", config("", &upstream)));
    // Each state checks once, when it begins.
    for checks in 1..=2 {
        let failed = format!("jackfield_health_checks_total{{upstream=\"api\",result=\"failed\"}} {checks}\n");
        proxy.wait_for_admin("/metrics", &failed);
        proxy.reload().unwrap();
    }
    why(&proxy, 0, "unhealthy");
}

/// The proxy has no file descriptor left for checks: that says nothing of the endpoints.
#[test]
fn what_cannot_be_asked_is_not_judged() {
    let origin = Origin::echo("a");
    let proxy = start(&checked("path = \"/\"", &endpoint(origin.address())));
    wait_until("some checks", || origin.requests() > 3);
    let pid = Pid::from_raw(proxy.pid().try_into().unwrap());
    let mut admin = Client::connect(proxy.admin());
    let mut page = |path: &str| admin.ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).text();
    assert!(page("/metrics").contains("result=\"unasked\"} 0\n"));
    let limits = getrlimit(Resource::Nofile);
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(3), ..limits }).unwrap();
    wait_until("some checks that were not made", || !page("/metrics").contains("result=\"unasked\"} 0\n"));
    assert!(page("/metrics").contains("result=\"failed\"} 0\n"));
    prlimit(pid, Resource::Nofile, limits).unwrap();
    let asked = origin.requests();
    wait_until("more checks", || origin.requests() > asked);
    assert!(!proxy.log_contains("endpoint is down"));
}

const MANY: usize = 2_000;

/// Answers 200 on all of 127.0.0.0/8 but the addresses of 127.0.9.0/24, and counts by address.
fn everywhere() -> (u16, Arc<Mutex<HashMap<IpAddr, usize>>>) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let counts = Arc::<Mutex<HashMap<IpAddr, usize>>>::default();
    let counted = Arc::clone(&counts);
    let answer = move |mut stream: TcpStream| -> std::io::Result<()> {
        let asked = stream.local_addr()?.ip();
        let mut head = [0; 1024];
        let _ = stream.read(&mut head)?;
        *counted.lock().unwrap().entry(asked).or_default() += 1;
        let well = !asked.to_string().starts_with("127.0.9.");
        let status = if well { "200 OK" } else { "503 Service Unavailable" };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(answer(stream))));
    (port, counts)
}

/// User and system time of a process, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

#[test]
fn two_thousand_endpoints_are_checked_in_turn() {
    let (port, counts) = everywhere();
    let all: Vec<String> =
        (0..MANY).map(|number| format!("\"127.0.{}.{}:{port}\"", 2 + number / 200, 1 + number % 200)).collect();
    let health = "health = { path = \"/\", interval = \"1s\", timeout = \"20s\", fall = 1 }";
    let upstream = format!("{health}\nendpoints = [{}]", all.join(", "));
    let proxy = start(&format!("workers = 1\n{ADMIN}{}", config("", &upstream)));
    let (begin, before) = (std::time::Instant::now(), cpu_seconds(proxy.pid()));
    let folder = format!("/proc/{}/fd", proxy.pid());
    let mut most_open = 0;
    wait_until("three checks of each", || {
        most_open = most_open.max(std::fs::read_dir(&folder).unwrap().count());
        let counts = counts.lock().unwrap();
        counts.len() == MANY && counts.values().all(|count| *count >= 3)
    });
    let checks: usize = counts.lock().unwrap().values().sum();
    let cpu = cpu_seconds(proxy.pid()) - before;
    println!(
        "{checks} checks of {MANY} endpoints in {:.1?}: {:.0} us of CPU each, {most_open} descriptors, {} MiB",
        begin.elapsed(),
        cpu / checks as f64 * 1e6,
        proxy.memory() >> 20
    );
    // At most 1,024 of them are checks; the rest is the proxy itself.
    assert!(most_open < 1024 + 100, "{most_open} descriptors");
    assert!(proxy.memory() < 200 << 20, "{} bytes", proxy.memory());
    let page = client::get(proxy.admin(), "/upstreams").json();
    let down = |endpoint: &&Value| endpoint["state"] == "unhealthy";
    let list = page[0]["endpoints"].as_array().unwrap();
    assert_eq!(list.iter().filter(down).count(), 200);
    assert!(list.iter().filter(down).all(|endpoint| endpoint["name"].as_str().unwrap().starts_with("127.0.9.")));
    for _ in 0..20 {
        assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    }
    // Two hundred verdicts within a second are not two hundred updates of every balancer: a set of
    // so many endpoints stands for at least 20 ms.
    let sets = u128::from(page[0]["generation"].as_u64().unwrap());
    let most = begin.elapsed().as_millis() / 20 + 2;
    println!("{sets} sets, {most} may be");
    assert!(sets > 1 && sets <= most, "{sets} sets, {most} may be");
}
