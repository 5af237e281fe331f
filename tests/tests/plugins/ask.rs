//! Filters that ask a service while a request waits, and the worker that serves others meanwhile.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

use http::Request;
use hyper::body::Incoming;
use jackfield_tests::host::guest;
use jackfield_tests::origin::{Speaks, full, json_response, seen, text};
use jackfield_tests::{Client, Message, Origin, Proxy, RawOrigin, client, http2, raw, wait_for, wait_until};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{metric, plugins_folder, put, start, with_plugins};

/// `/ask/` asks `service` by the plugin `ask`, `/auth/` by the plugin `external-auth`; `/plain/` asks nobody.
fn config(origin: SocketAddr, service: SocketAddr, of_service: &str) -> String {
    let ask = |policy: &str| {
        format!(
            "{{ plugin = \"ask\", grants = [\"http:service\", \"log\"], on-failure = \"{policy}\", deadline = \"50ms\" }}"
        )
    };
    format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/plain/", upstream = "api" }},
  {{ path = "/ask/", upstream = "api", filters = [{closed}] }},
  {{ path = "/open/", upstream = "api", filters = [{open}] }},
  {{ path = "/short/", upstream = "api", filters = [{closed}], timeout = "300ms" }},
  {{ path = "/auth/", upstream = "api", filters = [{{ plugin = "external-auth", grants = ["clock", "random", "log", "http:auth-service"] }}] }},
  {{ path = "/both/", upstream = "api", filters = [{closed}, {{ plugin = "external-auth", grants = ["clock", "random", "log", "http:auth-service"] }}, {closed}] }},
  {{ path = "/picked/", upstream = "picked" }},
]
[upstream.api]
endpoints = ["{origin}"]
[upstream.picked]
balancer = {{ plugin = "ask", grants = ["http:service", "log"] }}
endpoints = ["{origin}"]
[upstream.other]
endpoints = ["{origin}"]
[upstream.service]
endpoints = ["{service}"]
{of_service}
[upstream.auth-service]
endpoints = ["{service}"]
{of_service}
"#,
        closed = ask("closed"),
        open = ask("open"),
    )
}

const GUESTS: [&str; 2] = ["ask", "external-auth"];
const PLACE: &str = "plugin=\"ask\",place=\"listener[0].routes[1].filters[0]\"";

#[track_caller]
fn asking(origin: SocketAddr, service: SocketAddr) -> Proxy {
    start(&config(origin, service, ""), &GUESTS)
}

