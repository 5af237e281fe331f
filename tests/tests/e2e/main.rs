//! The program as its users see it: over real sockets, with real clients.

mod basics;

use jackfield_tests::Proxy;

/// A proxy with this configuration.
#[track_caller]
fn start(config: &str) -> Proxy {
    Proxy::start(jackfield_tests::program!(), config)
}
