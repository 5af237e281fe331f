//! Starting, stopping, changing and watching the program.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use jackfield_tests::origin::{Speaks, text};
use jackfield_tests::{Client, Origin, RawOrigin, client, http2, program, wait_for, wait_until};
use rustix::process::Signal;

use crate::{config, endpoint, endpoints, in_front_of, start};

/// Answers when it is told to.
fn held() -> (Origin, tokio::sync::watch::Sender<bool>) {
    let (release, released) = tokio::sync::watch::channel(false);
    let origin = Origin::start(move |_| {
        let mut released = released.clone();
        async move {
            let _ = released.wait_for(|released| *released).await;
            text("done")
        }
    });
    (origin, release)
}

#[test]
fn sigterm_lets_what_runs_finish_and_exits_with_0() {
    let (origin, release) = held();
    let mut proxy = in_front_of(origin.address());
    let address = proxy.address(0);
    let mut running = Client::connect(address);
    running.send("GET /running HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the request", || origin.requests() == 1);
    let mut fresh = Client::connect(address);
    proxy.signal(Signal::TERM);
    proxy.wait_for_log("stopping");
    // One that has not said anything yet is closed, and no new one is taken.
    fresh.rest();
    wait_until("nobody to listen", || Client::try_connect(address).is_err());
    release.send(true).unwrap();
    let answer = running.receive("GET");
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("done", Some("close")));
    assert_eq!(proxy.exit_status().code(), Some(0));
    assert_eq!(proxy.access_of("/running")["status"], 200);
}

#[test]
fn idle_connections_are_closed_at_sigterm() {
    let origin = Origin::echo("a");
    let mut proxy = in_front_of(origin.address());
    let mut idle = Client::connect(proxy.address(0));
    assert_eq!(idle.get("/").status(), 200);
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        assert_eq!(http2::ask(&mut client, http2::get("/")).await.status, 200);
        proxy.signal(Signal::TERM);
        while client.ready().await.is_ok() && !client.is_closed() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    assert_eq!(idle.rest(), "");
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn the_drain_has_a_limit() {
    let (origin, _release) = held();
    let mut proxy = start(&format!("drain-timeout = \"200ms\"\n{}", config("", &endpoints(&[&origin]))));
    let mut running = Client::connect(proxy.address(0));
    running.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the request", || origin.requests() == 1);
    assert_eq!(proxy.stop().code(), Some(0));
    assert!(proxy.log_contains("the drain limit is reached"));
    assert_eq!(running.rest(), "");
}

#[test]
fn a_second_signal_stops_at_once() {
    let (origin, _release) = held();
    let mut proxy = in_front_of(origin.address());
    let mut running = Client::connect(proxy.address(0));
    running.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the request", || origin.requests() == 1);
    proxy.signal(Signal::TERM);
    proxy.wait_for_log("what runs may finish");
    proxy.signal(Signal::INT);
    assert_eq!(proxy.exit_status().code(), Some(0));
}

fn answering(body: &str) -> String {
    format!("[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [{{ respond = {{ body = \"{body}\" }} }}]\n")
}

#[test]
fn a_changed_file_is_followed_and_so_is_sighup() {
    let proxy = start(&answering("one"));
    let mut client = Client::connect(proxy.address(0));
    assert_eq!(client.get("/").text(), "one");
    proxy.change_config(&answering("two")).unwrap();
    // The same listener, the same connection.
    assert_eq!(client.get("/").text(), "two");
    proxy.reload().unwrap();
    assert_eq!(client.get("/").text(), "two");
}

#[test]
fn a_refused_change_keeps_the_old_and_says_why() {
    let proxy = start(&format!("{}[admin]\naddress = \"127.0.0.1:0\"\n", answering("one")));
    let mut client = Client::connect(proxy.address(0));
    let refused = proxy.change_config("[[listener]]\nadress = \"127.0.0.1:0\"\n").unwrap_err();
    assert!(refused.contains("configuration refused, the old one goes on"), "{refused}");
    assert!(refused.contains("unknown key `adress`") && refused.contains("did you mean `address`"), "{refused}");
    assert_eq!(client.get("/").text(), "one");
    proxy.wait_for_admin("/config/status", "unknown key `adress`");
    proxy.wait_for_admin("/metrics", "jackfield_config_reloads_total{result=\"failed\"} 1");
    assert!(proxy.reload().is_err());
    proxy.change_config(&format!("{}[admin]\naddress = \"127.0.0.1:0\"\n", answering("three"))).unwrap();
    assert_eq!(client.get("/").text(), "three");
    proxy.wait_for_admin("/config/status", "\"last_reload_error\":null");
}

#[test]
fn listeners_come_and_go_with_a_reload() {
    let two = format!(
        "{}[[listener]]\naddress = \"127.0.0.2:0\"\nroutes = [{{ respond = {{ body = \"b\" }} }}]\n",
        answering("a")
    );
    let proxy = start(&answering("a"));
    proxy.change_config(&two).unwrap();
    let second = proxy.address(1);
    assert_eq!(client::get(second, "/").text(), "b");
    let mut idle = Client::connect(second);
    assert_eq!(idle.get("/").text(), "b");
    proxy.change_config(&answering("a")).unwrap();
    assert_eq!(idle.rest(), "");
    wait_until("nobody to listen there", || Client::try_connect(second).is_err());
    assert_eq!(client::get(proxy.address(0), "/").text(), "a");
}

#[test]
fn an_address_in_use_is_an_error_and_nothing_is_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jackfield.toml");
    std::fs::write(&file, format!("[[listener]]\naddress = \"{address}\"\nroutes = [{{ respond = {{}} }}]\n")).unwrap();
    let output = Command::new(program!()).args(["run", "-c"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("cannot listen on {address}: Address already in use")), "{said}");
}