/// Says who the user of a cookie is, and keeps what it was asked.
struct Service {
    origin: Origin,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Service {
    fn start(speaks: Speaks) -> Self {
        let asked = Arc::<Mutex<Vec<Value>>>::default();
        let keep = Arc::clone(&asked);
        let origin = Origin::speaking(speaks, move |request| {
            let keep = Arc::clone(&keep);
            async move {
                let seen = seen("service", request).await;
                let user = seen["headers"]["cookie"].as_str().and_then(|cookie| cookie.strip_prefix("user="));
                let mut answer = json_response(&seen);
                if let Some(user) = user {
                    answer.headers_mut().insert("x-user", user.parse().unwrap());
                } else {
                    *answer.status_mut() = http::StatusCode::FORBIDDEN;
                    *answer.body_mut() = full("no such user\n");
                }
                keep.lock().unwrap().push(seen);
                answer
            }
        });
        Self { origin, asked }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers when the test lets it: one request for each permit.
struct Hanging {
    origin: Origin,
    permits: Arc<Semaphore>,
}

impl Hanging {
    fn start() -> Self {
        let permits = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&permits);
        let origin = Origin::start(move |request: Request<Incoming>| {
            let held = Arc::clone(&held);
            async move {
                held.acquire().await.unwrap().forget();
                text(request.uri().path())
            }
        });
        Self { origin, permits }
    }

    fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    fn let_go(&self, requests: usize) {
        self.permits.add_permits(requests);
    }

    #[track_caller]
    fn wait_for_requests(&self, count: usize) {
        wait_until(&format!("{count} requests to the service"), || self.origin.requests() >= count);
    }
}

/// A client that has asked and does not read yet.
#[track_caller]
fn ask(proxy: &Proxy, path: &str) -> Client {
    let mut client = Client::connect(proxy.address(0));
    client.send(format!("GET {path} HTTP/1.1\r\nhost: test.example\r\n\r\n"));
    client
}

#[track_caller]
fn get(proxy: &Proxy, path: &str) -> Message {
    client::get(proxy.address(0), path)
}

fn with_cookie(cookie: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: test.example\r\nx-user: forged\r\ncookie: {cookie}\r\n\r\n")
}

#[track_caller]
fn outcome(proxy: &Proxy, outcome: &str) -> u64 {
    metric(proxy, &format!("jackfield_plugin_requests_total{{{PLACE},outcome=\"{outcome}\"}}"))
}

#[track_caller]
fn active(proxy: &Proxy) -> u64 {
    metric(proxy, &format!("jackfield_plugin_requests_active{{{PLACE}}}"))
}

#[track_caller]
fn active_at(proxy: &Proxy, upstream: &str, endpoint: SocketAddr) -> u64 {
    metric(proxy, &format!("jackfield_endpoint_active{{upstream=\"{upstream}\",endpoint=\"{endpoint}\"}}"))
}

#[test]
fn external_authentication_stamps_the_user_or_answers_in_the_services_words() {
    authenticates(&guest("external-auth"));
}

/// The example in another language: it does the same.
#[test]
fn so_does_the_one_in_javascript() {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/javascript/external-auth/build.sh");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("external-auth-{}.wasm", std::process::id()));
    let output = Command::new(build).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        // Not by println: the test harness would hide it.
        let _ = std::io::stderr().write_all(format!("SKIPPED: javascript: {said}").as_bytes());
        return;
    }
    assert!(output.status.success(), "{said}");
    let wasm = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    authenticates(&wasm);
}

#[track_caller]
fn authenticates(wasm: &[u8]) {
    let (origin, service) = (Origin::echo("a"), Service::start(Speaks::default()));
    let config = config(origin.address(), service.origin.address(), "");
    let proxy = Proxy::start_with(jackfield_tests::program!(), &with_plugins(&config), |folder| {
        put(&plugins_folder(folder), "ask", &guest("ask"));
        put(&plugins_folder(folder), "external-auth", wasm);
    });
    let mut client = Client::connect(proxy.address(0));
    for user in ["ada", "bob"] {
        let answer = client.ask(&with_cookie(&format!("user={user}"), "/auth/page?q=1"));
        assert_eq!((answer.status(), &answer.json()["headers"]["x-user"]), (200, &Value::from(user)));
    }
    let refused = client.ask(&with_cookie("nobody", "/auth/page"));
    assert_eq!((refused.status(), &*refused.text()), (401, "no such user\n"));
    assert_eq!(origin.requests(), 2);
    let asked = service.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!((&asked[0]["method"], &asked[0]["path"]), (&Value::from("GET"), &Value::from("/check")));
    assert_eq!(asked[0]["headers"]["x-path"], "/auth/page");
    assert_eq!(asked[0]["headers"]["cookie"], "user=ada");
    assert_eq!(asked[0]["headers"]["host"], service.origin.address().to_string());
    assert_eq!(service.origin.connections(), 1, "kept alive as for clients");
}

#[test]
fn over_http2_on_both_sides_too() {
    let (origin, service) = (Origin::echo("a"), Service::start(Speaks { http2: true, ..Speaks::default() }));
    let proxy = start(&config(origin.address(), service.origin.address(), "protocol = \"h2\""), &GUESTS);
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let request = |cookie: &str| {
            Request::get("http://test.example/auth/").header("cookie", cookie).body(http2::empty()).unwrap()
        };
        let answer = http2::ask(&mut client, request("user=ada")).await;
        assert_eq!((answer.status, &answer.json()["headers"]["x-user"]), (200, &Value::from("ada")));
        assert_eq!(http2::ask(&mut client, request("nobody")).await.status, 401);
    });
    let asked = service.asked();
    assert_eq!(asked[0]["version"], "HTTP/2.0");
    assert_eq!(asked[0]["authority"], service.origin.address().to_string());
}

