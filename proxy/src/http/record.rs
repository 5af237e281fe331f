//! What is kept of a request until its last byte has passed: then the endpoint counts as free, the
//! connection goes back to its pool, and the access log and metrics hear of it.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Uri};

use super::Connection;
use super::body::Ending;
use crate::body::{Client, Received, RequestBody};
use crate::endpoint::{Active, Endpoint};
use crate::plugin::{Exchange, Protocol};
use crate::telemetry::{Entry, Subject};
use crate::upstream::Upstream;

pub struct Record {
    connection: Rc<Connection>,
    begin: Instant,
    /// Kept for the access log only.
    target: Option<(Method, Uri, Option<HeaderValue>)>,
    /// The request's id, if a plugin asked for one.
    id: Option<Box<str>>,
    pub status: StatusCode,
    plugin_time: Duration,
    /// Wall time that plugins waited for replies.
    pub plugin_wait: Duration,
    /// Of filters that see bodies as they pass, after the head.
    body_time: Option<Rc<Cell<Duration>>>,
    pub reason: Option<String>,
    pub upstream: Option<Arc<Upstream>>,
    pub endpoint: Option<Arc<Endpoint>>,
    pub active: Option<Active>,
    received: Option<Rc<Received>>,
    sent: u64,
    complete: bool,
}

/// nginx's word for a client that went away before it had its answer.
const CLIENT_CLOSED: u16 = 499;

impl Record {
    pub fn begin(connection: &Rc<Connection>, request: &Parts) -> Box<Self> {
        connection.begin_request();
        let logs = connection.worker.access.is_some();
        Box::new(Self {
            connection: Rc::clone(connection),
            begin: Instant::now(),
            target: logs.then(|| (request.method.clone(), request.uri.clone(), request.headers.get(HOST).cloned())),
            id: None,
            status: StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST),
            plugin_time: Duration::ZERO,
            plugin_wait: Duration::ZERO,
            body_time: None,
            reason: None,
            upstream: None,
            endpoint: None,
            active: None,
            received: None,
            sent: 0,
            complete: false,
        })
    }

    /// What plugins did so far.
    pub fn follow(&mut self, exchange: &Exchange) {
        self.plugin_time = exchange.plugin_time;
        if self.id.is_none() {
            self.id = exchange.known_id().map(Box::from);
        }
    }

    /// The body on its way to an endpoint; its bytes are counted.
    pub fn request_body(&mut self, client: Client) -> RequestBody {
        if client.is_end_stream() {
            return RequestBody::default();
        }
        let received = Rc::<Received>::default();
        self.received = Some(Rc::clone(&received));
        RequestBody::Stream(client, received)
    }

    /// Where filters that see bodies as they pass add up their time.
    pub fn body_time(&mut self) -> Rc<Cell<Duration>> {
        Rc::clone(self.body_time.get_or_insert_default())
    }

    /// Wall time spent in plugins so far.
    pub fn plugin_time(&self) -> Duration {
        self.plugin_time
    }

    pub fn began(&self) -> Instant {
        self.begin
    }

    fn tell(&mut self, took: Duration) {
        let worker = &self.connection.worker;
        let status = self.status.as_u16();
        let metrics = self.upstream.as_ref().map_or(&worker.telemetry.local, |upstream| &upstream.metrics);
        let received = self.received.as_ref().map_or(0, |received| received.bytes());
        metrics.record(worker.index, status, took, received, self.sent);
        let (Some(access), Some((method, uri, host))) = (&worker.access, self.target.take()) else { return };
        let client = &self.connection.client;
        let broken = (!self.complete).then_some(Cow::Borrowed("the body did not reach its end"));
        access.record(Entry {
            at: SystemTime::now(),
            client: client.address,
            protocol: if client.protocol == Protocol::Http2 { "HTTP/2" } else { "HTTP/1.1" },
            subject: Subject::Request { method, host, uri, status, plugin_wait: self.plugin_wait, id: self.id.take() },
            upstream: self.upstream.as_ref().map(|upstream| Arc::clone(&upstream.config.name)),
            endpoint: self.endpoint.take(),
            plugin_time: self.plugin_time + self.body_time.take().map_or(Duration::ZERO, |time| time.get()),
            total_time: took,
            received,
            sent: self.sent,
            error: self.reason.take().map(Cow::Owned).or(broken),
        });
    }
}

impl Ending for Box<Record> {
    fn end(mut self, sent: u64, complete: bool) {
        self.sent = sent;
        self.complete = complete;
    }
}

/// Also when the client went away at any moment before.
impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        self.connection.end_request(now);
        self.tell(now.duration_since(self.begin));
    }
}
