//! What a case says, as the host has it: endpoint sets with what was measured, what is left to
//! choose from, requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Uri, Version, header};

use crate::clock;
use crate::config::{CaseEndpoint, EndpointConfig, RequestGiven, ResponseGiven, Step};
use crate::endpoint::{Endpoint, EndpointSet, EndpointState, stable_hash};
use crate::plugin::{Choice, Client, Exchange, Protocol};

/// No report of an endpoint grows old in a trial.
const REPORT_EXPIRY: Duration = Duration::from_hours(24);

/// The endpoints as written, and as the host knows them.
pub struct Stage {
    pub written: Arc<[CaseEndpoint]>,
    pub set: Arc<EndpointSet>,
}

impl Stage {
    pub fn new(generation: u64, written: &Arc<[CaseEndpoint]>) -> Self {
        let endpoints = written.iter().map(endpoint).collect();
        let states = written.iter().map(|endpoint| endpoint.state).collect();
        let set = Arc::new(EndpointSet::new(generation, endpoints, states, REPORT_EXPIRY));
        let stage = Self { written: Arc::clone(written), set };
        stage.measure(Instant::now());
        stage
    }

    /// What is measured fades with time: to be told again right before a call.
    pub fn measure(&self, now: Instant) {
        let now = clock::millis32_at(now);
        for (endpoint, written) in self.set.endpoints.iter().zip(&*self.written) {
            endpoint.stats.pretend(written.active, written.latency_us, written.error_rate, now);
        }
    }

    pub fn address(&self, index: usize) -> String {
        self.written.get(index).map(|endpoint| endpoint.address.clone()).unwrap_or_default()
    }
}

fn endpoint(written: &CaseEndpoint) -> Arc<Endpoint> {
    let config = EndpointConfig {
        name: written.address.clone(),
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        weight: written.weight,
        labels: written.labels.clone(),
        draining: written.state == EndpointState::Draining,
        tier: 0,
    };
    let endpoint = Arc::new(Endpoint::new(config, Arc::default()));
    if written.cpu.is_some() || written.memory.is_some() {
        // Half of the last digit more: what is asked for is cut off.
        let share = |share: Option<u32>| share.map(|share| (f64::from(share) + 0.5) / 10_000.0);
        endpoint.stats.report_load(share(written.cpu), share(written.memory));
    }
    endpoint
}

pub fn choice(step: &Step) -> Choice {
    let mut choice = Choice::default();
    for address in &step.tried {
        choice.mark_tried(stable_hash(address.as_bytes()));
    }
    if let Some(candidates) = &step.candidates {
        let is_candidate =
            |(position, endpoint): (u32, &CaseEndpoint)| candidates.contains(&endpoint.address).then_some(position);
        let positions: Vec<u32> = (0..).zip(&*step.endpoints).filter_map(is_candidate).collect();
        choice.narrow(&positions, step.endpoints.len());
    }
    choice
}

/// As the proxy hands it to its first plugin: origin form, one `Host`.
pub fn exchange(given: &RequestGiven) -> Box<Exchange> {
    let sni = given.sni.as_deref().map(Into::into);
    let client = Arc::new(Client::new(given.client, given.protocol, given.tls, sni));
    let request = given.head.as_ref().map(|head| {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = head.method.clone();
        parts.uri = Uri::from(head.path.clone());
        parts.version = if given.protocol == Protocol::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        parts.headers.insert(header::HOST, head.host.clone());
        fill(&mut parts.headers, &head.headers);
        parts
    });
    let mut exchange = Exchange::new(client, request);
    for (key, note) in given.head.iter().flat_map(|head| &head.notes) {
        exchange.set_note(key.clone(), note.clone());
    }
    exchange
}

pub fn response(given: &ResponseGiven) -> http::response::Parts {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = given.status;
    fill(&mut parts.headers, &given.headers);
    parts
}

fn fill(headers: &mut http::HeaderMap, lines: &[(HeaderName, HeaderValue)]) {
    for (name, value) in lines {
        // More than the map takes the proxy would not have taken either.
        let _ = headers.try_append(name, value.clone());
    }
}