#[test]
fn a_hundred_clients_at_once_each_get_their_own_user() {
    let (origin, service) = (Origin::echo("a"), Service::start(Speaks::default()));
    let proxy = asking(origin.address(), service.origin.address());
    let address = proxy.address(0);
    let client = |number: usize| {
        let mut client = Client::connect(address);
        for turn in 0..5 {
            let user = format!("user-{number}-{turn}");
            let answer = client.ask(&with_cookie(&format!("user={user}"), "/auth/"));
            assert_eq!((answer.status(), &answer.json()["headers"]["x-user"]), (200, &Value::from(user)));
        }
    };
    std::thread::scope(|scope| (0..100).for_each(|number| drop(scope.spawn(move || client(number)))));
    http2::block_on(async {
        let client = http2::connect(address).await;
        let mut streams = tokio::task::JoinSet::new();
        for number in 0..100 {
            let mut client = client.clone();
            streams.spawn(async move {
                let user = format!("stream-{number}");
                let request = Request::get("http://test.example/auth/").header("cookie", format!("user={user}"));
                let answer = http2::ask(&mut client, request.body(http2::empty()).unwrap()).await;
                assert_eq!((answer.status, &answer.json()["headers"]["x-user"]), (200, &Value::from(user)));
            });
        }
        while let Some(stream) = streams.join_next().await {
            stream.unwrap();
        }
    });
    assert_eq!(service.origin.requests(), 600);
}

#[test]
fn while_the_service_hangs_the_only_worker_serves_others() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    let mut waiting: Vec<Client> = (0..20).map(|_| ask(&proxy, "/ask/once")).collect();
    service.wait_for_requests(20);
    for _ in 0..50 {
        assert_eq!(get(&proxy, "/plain/").status(), 200);
        // The same instance of the same plugin, which asks nothing here.
        assert_eq!(get(&proxy, "/ask/nothing").status(), 200);
    }
    assert_eq!(service.origin.requests(), 20, "all of them still wait");
    assert_eq!((active(&proxy), active_at(&proxy, "service", service.address())), (20, 20));
    service.let_go(20);
    for client in &mut waiting {
        let answer = client.receive("GET");
        assert_eq!((answer.status(), &*answer.text()), (200, "200 /first"));
    }
    wait_until("the gauge to go back", || active(&proxy) == 0);
    assert_eq!(outcome(&proxy, "replied"), 20);
}

#[test]
fn the_wait_is_in_the_access_log_and_is_no_plugins_time() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    // Twice its whole deadline, and it did nothing wrong.
    let answer = get(&proxy, "/ask/soon");
    assert_eq!((answer.status(), &*answer.text()), (200, "timeout"));
    let line = proxy.access_of("/ask/soon");
    let micros = |field: &str| line[field].as_u64().unwrap();
    assert!(micros("plugin_wait_us") >= 200_000 && micros("plugin_wait_us") <= micros("total_us"), "{line}");
    assert!(micros("plugin_us") < 200_000, "{line}");
    get(&proxy, "/plain/");
    assert_eq!(proxy.access_of("/plain/")["plugin_wait_us"], 0);
    assert_eq!(proxy.access_log().len(), 2, "a plugin's request is no client's");
    assert_eq!(metric(&proxy, "jackfield_requests_total{upstream=\"service\",class=\"2xx\"}"), 0);
    assert_eq!(outcome(&proxy, "timeout"), 1);
    let failures = metric(&proxy, &format!("jackfield_plugin_failures_total{{{PLACE}}}"));
    assert_eq!(failures, 0);
}

#[test]
fn nothing_lasts_longer_than_the_routes_limit() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    // It would wait for five seconds.
    let answer = get(&proxy, "/short/once");
    assert_eq!((answer.status(), &*answer.text()), (200, "timeout"));
    let total = proxy.access_of("/short/once")["total_us"].as_u64().unwrap();
    assert!((300_000..4_000_000).contains(&total), "{total}");
}

#[test]
fn a_service_that_is_down_is_told_to_the_plugin() {
    let origin = Origin::echo("a");
    let proxy = asking(origin.address(), raw::nobody());
    assert_eq!(get(&proxy, "/ask/once").text(), "unreachable");
    let answer = get(&proxy, "/auth/");
    assert_eq!((answer.status(), &*answer.text()), (503, "nobody can say who you are\n"));
    assert_eq!(outcome(&proxy, "unreachable"), 1);
}

#[test]
fn a_service_that_answers_nonsense_or_breaks_off_is_unreachable() {
    let origin = Origin::echo("a");
    for nonsense in [
        "this is no HTTP\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: own\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "",
    ] {
        let service = RawOrigin::start(move |mut connection| {
            connection.request();
            connection.send(nonsense);
        });
        let proxy = asking(origin.address(), service.address());
        assert_eq!(get(&proxy, "/ask/once").text(), "unreachable", "{nonsense:?}");
    }
    let service = RawOrigin::start(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this");
    });
    let proxy = asking(origin.address(), service.address());
    assert_eq!(get(&proxy, "/ask/once").text(), "unreachable");
}

