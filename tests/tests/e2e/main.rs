//! The program as its users see it: over real sockets, with real clients.

mod balancing;
mod basics;
mod bodies;
mod client_gone;
mod desync;
mod failure;
mod filters;
mod framing;
mod health;
mod hop_by_hop;
mod http2;
mod interim;
mod l4;
mod limits;
mod operating;
mod outlier;
mod routing;
mod service;
mod spill;
mod takeover;
mod tls;
mod upgrade;

use std::net::SocketAddr;

use jackfield_tests::{Origin, Proxy, origin};

/// A proxy with this configuration.
#[track_caller]
fn start(config: &str) -> Proxy {
    Proxy::start(jackfield_tests::program!(), config)
}

/// One listener, whose upstream is `api`, with further lines for it; and the lines of `api`.
fn config(listener: &str, upstream: &str) -> String {
    format!("[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\n{listener}\n[upstream.api]\n{upstream}\n")
}

/// The upstream's line with these.
fn endpoints(origins: &[&Origin]) -> String {
    format!("endpoints = [{}]", origin::endpoints(origins))
}

fn endpoint(address: SocketAddr) -> String {
    format!("endpoints = [\"{address}\"]")
}

/// A proxy with nothing special in front of this.
#[track_caller]
fn in_front_of(address: SocketAddr) -> Proxy {
    start(&config("", &endpoint(address)))
}
