//! How endpoints are judged.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    pub probe: Probe,
    pub interval: Duration,
    /// In place of `interval` while the endpoint is down.
    pub interval_down: Duration,
    pub timeout: Duration,
    /// Successes in a row until an unhealthy endpoint counts as healthy.
    pub rise: u32,
    /// Failures in a row until a healthy endpoint counts as unhealthy.
    pub fall: u32,
    /// By which share of the interval a check may come earlier or later, 0 to 1.
    pub jitter: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    Http(Box<HttpProbe>),
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// Empty: the server as a whole.
        service: String,
        host: Option<String>,
    },
    Tcp(Dialogue),
    /// A handshake with the upstream's TLS settings first.
    Tls(Dialogue),
}

#[derive(Debug, Clone, PartialEq)]
pub struct HttpProbe {
    pub method: Method,
    pub path: String,
    pub host: Option<String>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Inclusive ranges of accepted statuses.
    pub expect: Vec<(u16, u16)>,
    pub body: Option<Pattern>,
}

/// What is said on a connection, and what must be heard; neither: to connect is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialogue {
    pub send: Vec<u8>,
    pub expect: Option<Pattern>,
}

/// What must stand somewhere in an answer.
#[derive(Debug, Clone)]
pub enum Pattern {
    Bytes(Vec<u8>),
    Regex(regex::bytes::Regex),
}

impl Pattern {
    pub fn is_in(&self, answer: &[u8]) -> bool {
        match self {
            Self::Bytes(bytes) => memchr::memmem::find(answer, bytes).is_some(),
            Self::Regex(regex) => regex.is_match(answer),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl Eq for Pattern {}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "`{}`", bytes.escape_ascii()),
            Self::Regex(regex) => write!(f, "`~ {}`", regex.as_str()),
        }
    }
}