#[test]
fn what_a_service_says_before_its_answer_is_not_the_clients() {
    let origin = Origin::echo("a");
    let service = RawOrigin::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </secret>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    );
    let proxy = asking(origin.address(), service.address());
    let answer = get(&proxy, "/ask/once");
    assert_eq!((&*answer.text(), answer.interim.len()), ("200 hi", 0));
}

#[test]
fn a_reply_has_one_mebibyte_at_most() {
    let origin = Origin::echo("a");
    let sized = |bytes: usize| Origin::start(move |_| async move { http::Response::new(full(vec![b'x'; bytes])) });
    let chunked = |bytes: usize| {
        let body = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(bytes)
        );
        RawOrigin::answering(body)
    };
    for (bytes, expected) in [
        (1 << 20, format!("200 {}", "x".repeat(100))),
        ((1 << 20) + 1, "too-large".into()),
        (2 << 20, "too-large".into()),
    ] {
        let (service, raw) = (sized(bytes), chunked(bytes));
        for address in [service.address(), raw.address()] {
            let proxy = asking(origin.address(), address);
            assert_eq!(get(&proxy, "/ask/once").text(), expected, "{bytes} bytes");
            assert_eq!(active_at(&proxy, "service", address), 0);
        }
    }
}

#[test]
fn two_are_sent_at_once_and_a_third_from_the_first_reply() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    let mut client = ask(&proxy, "/ask/two-and-a-third");
    service.wait_for_requests(2);
    service.let_go(1);
    service.wait_for_requests(3);
    service.let_go(2);
    let answer = client.receive("GET").text();
    let mut heard: Vec<&str> = answer.lines().collect();
    heard.sort_unstable();
    assert_eq!(heard, ["0=200 /first", "1=200 /second", "2=200 /third"]);
}

#[test]
fn eight_fit_into_one_request() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    service.let_go(100);
    let answer = get(&proxy, "/ask/hundred").json();
    assert_eq!((&answer["headers"]["x-fit"], service.origin.requests()), (&Value::from("8"), 8));
    assert_eq!(get(&proxy, "/ask/chain").text(), "7 too-many");
    assert_eq!(service.origin.requests(), 16);
}

#[test]
fn a_whole_request_goes_out_as_it_was_written() {
    let (origin, service) = (Origin::echo("a"), Origin::echo("service"));
    let proxy = asking(origin.address(), service.address());
    assert!(get(&proxy, "/ask/post").text().starts_with("200 {"));
    let asked = Arc::<Mutex<Vec<Value>>>::default();
    let keep = Arc::clone(&asked);
    let service = Origin::start(move |request| {
        let keep = Arc::clone(&keep);
        async move {
            let seen = seen("service", request).await;
            keep.lock().unwrap().push(seen);
            text("ok")
        }
    });
    let proxy = asking(origin.address(), service.address());
    assert_eq!(get(&proxy, "/ask/post").text(), "200 ok");
    let asked = asked.lock().unwrap()[0].clone();
    assert_eq!((&asked["method"], &asked["path"]), (&Value::from("POST"), &Value::from("/first?a=b")));
    assert_eq!((&asked["length"], &asked["headers"]["host"]), (&Value::from(100_000), &Value::from("own.example")));
    assert_eq!(asked["headers"]["content-length"], "100000");
}

#[test]
fn what_is_not_granted_or_not_well_formed_goes_nowhere() {
    let (origin, service) = (Origin::echo("a"), Origin::echo("service"));
    let proxy = asking(origin.address(), service.address());
    for (path, expected) in
        [("/ask/elsewhere", "not-granted"), ("/ask/configure", "forbidden"), ("/ask/malformed", "all refused")]
    {
        assert_eq!(get(&proxy, path).text(), expected, "{path}");
    }
    assert_eq!(get(&proxy, "/picked/").status(), 200);
    proxy.wait_for_log("send in pick: Err(\\\"forbidden\\\")");
    assert_eq!(service.requests(), 0);
    assert_eq!(active(&proxy), 0);
}

#[test]
fn an_answer_drops_what_is_outstanding() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    assert_eq!(get(&proxy, "/ask/answer-at-once").text(), "at once");
    assert_eq!((service.origin.requests(), active(&proxy), outcome(&proxy, "dropped")), (0, 0, 1));
}

