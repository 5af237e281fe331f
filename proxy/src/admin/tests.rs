//! The pages, over a real socket.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::plugin::Memory;

struct Admin {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    _server: oneshot::Sender<()>,
}

impl Admin {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new(Arc::default()));
        let server = start(listener, Arc::clone(&shared)).unwrap();
        Self { address, shared, _server: server }
    }

    fn show(&self) {
        let upstream = crate::health::tests::upstream("127.0.0.1:5001".parse().unwrap(), None, None);
        upstream.set().endpoints[0].stats.succeeded(Duration::from_millis(4));
        self.shared.show(Snapshot {
            version: 7,
            upstreams: vec![Arc::new(upstream)],
            usages: Vec::new(),
            library: Arc::default(),
            stores: [("shared".into(), Arc::new(Memory::new(1 << 20)) as Arc<_>)].into(),
        });
    }

    /// Status and body.
    async fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.ask(&format!("GET {path}")).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

#[tokio::test]
async fn ready_from_the_first_configuration_to_the_drain() {
    let admin = Admin::start();
    assert_eq!(admin.ask("GET /live").await, (200, "live\n".to_owned()));
    assert_eq!(admin.ask("GET /ready").await, (503, "{\"error\":\"not configured yet\"}".to_owned()));
    admin.show();
    assert_eq!(admin.ask("GET /ready").await.0, 200);
    admin.shared.draining();
    assert_eq!(admin.ask("GET /ready").await, (503, "{\"error\":\"draining\"}".to_owned()));
    assert_eq!(admin.ask("GET /live").await.0, 200);
}

#[tokio::test]
async fn upstreams_and_plugins_are_shown() {
    let admin = Admin::start();
    assert_eq!(admin.json("/upstreams").await, json!([]));
    admin.show();
    let upstreams = admin.json("/upstreams").await;
    assert_eq!(upstreams[0]["name"], "api");
    let endpoint = &upstreams[0]["endpoints"][0];
    assert_eq!(endpoint["address"], "127.0.0.1:5001");
    assert_eq!(endpoint["state"], "healthy");
    assert_eq!(endpoint["requests"], 1);
    assert_eq!(endpoint["cpu"], Value::Null);
    let store = json!({ "name": "shared", "entries": 0, "bytes": 0, "limit": 1 << 20, "evictions": 0 });
    assert_eq!(admin.json("/plugins").await, json!({ "plugins": [], "problems": [], "stores": [store] }));
    let (status, metrics) = admin.ask("GET /metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("\njackfield_endpoint_requests_total{upstream=\"api\",endpoint=\"127.0.0.1:5001\"} 1\n"));
}

#[tokio::test]
async fn a_refused_reload_is_told_until_one_succeeds() {
    let admin = Admin::start();
    admin.show();
    admin.shared.reload_failed("no upstream \"b\"");
    let status = admin.json("/config/status").await;
    assert_eq!(status["version"], 7);
    humantime::parse_rfc3339(status["loaded_at"].as_str().unwrap()).unwrap();
    assert_eq!(status["last_reload_error"]["error"], "no upstream \"b\"");
    admin.show();
    assert_eq!(admin.json("/config/status").await["last_reload_error"], Value::Null);
}

#[tokio::test]
async fn errors_are_json() {
    let admin = Admin::start();
    let error = format!("{{\"error\":\"there is no page /nope; there are {PAGES}\"}}");
    assert_eq!(admin.ask("GET /nope?x").await, (404, error));
    assert_eq!(admin.ask("POST /metrics").await, (405, "{\"error\":\"pages are only read: use GET\"}".to_owned()));
}
