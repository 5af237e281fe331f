//! The mock host's state: what a test sets, and what a plugin left.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::{Outgoing, Random, Store};
use crate::{Address, EndpointSet, EndpointState, FilterContext, PickContext, Protocol, hash};

/// A header line or a note.
pub type Header = (String, Vec<u8>);

/// What a plugin can learn of one endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: u64,
    pub weight: u32,
    pub state: EndpointState,
    pub active: u32,
    /// Microseconds; 0: never measured.
    pub latency: u32,
    /// Ten-thousandths, as the following.
    pub error_rate: u32,
    pub cpu: Option<u32>,
    pub memory: Option<u32>,
    /// Tried in vain for this request.
    pub tried: bool,
    /// False: a balancer that wraps the tested one left it out.
    pub candidate: bool,
    pub labels: Vec<(String, String)>,
}

impl Endpoint {
    /// Healthy, idle, of weight 1, with an id made from `number`.
    pub fn new(number: u64) -> Self {
        Self {
            id: hash::mix(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed),
            weight: 1,
            state: EndpointState::Healthy,
            active: 0,
            latency: 0,
            error_rate: 0,
            cpu: None,
            memory: None,
            tried: false,
            candidate: true,
            labels: Vec::new(),
        }
    }

    /// Healthy, not draining, not tried yet, and among the candidates.
    pub fn eligible(&self) -> bool {
        self.state == EndpointState::Healthy && !self.tried && self.candidate
    }
}

/// How the wrapped balancer answers.
#[derive(Clone, Copy, Debug, Default)]
pub enum Delegate {
    /// There is none.
    #[default]
    Absent,
    /// It picks the first endpoint that is eligible (and among the candidates).
    First,
    /// It picks this one, whatever was asked.
    Always(u32),
}

/// The response that a filter sees.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<Header>,
}

/// Everything that a plugin can see or do.
#[derive(Clone, Debug)]
pub struct Host {
    pub endpoints: Vec<Endpoint>,
    pub generation: u64,
    pub delegate: Delegate,
    pub counters: [u64; 16],
    pub random: Random,
    /// Nanoseconds.
    pub now: u64,
    /// Milliseconds.
    pub unix_time: u64,

    pub client: IpAddr,
    pub client_port: u16,
    pub protocol: Protocol,
    pub is_tls: bool,
    pub sni: Option<String>,
    pub request_id: String,
    pub method: Option<String>,
    /// As the client wrote it; `request::host` answers it in lower case without the port.
    pub host: Option<String>,
    pub path: Option<String>,
    pub query: Option<String>,
    /// Of the request, names in lower case; edits change them.
    pub headers: Vec<Header>,
    pub response: Response,

    /// What the plugin left: notes, another upstream, an answer of its own, headers for the reply,
    /// lines for the log.
    pub notes: Vec<(String, String)>,
    pub upstreams: Vec<String>,
    pub upstream: Option<String>,
    pub answer: Option<(Response, Vec<u8>)>,
    pub reply: Vec<Header>,
    pub log: Vec<String>,
    /// The stores that are granted, by name; their entries end by `now`.
    pub stores: BTreeMap<String, Store>,
    /// Of the plugin's own counters and histograms, by name: the sum, and what was observed.
    pub own_counters: BTreeMap<String, u64>,
    pub own_histograms: BTreeMap<String, Vec<f64>>,
    /// Upstreams that it may ask, and what it asked of them: the position is the ticket. A test hands
    /// the reply to `on_reply` itself, and empties the list for the next request.
    pub http_upstreams: Vec<String>,
    pub sent: Vec<Outgoing>,
    /// How many host functions were called.
    pub calls: usize,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            generation: 0,
            delegate: Delegate::Absent,
            counters: [0; 16],
            random: Random::new(1),
            now: 1_000_000_000,
            unix_time: 1_700_000_000_000,
            client: Ipv4Addr::new(192, 0, 2, 1).into(),
            client_port: 40_000,
            protocol: Protocol::Http1,
            is_tls: false,
            sni: None,
            request_id: "0123456789abcdef0123456789abcdef".to_owned(),
            method: Some("GET".to_owned()),
            host: Some("example.com".to_owned()),
            path: Some("/".to_owned()),
            query: None,
            headers: Vec::new(),
            response: Response { status: 200, headers: Vec::new() },
            notes: Vec::new(),
            upstreams: Vec::new(),
            upstream: None,
            answer: None,
            reply: Vec::new(),
            log: Vec::new(),
            stores: BTreeMap::new(),
            own_counters: BTreeMap::new(),
            own_histograms: BTreeMap::new(),
            http_upstreams: Vec::new(),
            sent: Vec::new(),
            calls: 0,
        }
    }
}

