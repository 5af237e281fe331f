//! gRPC: Google's client and server, with and without TLS in front.

use std::path::PathBuf;

use jackfield_tests::host::guest;
use jackfield_tests::tool::{Server, python};
use jackfield_tests::{Proxy, client, wait_for};
use serde_json::{Value, json};

use crate::{both, endpoints, plain_and_tls, python_client, python_server, start, start_tls};

/// So many servers behind a cleartext listener and one with TLS.
struct Grpc {
    python: PathBuf,
    proxy: Proxy,
    servers: Vec<Server>,
}

impl Grpc {
    fn start(names: &[&str]) -> Option<Self> {
        Self::start_with(names, "", "")
    }

    /// With more lines at the top of the configuration, and in its listeners.
    fn start_with(names: &[&str], top: &str, listener: &str) -> Option<Self> {
        let python = python()?;
        let (servers, ports): (Vec<_>, Vec<_>) =
            names.iter().map(|name| python_server(&python, "grpc_server.py", &[name])).unzip();
        let config = plain_and_tls(listener, &format!("protocol = \"h2\"\n{}", endpoints(&ports)));
        Some(Self { python, proxy: start_tls(&format!("{top}{config}")), servers })
    }

    /// What the client finds through each of the listeners.
    #[track_caller]
    fn ask(&self, case: &str) -> Vec<Value> {
        let ask = |(to, ca)| python_client(&self.python, "grpc_client.py", &[&to, &ca, &case]);
        both(&self.proxy).map(ask).into()
    }
}

#[track_caller]
fn check(case: &str, expected: &Value) {
    let Some(grpc) = Grpc::start(&["a"]) else { return };
    for found in grpc.ask(case) {
        assert_eq!(&found, expected);
    }
}

#[test]
fn unary_calls_with_metadata_and_trailers() {
    check(
        "unary",
        &json!({
            "same": true, "empty": true, "code": "OK", "initial": "a", "echoed": "3072000", "binary": [0, 255, 16],
        }),
    );
}

#[test]
fn a_server_streams() {
    check("server_streaming", &json!({ "in_order": true, "none": [] }));
}

#[test]
fn a_client_streams() {
    check("client_streaming", &json!(5_000_000));
}

#[test]
fn both_stream_in_turn() {
    check("both_ways", &json!({ "in_turn": true, "rest": 0, "said": "all", "code": "OK" }));
}

#[test]
fn a_status_without_an_answer() {
    check(
        "status",
        &json!({
            "code": "FAILED_PRECONDITION", "details": "not now: 50% \u{2014} später", "why": "because",
            "unknown": "UNIMPLEMENTED",
        }),
    );
}

/// A filter that sees every piece of both bodies: messages, trailers and turns stay as they are.
#[test]
fn calls_pass_a_filter_of_bodies() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bodies.wasm"), guest("bodies")).unwrap();
    let top = format!("plugins = \"{}\"\n", folder.path().display());
    let settings = "settings = { do = \"pass\", request = \"chunks\", response = \"chunks\" }";
    let filters = format!("filters = [{{ plugin = \"bodies\", grants = [\"body\"], {settings} }}]\n");
    let Some(grpc) = Grpc::start_with(&["a"], &top, &filters) else { return };
    for found in grpc.ask("unary") {
        assert_eq!((&found["same"], &found["echoed"], &found["code"]), (&true.into(), &"3072000".into(), &"OK".into()));
    }
    for found in grpc.ask("both_ways") {
        assert_eq!(found, json!({ "in_turn": true, "rest": 0, "said": "all", "code": "OK" }));
    }
    for found in grpc.ask("server_streaming") {
        assert_eq!(found, json!({ "in_order": true, "none": [] }));
    }
    for found in grpc.ask("status") {
        assert_eq!(found["code"], "FAILED_PRECONDITION");
    }
}

/// The server hears of it when its client has left. A server for each listener: it counts.
#[test]
fn deadlines_and_cancelled_calls_reach_the_server() {
    for (case, code) in [("deadline", "DEADLINE_EXCEEDED"), ("cancel", "CANCELLED")] {
        for listener in [0, 1] {
            let Some(grpc) = Grpc::start(&["a"]) else { return };
            let (to, ca) = &both(&grpc.proxy)[listener];
            let found = python_client(&grpc.python, "grpc_client.py", &[to, ca, &case]);
            assert_eq!(found, json!({ "first": "begun", "code": code, "left": true }));
        }
    }
}

/// A client keeps one connection for all of its calls; each is balanced by itself.
#[test]
fn a_hundred_calls_of_one_connection_are_balanced() {
    let Some(mut grpc) = Grpc::start(&["a", "b"]) else { return };
    for found in grpc.ask("who") {
        let names: String = found.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(["ab".repeat(50), "ba".repeat(50)].contains(&names), "{names}");
    }
    // A call that is not known to be repeatable may be sent again when it was never processed.
    grpc.servers[0].kill();
    for found in grpc.ask("who") {
        assert_eq!(found, json!(vec!["b"; 100]));
    }
}

/// The answers of Google's server, and nothing but the answers: calls that are not gRPC as it knows
/// it would all be refused alike.
#[test]
fn health_is_asked_for_as_grpc_defines_it() {
    let Some(python) = python() else { return };
    let (_server, port) = python_server(&python, "grpc_server.py", &[&"a"]);
    let upstream = |name: &str, service: &str| {
        let health = format!("health = {{ type = \"grpc\", service = \"{service}\", interval = \"50ms\", fall = 1 }}");
        format!("[upstream.{name}]\nprotocol = \"h2\"\n{health}\n{}\n", endpoints(&[port]))
    };
    let upstreams = [upstream("well", ""), upstream("ill", "test.Ill"), upstream("unknown", "test.Nobody")].concat();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"well\"\n";
    let proxy = start(&format!("[admin]\naddress = \"127.0.0.1:0\"\n{listener}{upstreams}"));
    let found = wait_for("every verdict", || {
        let metrics = client::get(proxy.admin(), "/metrics").text();
        let checked = metrics.contains("jackfield_health_checks_total{upstream=\"well\",result=\"passed\"} 0\n");
        let all = client::get(proxy.admin(), "/upstreams").json();
        let of = |at: usize| {
            let endpoint = &all[at]["endpoints"][0];
            (endpoint["state"].clone(), endpoint["check"].clone())
        };
        let verdicts = [of(0), of(1), of(2)];
        (!checked && verdicts.iter().filter(|(state, _)| state == "unhealthy").count() == 2).then_some(verdicts)
    });
    let expected = [
        ("healthy", Value::Null),
        ("unhealthy", "NOT_SERVING".into()),
        ("unhealthy", "grpc-status 5 unknown service".into()),
    ];
    assert_eq!(found, expected.map(|(state, why)| (Value::from(state), why)));
}