#[test]
fn filters_of_a_chain_ask_one_after_the_other() {
    let (origin, service) = (Origin::echo("a"), Service::start(Speaks::default()));
    let proxy = asking(origin.address(), service.origin.address());
    let mut client = Client::connect(proxy.address(0));
    let answer = client.ask(&with_cookie("user=ada", "/both/"));
    assert_eq!(answer.json()["headers"]["x-user"], "ada");
}

#[test]
fn the_response_waits_too() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    let mut client = ask(&proxy, "/ask/answered/");
    service.wait_for_requests(1);
    assert_eq!(origin.requests(), 1, "its head is there already");
    service.let_go(1);
    let answer = client.receive("GET");
    assert_eq!((answer.status(), answer.header("x-heard")), (200, Some("200 /of-the-response")));
    assert_eq!(answer.json()["path"], "/ask/answered/");
}

/// Asked, and when it was given up.
fn silent() -> (RawOrigin, mpsc::Receiver<&'static str>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = RawOrigin::start(move |mut connection| {
        connection.request();
        tell.lock().unwrap().send("asked").unwrap();
        let _ = std::io::Read::read(&mut connection.reader, &mut [0]);
        tell.lock().unwrap().send("closed").unwrap();
    });
    (origin, told)
}

#[test]
fn when_the_client_goes_away_the_service_is_asked_no_longer() {
    let (origin, (service, told)) = (Origin::echo("a"), silent());
    let proxy = asking(origin.address(), service.address());
    let client = ask(&proxy, "/ask/once");
    assert_eq!(wait_for("the question", || told.try_recv().ok()), "asked");
    assert_eq!((active(&proxy), active_at(&proxy, "service", service.address())), (1, 1));
    drop(client);
    assert_eq!(wait_for("the end", || told.try_recv().ok()), "closed");
    wait_until("the gauges to go back", || active(&proxy) == 0 && active_at(&proxy, "service", service.address()) == 0);
    assert_eq!(outcome(&proxy, "dropped"), 1);
    let line = proxy.access_of("/ask/once");
    assert_eq!(line["status"], 499);
    assert!(line["plugin_wait_us"].as_u64().unwrap() > 0, "{line}");
    assert_eq!(origin.requests(), 0);
}

#[test]
fn so_it_is_when_a_stream_of_http2_is_reset() {
    let (origin, (service, told)) = (Origin::echo("a"), silent());
    let proxy = asking(origin.address(), service.address());
    http2::block_on(async {
        let mut client = http2::connect(proxy.address(0)).await;
        let answer = client.send_request(http2::get("/ask/once"));
        let asked = tokio::task::spawn_blocking(move || {
            assert_eq!(wait_for("the question", || told.try_recv().ok()), "asked");
            told
        });
        let told = tokio::select! {
            _ = answer => panic!("nobody answers"),
            told = asked => told.unwrap(),
        };
        let told = tokio::task::spawn_blocking(move || wait_for("the end", || told.try_recv().ok()));
        assert_eq!(told.await.unwrap(), "closed");
    });
    wait_until("the gauges to go back", || active(&proxy) == 0 && active_at(&proxy, "service", service.address()) == 0);
}

#[test]
fn a_request_that_waits_ends_on_the_configuration_that_it_began_with() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    let mut client = ask(&proxy, "/ask/once");
    service.wait_for_requests(1);
    let without = format!(
        "workers = 1\nadmin = {{ address = \"127.0.0.1:0\" }}\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         upstream = \"api\"\n[upstream.api]\nendpoints = [\"{}\"]\n",
        origin.address()
    );
    proxy.change_config(&with_plugins(&without)).unwrap();
    assert_eq!(get(&proxy, "/ask/once").json()["origin"], "a", "there is no filter any more");
    service.let_go(1);
    assert_eq!(client.receive("GET").text(), "200 /first");
}

#[test]
fn a_filter_that_fails_on_a_reply_is_answered_by_policy() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    service.let_go(100);
    for action in ["trap", "loop"] {
        wait_until("the filter to ask", || {
            let before = service.origin.requests();
            assert_eq!(get(&proxy, &format!("/ask/{action}")).status(), 503);
            service.origin.requests() > before
        });
        assert_eq!(get(&proxy, "/plain/").status(), 200);
    }
    let failures = metric(&proxy, &format!("jackfield_plugin_failures_total{{{PLACE}}}"));
    assert!(failures >= 2, "{failures}");
    let asked = service.origin.requests();
    let answer = get(&proxy, "/open/trap");
    assert_eq!((answer.status(), &answer.json()["origin"]), (200, &Value::from("a")));
    assert_eq!(service.origin.requests(), asked + 1);
    // A call that fails sends nothing.
    assert_eq!(get(&proxy, "/ask/trap-at-once").status(), 503);
    wait_until("the gauge to go back", || active(&proxy) == 0);
}

