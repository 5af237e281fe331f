//! Clients and servers that others wrote: what they say to each other must pass as it is.

mod deploy;
mod examples;
mod grpc;
mod http_tools;
mod postgres;
mod redis;
mod resolver;
mod websocket;

use std::fmt::Display;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};

use jackfield_tests::tool::Server;
use jackfield_tests::{Authority, Proxy};

/// A proxy with this configuration.
#[track_caller]
fn start(config: &str) -> Proxy {
    Proxy::start(jackfield_tests::program!(), config)
}

/// The same, with `site.pem` and `site.key` for `test.example` and 127.0.0.1, and `ca.pem`.
#[track_caller]
fn start_tls(config: &str) -> Proxy {
    let authority = Authority::new();
    Proxy::start_with(jackfield_tests::program!(), config, |folder| {
        authority.certificate(&["test.example", "127.0.0.1"]).write(folder, "site");
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    })
}

/// The line that makes a listener use the certificate of [`start_tls`].
const TLS: &str = "tls = { certificates = [{ cert = \"site.pem\", key = \"site.key\" }] }";

/// Two listeners, the second with [`TLS`], both to `upstream`; and the lines of that.
fn plain_and_tls(listener: &str, upstream: &str) -> String {
    let listener = format!("[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"servers\"\n{listener}\n");
    format!("{listener}{listener}{TLS}\n[upstream.servers]\n{upstream}\n")
}

/// A listener of this protocol in front of these ports.
fn layer4(protocol: &str, ports: &[u16]) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"servers\"\n\
         [upstream.servers]\n{}\n",
        endpoints(ports)
    )
}

fn endpoints(ports: &[u16]) -> String {
    let all: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    format!("endpoints = [{}]", all.join(", "))
}

/// For servers that cannot choose one by themselves. Never the same twice, and below those that
/// the system hands out: nobody takes it before the server does, or after the server is gone.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = 15_000 + u16::try_from(std::process::id() % 160).unwrap() * 100;
    let mut ports = std::iter::repeat_with(|| begin + NEXT.fetch_add(1, SeqCst));
    let free =
        |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok() && UdpSocket::bind(("127.0.0.1", *port)).is_ok();
    ports.find(free).unwrap()
}

/// A script of `tests/python`, on this interpreter.
fn script(python: &Path, name: &str, arguments: &[&dyn Display]) -> Command {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
    let mut command = Command::new(python);
    command.arg(file).args(arguments.iter().map(ToString::to_string)).stdin(Stdio::null());
    command
}

/// A server of `tests/python`, which prints its port.
#[track_caller]
fn python_server(python: &Path, name: &str, arguments: &[&dyn Display]) -> (Server, u16) {
    Server::with_port(&mut script(python, name, arguments))
}

/// What a client of `tests/python` found, as JSON.
#[track_caller]
fn python_client(python: &Path, name: &str, arguments: &[&dyn Display]) -> serde_json::Value {
    let output = script(python, name, arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|what| panic!("{what}: {error}"))
}

/// How a client names one of the two listeners of [`plain_and_tls`], and the authority to trust.
fn both(proxy: &Proxy) -> [(SocketAddr, String); 2] {
    [(proxy.address(0), String::new()), (proxy.address(1), proxy.folder().join("ca.pem").display().to_string())]
}
