//! What the tests of L4 share.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::config::{self, EndpointConfig, LoadReports, Place, UpstreamProtocol};
use crate::endpoint::Endpoint;

/// Two ends of a connection over the loopback interface.
pub async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

pub fn endpoint(address: SocketAddr) -> Arc<Endpoint> {
    let config =
        EndpointConfig { name: address.to_string(), address, weight: 1, labels: Vec::new(), draining: false, tier: 0 };
    Arc::new(Endpoint::new(config, Arc::default()))
}

pub fn upstream(retries: u32) -> config::Upstream {
    config::Upstream {
        name: "test".into(),
        balancer: 0,
        endpoints: Vec::new(),
        protocol: UpstreamProtocol::Auto,
        tls: None,
        health: None,
        outlier: None,
        panic_threshold: 0.0,
        slow_start: None,
        load: LoadReports { orca: false, poll: None, expires: Duration::from_secs(10) },
        connect_timeout: Duration::from_secs(5),
        keep_alive: Duration::from_mins(1),
        max_idle: 16,
        retries,
        place: Place::default(),
    }
}
