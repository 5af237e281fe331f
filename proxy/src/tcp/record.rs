//! What is told of a connection when it has ended: to the access log, the listener's metrics and,
//! for whoever debugs, the log.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;

use super::pump::{End, Outcome};
use crate::endpoint::Endpoint;
use crate::state::Listener;
use crate::telemetry::{Entry, Subject};
use crate::worker::Worker;

pub struct Record {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    peer: SocketAddr,
    begin: Instant,
    pub sni: Option<Arc<str>>,
    pub upstream: Option<Arc<str>>,
    pub endpoint: Option<Arc<Endpoint>>,
    pub plugin_time: Duration,
}

impl Record {
    pub fn begin(worker: &Rc<Worker>, listener: &Arc<Listener>, peer: SocketAddr) -> Self {
        Self {
            worker: Rc::clone(worker),
            listener: Arc::clone(listener),
            peer,
            begin: Instant::now(),
            sni: None,
            upstream: None,
            endpoint: None,
            plugin_time: Duration::ZERO,
        }
    }

    /// Closes with a reset: an orderly end would look like an answer of no bytes, and a client's
    /// pool or a retry above it can tell "nobody there" only from an error.
    pub fn refuse(self, client: &TcpStream, reason: &dyn Display) {
        let _ = client.set_zero_linger();
        self.listener.shared.metrics.unserved.fetch_add(1, Relaxed);
        tracing::warn!(peer = %self.peer, upstream = self.upstream.as_deref(), %reason, "TCP connection refused");
        self.report(0, 0, Some(reason));
    }

    pub fn end(self, outcome: &Outcome) {
        self.listener.shared.metrics.carried(outcome.sent, outcome.received);
        tracing::debug!(peer = %self.peer, end = %outcome.end, "TCP connection ended");
        let whole = matches!(outcome.end, End::Complete);
        self.report(outcome.sent, outcome.received, (!whole).then_some(&outcome.end));
    }

    /// Bytes from and to the client.
    fn report(self, received: u64, sent: u64, error: Option<&dyn Display>) {
        let Some(access) = &self.worker.access else { return };
        access.record(Entry {
            at: SystemTime::now(),
            client: self.peer,
            protocol: "tcp",
            subject: Subject::Connection { listener: self.listener.config.address, sni: self.sni },
            upstream: self.upstream,
            endpoint: self.endpoint,
            plugin_time: self.plugin_time,
            total_time: self.begin.elapsed(),
            received,
            sent,
            error: error.map(|error| Cow::Owned(error.to_string())),
        });
    }
}
