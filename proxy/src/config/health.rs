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

/// Endpoints are judged by what the traffic finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    /// Failures of any kind in a row; 0: not looked at.
    pub consecutive_5xx: u32,
    /// Failures of the gateway's kind in a row; 0: not looked at.
    pub consecutive_gateway: u32,
    pub success_rate: Option<SuccessRate>,
    /// Between looks at success rates.
    pub interval: Duration,
    /// Of the first ejection; the second takes twice as long.
    pub ejection_time: Duration,
    pub max_ejection_time: Duration,
    /// Share of the endpoints that may be ejected at once.
    pub max_ejected: f64,
    /// Up to this share longer.
    pub jitter: f64,
}

/// Those below `mean - factor * standard deviation` of all are outliers.
#[derive(Debug, Clone, PartialEq)]
pub struct SuccessRate {
    pub factor: f64,
    /// Fewer with enough requests tell nothing of each other.
    pub min_endpoints: usize,
    /// In an interval.
    pub min_requests: u64,
}
