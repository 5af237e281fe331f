//! What the proxy tells of itself: counters, the access log, and the log of what goes on. Knows no
//! server; whoever serves something counts it here.

mod access;
mod health;
mod line;
mod metrics;
mod page;
mod prometheus;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

pub use access::{AccessLog, AccessLogger, Entry, Subject};
pub use health::HealthMetrics;
pub use metrics::{Histogram, RequestMetrics, RequestTotals};
pub use page::CONTENT_TYPE;
pub use prometheus::{PluginFacts, Scrape, UpstreamFacts};

use crate::config::LogFormat;

/// The process's own counters: those that belong to no upstream and no plugin.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Requests that no upstream answered: redirects, fixed responses, plugins' answers, errors.
    pub local: RequestMetrics,
    pub reloads: AtomicU64,
    pub failed_reloads: AtomicU64,
    /// Lines of the access log that the writer had no time for.
    pub dropped_lines: Arc<AtomicU64>,
    listeners: Mutex<BTreeMap<(SocketAddr, &'static str), Arc<ListenerMetrics>>>,
}

/// Connections of a listener (sessions, for UDP), all workers together: they come seldom enough
/// for one counter.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    pub accepted: AtomicU64,
    active: AtomicU64,
    pub tls_failures: AtomicU64,
    /// Closed at once: the limit was reached.
    pub refused: AtomicU64,
    /// L4 only: no endpoint could be reached.
    pub unserved: AtomicU64,
    /// L4 only, from clients.
    pub received: AtomicU64,
    /// L4 only, to clients.
    pub sent: AtomicU64,
}

/// A connection counts as active while this lives.
#[derive(Debug)]
pub struct OpenConnection(Arc<ListenerMetrics>);

impl Telemetry {
    /// The counters of a listener; they outlive reloads. Takes a lock: ask once, when it starts.
    pub fn listener(&self, address: SocketAddr, protocol: &'static str) -> Arc<ListenerMetrics> {
        Arc::clone(self.lock().entry((address, protocol)).or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(SocketAddr, &'static str), Arc<ListenerMetrics>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ListenerMetrics {
    pub fn open(self: &Arc<Self>) -> OpenConnection {
        self.accepted.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        OpenConnection(Arc::clone(self))
    }

    pub fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    /// The bytes of an L4 connection, when it ends.
    pub fn carried(&self, received: u64, sent: u64) {
        self.received.fetch_add(received, Relaxed);
        self.sent.fetch_add(sent, Relaxed);
    }
}

impl OpenConnection {
    pub fn metrics(&self) -> &Arc<ListenerMetrics> {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("log level {level:?}: {reason}; write a level (error, warn, info, debug, trace) or `jackfield=debug`")]
    Level { level: String, reason: String },
    #[error("logging was set up already")]
    Twice,
}

/// The log goes to standard error; the access log has standard output for itself.
pub fn init_logging(level: &str, format: LogFormat) -> Result<(), LoggingError> {
    let bad_level =
        |error: &dyn std::fmt::Display| LoggingError::Level { level: level.to_owned(), reason: error.to_string() };
    let filter = EnvFilter::try_new(level).map_err(|error| bad_level(&error))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LoggingError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_as_active_while_they_live() {
        let telemetry = Telemetry::default();
        let address = "127.0.0.1:80".parse().unwrap();
        let open = telemetry.listener(address, "tcp").open();
        let again = telemetry.listener(address, "tcp");
        assert_eq!((again.accepted.load(Relaxed), again.active()), (1, 1));
        drop(open);
        assert_eq!((again.accepted.load(Relaxed), again.active()), (1, 0));
    }

    #[test]
    fn a_bad_level_says_what_is_right() {
        let error = init_logging("info,=", LogFormat::Text).unwrap_err().to_string();
        assert!(error.starts_with("log level \"info,=\": ") && error.contains("jackfield=debug"), "{error}");
    }
}