#[test]
fn a_bad_file_is_exit_code_2_and_nothing_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jackfield.toml");
    std::fs::write(&file, "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\nfilters = [\"nothing\"]\n")
        .unwrap();
    for command in ["run", "check"] {
        let output = Command::new(program!()).args([command, "-c"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("jackfield.toml:3:12: error: no upstream `api`"), "{said}");
        assert!(said.contains("jackfield.toml:4:12: error: no plugin `nothing`"), "{said}");
        assert!(!said.contains("listening"), "{said}");
    }
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let origin = Origin::echo("a");
    let proxy = start(&config("filters = [\"x-forwarded-for\"]", &endpoints(&[&origin])));
    Client::connect(proxy.address(0)).ask("POST /a?b HTTP/1.1\r\nhost: h.example\r\ncontent-length: 3\r\n\r\nabc");
    let line = proxy.access_of("/a?b");
    for (field, value) in [
        ("method", "POST"),
        ("host", "h.example"),
        ("protocol", "HTTP/1.1"),
        ("upstream", "api"),
        ("endpoint", &origin.address().to_string()),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!((&line["status"], &line["received"]), (&200.into(), &3.into()), "{line}");
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(line["sent"].as_u64().unwrap() > 100, "{line}");
    assert!(line["total_us"].as_u64().unwrap() >= line["plugin_us"].as_u64().unwrap(), "{line}");
    assert!(line["plugin_us"].as_u64().unwrap() > 0, "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z') && line.get("error").is_none(), "{line}");
}

#[test]
fn the_access_log_can_be_text_or_nothing() {
    let proxy = start(&format!("{}[log]\nformat = \"json\"\naccess = false\n", answering("one")));
    assert_eq!(client::get(proxy.address(0), "/").text(), "one");
    assert!(proxy.access_log().is_empty());
}

#[test]
fn metrics_ready_and_live() {
    let origin = Origin::echo("a");
    let admin = "[admin]\naddress = \"127.0.0.1:0\"\n";
    let proxy = start(&format!("{admin}{}", config("filters = [\"x-forwarded-for\"]", &endpoints(&[&origin]))));
    for _ in 0..7 {
        assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    }
    assert_eq!(client::get(proxy.admin(), "/live").text(), "live\n");
    assert_eq!(client::get(proxy.admin(), "/ready").text(), "ready\n");
    let labels = format!("upstream=\"api\",endpoint=\"{}\"", origin.address());
    for line in [
        "jackfield_requests_total{upstream=\"api\",class=\"2xx\"} 7\n".to_owned(),
        "jackfield_request_duration_seconds_count{upstream=\"api\"} 7\n".to_owned(),
        format!("jackfield_endpoint_requests_total{{{labels}}} 7\n"),
        format!("jackfield_endpoint_healthy{{{labels}}} 1\n"),
        format!("jackfield_endpoint_active{{{labels}}} 0\n"),
    ] {
        proxy.wait_for_admin("/metrics", &line);
    }
    let page = client::get(proxy.admin(), "/metrics");
    assert!(page.header("content-type").unwrap().starts_with("text/plain"));
    let calls = page
        .text()
        .lines()
        .filter(|line| line.starts_with("jackfield_plugin_calls_total"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    for plugin in ["x-forwarded-for", "round-robin"] {
        let found = calls.iter().any(|line| line.contains(&format!("plugin=\"{plugin}\"")) && line.ends_with(" 7"));
        assert!(found, "{plugin}: {calls:?}");
    }
    assert_eq!(client::get(proxy.admin(), "/nothing").status(), 404);
}

#[test]
fn not_ready_while_it_drains() {
    let (origin, release) = held();
    let mut proxy = start(&format!("[admin]\naddress = \"127.0.0.1:0\"\n{}", config("", &endpoints(&[&origin]))));
    let mut running = Client::connect(proxy.address(0));
    running.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the request", || origin.requests() == 1);
    proxy.signal(Signal::TERM);
    wait_until("not ready", || client::get(proxy.admin(), "/ready").status() == 503);
    assert_eq!(client::get(proxy.admin(), "/live").status(), 200);
    release.send(true).unwrap();
    assert_eq!(running.receive("GET").status(), 200);
    assert!(proxy.exit_status().success());
}

/// Healthy or not, as it is told.
fn switchable(name: &'static str) -> (Origin, Arc<AtomicBool>) {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&healthy);
    let origin = Origin::start(move |request| {
        let healthy = state.load(SeqCst);
        async move {
            let mut answer = text(name);
            if request.uri().path() == "/healthz" && !healthy {
                *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            }
            answer
        }
    });
    (origin, healthy)
}

#[test]
fn health_checks_take_an_endpoint_out_and_back() {
    let ((first, state), (second, _)) = (switchable("a"), switchable("b"));
    let health = "health = { path = \"/healthz\", interval = \"50ms\", rise = 2, fall = 2 }";
    let proxy = start(&config("", &format!("{health}\n{}", endpoints(&[&first, &second]))));
    let both = || {
        let names: std::collections::BTreeSet<_> = (0..4).map(|_| client::get(proxy.address(0), "/").text()).collect();
        names.len() == 2
    };
    wait_until("both", both);
    state.store(false, SeqCst);
    proxy.wait_for_log("endpoint is down");
    for _ in 0..20 {
        assert_eq!(client::get(proxy.address(0), "/").text(), "b");
    }
    state.store(true, SeqCst);
    proxy.wait_for_log("endpoint is up again");
    wait_until("both", both);
}

#[test]
fn tcp_checks_see_who_listens() {
    let mut first = Origin::echo("a");
    let (port, second) = (first.address().port(), Origin::echo("b"));
    let health = "health = { type = \"tcp\", interval = \"50ms\", rise = 1, fall = 1 }";
    let proxy = start(&config("", &format!("{health}\n{}", endpoints(&[&first, &second]))));
    first.kill();
    proxy.wait_for_log("endpoint is down");
    let speaks = Speaks { port, ..Speaks::default() };
    let back = wait_for("the port to be free", || {
        let free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        free.then(|| Origin::echo_speaking(speaks.clone(), "back"))
    });
    proxy.wait_for_log("endpoint is up again");
    wait_until("it to be asked", || client::get(proxy.address(0), "/").json()["origin"] == "back");
    assert!(back.requests() > 0);
}

/// The requests of clients who do not stop asking, while `change` is at work.
fn under_load(address: std::net::SocketAddr, change: impl FnOnce(&AtomicUsize)) -> usize {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    let answer = client.get("/load");
                    assert_eq!(answer.status(), 200, "{answer:?}");
                    done.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    change(&done);
    stop.store(true, SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    done.load(SeqCst)
}

#[test]
fn fifty_reloads_under_load_fail_nobody_and_leave_nothing_behind() {
    let origin = Origin::echo("a");
    let with = |name: &str| {
        let filter = format!(
            "filters = [{{ plugin = \"headers\", settings = {{ request = {{ set = {{ x-turn = \"{name}\" }} }} }} }}]"
        );
        config(&filter, &endpoints(&[&origin]))
    };
    let proxy = start(&format!("workers = 2\n{}", with("begin")));
    let mut memory = 0;
    under_load(proxy.address(0), |done| {
        for turn in 0..50 {
            proxy.write_config(&format!("workers = 2\n{}", with(&format!("turn {turn}"))));
            proxy.reload().unwrap();
            let before = done.load(SeqCst);
            wait_until("some load", || done.load(SeqCst) > before + 10);
            if turn == 10 {
                memory = proxy.memory();
            }
        }
    });
    let seen = client::get(proxy.address(0), "/").json();
    assert_eq!(seen["headers"]["x-turn"], "turn 49");
    assert!(proxy.memory() < memory + (16 << 20), "{} bytes, {memory} at the tenth", proxy.memory());
    assert!(proxy.access_log().iter().all(|line| line["status"] == 200));
}

/// The pool's connections survive a reload that does not concern them.
#[test]
fn connections_to_endpoints_survive_a_reload() {
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let proxy = start(&format!("workers = 1\n{}", config("", &endpoint(origin.address()))));
    let mut client = Client::connect(proxy.address(0));
    assert_eq!(client.get("/").text(), "ok");
    proxy.reload().unwrap();
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(origin.accepted(), 1);
}
