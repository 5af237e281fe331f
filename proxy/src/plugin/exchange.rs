//! What plugins see of one request, connection or datagram session. It travels into an instance's
//! store for the time of a call, and back.

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::ask::Outbox;
use crate::config::UpstreamIndex;
use crate::endpoint::stable_hash;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
    Http1,
    Http2,
}

/// The client's end of the connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub tls: bool,
    /// Server name of the TLS handshake, lower case.
    pub sni: Option<Arc<str>>,
    /// A hash of the IP address, without the port.
    pub hash: u64,
    /// The IP address as a header's value, made when first asked for: a connection has many requests.
    text: OnceLock<HeaderValue>,
}

impl Client {
    pub fn new(address: SocketAddr, protocol: Protocol, tls: bool, sni: Option<Arc<str>>) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let hash = match address.ip() {
            IpAddr::V4(ip) => stable_hash(&ip.octets()),
            IpAddr::V6(ip) => stable_hash(&ip.octets()),
        };
        Self { address, protocol, tls, sni, hash, text: OnceLock::new() }
    }

    /// The IP address, without the port.
    pub(super) fn address_text(&self) -> &HeaderValue {
        let text = || HeaderValue::try_from(self.address.ip().to_string());
        self.text.get_or_init(|| text().unwrap_or_else(|_| HeaderValue::from_static("unknown")))
    }

    /// The IP address in two halves, IPv4 mapped into IPv6.
    pub fn ip_halves(&self) -> (u64, u64) {
        let bits = match self.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        ((bits >> 64) as u64, bits as u64)
    }
}

/// A response that a filter gave in the endpoint's place.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What an exchange has in common with those that are forked off. There when somebody needs it.
#[derive(Debug, Default)]
struct Common {
    /// By their keys.
    notes: Mutex<Vec<(String, String)>>,
    id: OnceLock<String>,
}

#[derive(Debug)]
pub struct Exchange {
    pub client: Arc<Client>,
    /// None at L4.
    pub request: Option<http::request::Parts>,
    /// From the moment the head of the response is there.
    pub response: Option<http::response::Parts>,
    /// Headers that a balancer left for the response.
    pub reply: Vec<(HeaderName, HeaderValue)>,
    pub answer: Option<Answer>,
    /// Chosen by a filter in place of the route's.
    pub upstream: Option<UpstreamIndex>,
    /// Wall time spent in plugins.
    pub plugin_time: Duration,
    /// What the plugin that is being called sends of its own.
    pub(super) outbox: Outbox,
    /// Bytes that plugins have written into it.
    written: usize,
    common: Option<Arc<Common>>,
    id: OnceCell<String>,
}

impl Exchange {
    pub const MAX_NOTES: usize = 32;
    pub const MAX_NOTE_BYTES: usize = 4096;
    /// Header values, paths and the like, all plugins together.
    const MAX_WRITTEN: usize = 256 << 10;

    pub fn new(client: Arc<Client>, request: Option<http::request::Parts>) -> Box<Self> {
        Box::new(Self {
            client,
            request,
            response: None,
            reply: Vec::new(),
            answer: None,
            upstream: None,
            plugin_time: Duration::ZERO,
            outbox: Outbox::default(),
            written: 0,
            common: None,
            id: OnceCell::new(),
        })
    }

    /// False when plugins have written enough into this exchange.
    pub fn spend(&mut self, bytes: usize) -> bool {
        let fits = bytes <= Self::MAX_WRITTEN - self.written;
        if fits {
            self.written += bytes;
        }
        fits
    }

    /// 32 hexadecimal digits, made when first asked for.
    pub fn id(&self) -> &str {
        let make = || format!("{:016x}{:016x}", super::host::random64(), super::host::random64());
        self.id.get_or_init(|| self.common.as_ref().map_or_else(make, |common| common.id.get_or_init(make).clone()))
    }

    /// None when nobody asked for it.
    pub fn known_id(&self) -> Option<&str> {
        self.id.get().or_else(|| self.common.as_ref()?.id.get()).map(String::as_str)
    }

    /// The host that the client asked for: lower case, without port.
    pub fn host(&self) -> Option<String> {
        let request = self.request.as_ref()?;
        let host = match request.uri.host() {
            Some(host) => host,
            None => host_without_port(request.headers.get(http::header::HOST)?.to_str().ok()?),
        };
        Some(host.to_ascii_lowercase())
    }

    /// The value of a cookie (RFC 6265, section 4.2), from any of the `Cookie` lines.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let headers = &self.request.as_ref()?.headers;
        cookies(headers).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub fn note(&self, key: &str) -> Option<String> {
        let notes = self.common.as_ref()?.notes();
        notes.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    /// False when there are too many, or the value is too long.
    pub fn set_note(&mut self, key: String, value: String) -> bool {
        if key.len() + value.len() > Self::MAX_NOTE_BYTES {
            return false;
        }
        let mut notes = self.share().notes();
        if let Some(note) = notes.iter_mut().find(|(name, _)| *name == key) {
            note.1 = value;
            return true;
        }
        let fits = notes.len() < Self::MAX_NOTES;
        if fits {
            notes.push((key, value));
        }
        fits
    }

    /// For a body that passes beside: the same request and its notes, and nothing that would be
    /// decided twice.
    pub fn fork(&mut self) -> Box<Self> {
        let common = Arc::clone(self.share());
        Box::new(Self {
            client: Arc::clone(&self.client),
            request: self.request.clone(),
            response: self.response.clone(),
            reply: Vec::new(),
            answer: None,
            upstream: None,
            plugin_time: Duration::ZERO,
            written: 0,
            common: Some(common),
            id: self.id.clone(),
            outbox: Outbox::default(),
        })
    }

    fn share(&mut self) -> &Arc<Common> {
        let id = self.id.get();
        self.common.get_or_insert_with(|| {
            let common = Common::default();
            if let Some(id) = id {
                common.id.get_or_init(|| id.clone());
            }
            Arc::new(common)
        })
    }
}

impl Common {
    fn notes(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        // Nobody panics in the middle of a change.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Name and value of each cookie that is text.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// `example.com:80` → `example.com`, `[::1]:80` → `[::1]`.
pub fn host_without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}