impl Host {
    /// One whose upstream has `n` healthy endpoints of weight 1.
    pub fn with_endpoints(n: u64) -> Self {
        Self { endpoints: (0..n).map(Endpoint::new).collect(), ..Self::default() }
    }

    /// One whose upstream has endpoints of these weights.
    pub fn with_weights(weights: &[u32]) -> Self {
        let mut host = Self::with_endpoints(weights.len() as u64);
        for (endpoint, weight) in host.endpoints.iter_mut().zip(weights) {
            endpoint.weight = *weight;
        }
        host
    }

    /// With a header line of the request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// With an empty store that is granted.
    #[must_use]
    pub fn store(mut self, name: &str) -> Self {
        self.stores.insert(name.to_owned(), Store::default());
        self
    }

    /// Makes this the host of the current thread.
    pub fn install(self) {
        super::host(|host| *host = self);
    }

    /// What `update` is given.
    pub fn endpoint_set(&self) -> EndpointSet {
        let column = |index: usize| format!("192.0.2.{}:{}", index % 256, 5000 + index / 256);
        EndpointSet {
            generation: self.generation,
            ids: self.endpoints.iter().map(|e| e.id).collect(),
            weights: self.endpoints.iter().map(|e| e.weight).collect(),
            states: self.endpoints.iter().map(|e| e.state).collect(),
            addresses: (0..self.endpoints.len()).map(column).collect(),
            labels: self.endpoints.iter().map(|e| e.labels.clone()).collect(),
        }
    }

    /// What `pick` is given.
    pub fn pick_context(&self) -> PickContext {
        let count = |of: fn(&Endpoint) -> bool| self.endpoints.iter().filter(|endpoint| of(endpoint)).count() as u32;
        PickContext {
            client: self.client_hash(),
            attempt: count(|endpoint| endpoint.tried),
            endpoints: self.endpoints.len() as u32,
            eligible: count(Endpoint::eligible),
            protocol: self.protocol,
        }
    }

    /// What the calls of a filter are given.
    pub fn filter_context(&self) -> FilterContext {
        FilterContext { client: self.client.into(), protocol: self.protocol, is_tls: self.is_tls }
    }

    /// The values of a header of the request, as text.
    pub fn values(&self, name: &str) -> Vec<String> {
        texts(&self.headers, name)
    }

    /// The values of a header of the response, as text.
    pub fn response_values(&self, name: &str) -> Vec<String> {
        texts(&self.response.headers, name)
    }

    /// The sum of one of the plugin's own counters.
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.own_counters.get(name).copied()
    }

    /// What one of the plugin's own histograms observed.
    pub fn observations(&self, name: &str) -> Option<Vec<f64>> {
        self.own_histograms.get(name).cloned()
    }

    fn client_hash(&self) -> u64 {
        let address = Address::from(self.client);
        hash::mix(hash::mix(address.high) ^ address.low)
    }
}

fn texts(headers: &[Header], name: &str) -> Vec<String> {
    let named = headers.iter().filter(|(known, _)| known == name);
    named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}
