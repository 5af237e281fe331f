//! Checks against a small origin over real sockets.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::{self, Dialogue, EndpointConfig, HttpProbe, LoadReports, Place, Probe, UpstreamProtocol};
use crate::endpoint::EndpointState;

pub(crate) fn upstream(address: std::net::SocketAddr, health: Option<HealthCheck>, poll: Option<LoadPoll>) -> Upstream {
    let endpoint =
        EndpointConfig { name: address.to_string(), address, weight: 1, labels: Vec::new(), draining: false, tier: 0 };
    let config = config::Upstream {
        name: "api".into(),
        balancer: 0,
        endpoints: vec![endpoint],
        protocol: UpstreamProtocol::Http1,
        tls: None,
        health,
        outlier: None,
        panic_threshold: 0.0,
        slow_start: None,
        load: LoadReports { orca: false, poll, expires: Duration::from_mins(1) },
        connect_timeout: Duration::from_secs(1),
        keep_alive: Duration::from_secs(1),
        max_idle: 1,
        retries: 0,
        place: Place::default(),
    };
    Upstream::new(config, None, None)
}

fn health(probe: Probe) -> HealthCheck {
    let interval = Duration::from_millis(10);
    let timeout = Duration::from_secs(5);
    HealthCheck { probe, interval, interval_down: interval, timeout, rise: 2, fall: 2, jitter: 0.1 }
}

fn http_probe() -> Probe {
    Probe::Http(Box::new(HttpProbe {
        method: http::Method::GET,
        path: "/healthz".to_owned(),
        host: Some("api.test".to_owned()),
        headers: Vec::new(),
        expect: vec![(200, 299)],
        body: None,
    }))
}

fn tcp_probe() -> Probe {
    Probe::Tcp(Dialogue::default())
}

/// Answers each request with the status of the moment; `heads` counts the well-formed ones.
async fn origin(status: Arc<AtomicU32>, heads: Arc<AtomicU32>, body: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            if head.contains("host: ") && head.contains("user-agent: jackfield-health") {
                heads.fetch_add(1, SeqCst);
            }
            let (status, length) = (status.load(SeqCst), body.len());
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met).await.expect("the condition is met in time");
}

#[tokio::test]
async fn an_endpoint_falls_and_rises() {
    let (status, heads) = (Arc::new(AtomicU32::new(204)), Arc::default());
    let address = origin(Arc::clone(&status), Arc::clone(&heads), "").await;
    let upstream = Arc::new(upstream(address, Some(health(http_probe())), None));
    let checks = start(std::slice::from_ref(&upstream));
    let state = || upstream.set().states[0];
    until(|| heads.load(SeqCst) >= 3).await;
    assert_eq!(state(), EndpointState::Healthy);
    status.store(500, SeqCst);
    until(|| state() == EndpointState::Unhealthy).await;
    status.store(200, SeqCst);
    until(|| state() == EndpointState::Healthy).await;
    drop(checks);
    // A check that was already on its way may still arrive; then there is silence.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let silent = heads.load(SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(heads.load(SeqCst), silent);
}

#[tokio::test]
async fn a_port_that_refuses_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = Arc::new(upstream(address, Some(health(tcp_probe())), None));
    let endpoint = Arc::clone(&upstream.set().endpoints[0]);
    assert_eq!(probe::check(&upstream, &endpoint, &health(tcp_probe())).await, Ok(()));
    drop(listener);
    let _checks = start(std::slice::from_ref(&upstream));
    until(|| upstream.set().states[0] == EndpointState::Unhealthy).await;
}

#[tokio::test]
async fn silence_is_a_failure_and_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(listener.local_addr().unwrap(), None, None);
    let endpoint = Arc::clone(&upstream.set().endpoints[0]);
    let check = HealthCheck { timeout: Duration::from_millis(20), ..health(http_probe()) };
    assert_eq!(probe::check(&upstream, &endpoint, &check).await, Err("no answer within 20ms".to_owned().into()));
}

#[tokio::test]
async fn load_is_polled() {
    let address = origin(Arc::new(AtomicU32::new(200)), Arc::default(), r#"{"cpu":0.42,"memory":0.7}"#).await;
    let poll =
        LoadPoll { path: "/load".to_owned(), interval: Duration::from_millis(10), timeout: Duration::from_secs(5) };
    let upstream = Arc::new(upstream(address, None, Some(poll)));
    let _checks = start(std::slice::from_ref(&upstream));
    let set = upstream.set();
    until(|| set.endpoints[0].stats.load(Duration::from_mins(1)) == (4200, 7000)).await;
}
