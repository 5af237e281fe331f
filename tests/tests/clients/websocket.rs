//! WebSocket: a client and a server of Python's `websockets`, with and without TLS in front.

use jackfield_tests::tool::python;
use serde_json::{Value, json};

use crate::{both, endpoints, plain_and_tls, python_client, python_server, start_tls};

/// What the client finds through both listeners.
#[track_caller]
fn check(case: &str, expected: &Value) {
    check_with("", case, expected);
}

/// The same, with this line for both listeners.
#[track_caller]
fn check_with(line: &str, case: &str, expected: &Value) {
    let Some(python) = python() else { return };
    let (_server, port) = python_server(&python, "websocket_server.py", &[]);
    let listener = format!("filters = [\"x-forwarded-for\"]\n{line}");
    let proxy = start_tls(&plain_and_tls(&listener, &endpoints(&[port])));
    for (to, ca) in both(&proxy) {
        assert_eq!(&python_client(&python, "websocket_client.py", &[&to, &ca, &case]), expected);
    }
}

#[test]
fn text_and_binary_messages_come_back() {
    check("echo", &json!({ "same": true, "fragments": "in three frames", "subprotocol": "chat" }));
}

#[test]
fn a_thousand_messages_at_once_keep_their_order() {
    check("many", &json!({ "in_order": true }));
}

#[test]
fn a_ping_is_answered() {
    check("ping", &json!({ "pong": true }));
}

#[test]
fn either_side_closes_with_its_code() {
    check("server_closes", &json!({ "code": 4321, "reason": "enough of it" }));
    check("client_closes", &json!({ "code": 4000, "reason": "bye" }));
}

/// `header-timeout` is about heads only.
#[test]
fn it_stays_open_for_longer_than_a_head_may_take() {
    check_with("header-timeout = \"1s\"", "stays", &json!({ "open": true }));
}

#[test]
fn the_server_learns_who_the_client_is() {
    check("forwarded", &json!("127.0.0.1"));
}