#[test]
fn a_new_instance_hears_the_replies_of_one_that_trapped_meanwhile() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    let mut waiting = ask(&proxy, "/ask/once");
    service.wait_for_requests(1);
    assert_eq!(get(&proxy, "/ask/trap-at-once").status(), 503);
    wait_until("the new instance", || get(&proxy, "/ask/nothing").status() == 200);
    service.let_go(1);
    assert_eq!(waiting.receive("GET").text(), "200 /first");
}

#[test]
fn the_clients_body_waits_and_arrives_whole() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    let body = "x".repeat(3 << 20);
    for framing in ["expect: 100-continue\r\n", ""] {
        let before = service.origin.requests();
        let mut client = Client::connect(proxy.address(0));
        client.send(format!("POST /ask/waits HTTP/1.1\r\nhost: a\r\n{framing}content-length: {}\r\n\r\n", body.len()));
        service.wait_for_requests(before + 1);
        let mut writer = client.stream().try_clone().unwrap();
        let body = body.clone();
        let upload = std::thread::spawn(move || writer.write_all(body.as_bytes()).unwrap());
        service.let_go(1);
        let answer = client.receive("POST");
        assert_eq!((answer.status(), &answer.json()["length"]), (200, &Value::from(3 << 20)));
        assert_eq!(answer.json()["headers"]["x-heard"], "200 /first");
        upload.join().unwrap();
    }
}

#[test]
fn a_plugin_does_not_eat_the_memory_with_what_it_waits_for() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    // Heads count too: no 64 bodies of 1 MiB.
    let waiting: Vec<Client> = (0..63).map(|_| ask(&proxy, "/ask/huge")).collect();
    service.wait_for_requests(63);
    assert_eq!(get(&proxy, "/ask/huge").text(), "too-many");
    drop(waiting);
    wait_until("room again", || active(&proxy) == 0);
    service.let_go(100);
    assert_eq!(get(&proxy, "/ask/huge").status(), 200);
}

/// Nobody is kept from anything by a plugin that asks for all it can.
#[test]
fn a_flood_of_questions_is_bounded_by_the_number_of_requests() {
    let (origin, service) = (Origin::echo("a"), Hanging::start());
    let proxy = asking(origin.address(), service.address());
    let waiting: Vec<Client> = (0..50).map(|_| ask(&proxy, "/ask/hundred")).collect();
    service.wait_for_requests(400);
    let served = AtomicUsize::new(0);
    for _ in 0..100 {
        assert_eq!(get(&proxy, "/plain/").status(), 200);
        served.fetch_add(1, SeqCst);
    }
    assert_eq!((service.origin.requests(), active(&proxy)), (400, 400));
    drop(waiting);
    wait_until("all of them to be dropped", || active(&proxy) == 0);
    assert_eq!(active_at(&proxy, "service", service.address()), 0);
}

/// The service is the proxy itself: its own question comes back as a client's request, and is not asked
/// about again.
#[test]
fn a_question_that_comes_back_leads_to_no_further_one() {
    let origin = Origin::echo("a");
    // Free a moment ago: who takes it meanwhile fails this test, and only this one.
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "{own}"
routes = [{{ upstream = "api", filters = [{{ plugin = "external-auth", grants = ["http:auth-service"] }}] }}]
[upstream.api]
endpoints = ["{}"]
[upstream.auth-service]
endpoints = ["{own}"]
"#,
        origin.address()
    );
    let proxy = start(&config, &["external-auth"]);
    let answer = client::get(proxy.address(0), "/");
    assert_eq!((answer.status(), &*answer.text()), (401, "the request cannot be checked\n"));
    let place = "plugin=\"external-auth\",place=\"listener[0].routes[0].filters[0]\"";
    assert_eq!(metric(&proxy, &format!("jackfield_plugin_requests_total{{{place},outcome=\"replied\"}}")), 1);
    assert_eq!(metric(&proxy, &format!("jackfield_plugin_requests_active{{{place}}}")), 0);
    assert_eq!(origin.requests(), 0);
}
