//! Clients and servers as others wrote them: gRPC, and WebSocket.

use std::path::Path;
use std::process::Command;

use jackfield_tests::tool::{Server, python, run};

use crate::{config, start};

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name).display().to_string()
}

/// This server behind the proxy, and what this client says.
fn talk(python: &Path, server: &str, client: &str, upstream: &str, listener: &str) -> (Server, String) {
    let (server, port) = Server::with_port(Command::new(python).arg(script(server)));
    let proxy = start(&config(listener, &format!("endpoints = [\"127.0.0.1:{port}\"]\n{upstream}")));
    let said = run(python, &[&script(client), &proxy.address(0).to_string()]);
    (server, said)
}

#[test]
fn grpc_unary_and_streaming_both_ways() {
    let Some(python) = python() else { return };
    let (_server, said) =
        talk(&python, "grpc_server.py", "grpc_client.py", "protocol = \"h2\"", "filters = [\"x-forwarded-for\"]");
    assert_eq!(said, "ok\n");
}

#[test]
fn a_websocket_client_and_server() {
    let Some(python) = python() else { return };
    let (_server, said) =
        talk(&python, "websocket_server.py", "websocket_client.py", "", "filters = [\"x-forwarded-for\"]");
    assert_eq!(said, "ok\n");
}
