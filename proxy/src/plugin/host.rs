//! What a plugin's calls reach: the state behind its store, and the host functions of each
//! interface of the contract.

mod endpoints;
pub(super) mod hot;
mod metrics;
mod outgoing;
mod prepared;
pub(super) mod preview1;
mod request;
mod request_edit;
mod response;
mod small;
mod state;
pub(super) mod wasi;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use prepared::Prepared;
use wasmtime::ResourceLimiter;

use super::ask::CDN_LOOP;
use super::ask::{Ask, Outbox};
use super::balancer::Balancer;
use super::bindings::jackfield::plugin::edits::EditError;
use super::choice::Choice;
use super::deadline::Deadline;
use super::exchange::{Client, Exchange, Protocol};
use super::usage::Usage;
use crate::clock;
use crate::endpoint::EndpointSet;

/// The data of an instance's store.
pub struct Host {
    /// There while a request, connection or session is being decided.
    exchange: Option<Box<Exchange>>,
    phase: Phase,
    pub(super) deadline: Deadline,
    /// When the call began: the clock that the plugin sees stands still while it decides.
    began: Instant,
    unix_ms: Option<u64>,
    /// The set that the instance was last updated with.
    pub(super) set: Option<Arc<EndpointSet>>,
    pub(super) choice: Choice,
    pub(super) delegate: Option<Box<Balancer>>,
    pub(super) memory: MemoryLimit,
    /// Of the timer.
    pub(super) outbox: Outbox,
    prepared: Prepared,
    pub(super) stdio: wasi::Stdio,
    usage: Arc<Usage>,
}

/// What the instance was called for: the functions of the other phases are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Start, settings, endpoints: there is no request.
    Prepare,
    Pick,
    Request,
    Response,
    /// Of the timer: there is no request either.
    Tick,
    /// The head is there, and all of its body.
    WholeRequest,
    WholeResponse,
    /// A piece of a body, whose head has gone on.
    Chunk,
}

impl Phase {
    /// The phase whose edits it has: with a body the head can be edited as without.
    fn of_head(self) -> Self {
        match self {
            Self::WholeRequest => Self::Request,
            Self::WholeResponse => Self::Response,
            other => other,
        }
    }
}

impl Host {
    pub(super) fn new(usage: &Arc<Usage>) -> Self {
        Self {
            exchange: None,
            phase: Phase::Prepare,
            deadline: Deadline::default(),
            began: Instant::now(),
            unix_ms: None,
            set: None,
            choice: Choice::default(),
            delegate: None,
            memory: MemoryLimit::new(usage.config.limits.memory),
            outbox: Outbox::default(),
            prepared: Prepared::default(),
            stdio: wasi::Stdio::default(),
            usage: Arc::clone(usage),
        }
    }

    /// Of the endpoints that the instance knows.
    pub(super) fn generation(&self) -> Option<u64> {
        self.set.as_ref().map(|set| set.generation)
    }

    /// Begins a call.
    pub(super) fn give_exchange(&mut self, exchange: Box<Exchange>, phase: Phase) {
        self.exchange = Some(exchange);
        self.phase = phase;
    }

    /// Begins a call of the timer's instance.
    pub(super) fn begin_tick(&mut self) {
        self.phase = Phase::Tick;
        self.set_clock(Instant::now());
    }

    pub(super) fn end_tick(&mut self) -> Vec<Ask> {
        self.phase = Phase::Prepare;
        std::mem::take(&mut self.outbox.asks)
    }

    pub(super) fn set_clock(&mut self, now: Instant) {
        self.began = now;
        self.unix_ms = None;
    }

    fn now(&self) -> Duration {
        clock::since_start(self.began)
    }

    fn now_ms(&self) -> u32 {
        clock::millis32_of(self.now())
    }

    /// Ends a call. The exchange is there whenever a call began with one; without one (which would
    /// be a mistake of ours) the request goes on with an empty exchange rather than with a panic.
    pub(super) fn take_exchange(&mut self) -> Box<Exchange> {
        self.phase = Phase::Prepare;
        self.exchange.take().unwrap_or_else(|| {
            tracing::error!("an exchange was lost in a plugin call");
            let nobody = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
            Exchange::new(Arc::new(Client::new(nobody, Protocol::Tcp, false, None)), None)
        })
    }

    fn request(&self) -> Option<&http::request::Parts> {
        self.exchange.as_ref()?.request.as_ref()
    }

    /// The exchange, while it is what the plugin was called for.
    fn during(&mut self, phase: Phase) -> Result<&mut Exchange, EditError> {
        if self.phase.of_head() != phase {
            return Err(EditError::Forbidden);
        }
        self.exchange.as_deref_mut().ok_or(EditError::Forbidden)
    }

    /// To write so many bytes into it.
    fn request_mut(&mut self, bytes: usize) -> Result<&mut http::request::Parts, EditError> {
        let exchange = self.during(Phase::Request)?;
        spend(exchange, bytes)?;
        exchange.request.as_mut().ok_or(EditError::Forbidden)
    }
}

fn spend(exchange: &mut Exchange, bytes: usize) -> Result<(), EditError> {
    exchange.spend(bytes).then_some(()).ok_or(EditError::TooMany)
}

/// Linear memory and tables of one instance: all that it has, added up.
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    table_elements: usize,
    reached: bool,
}

impl MemoryLimit {
    /// JavaScript and Go have tables of some thousand functions.
    const TABLE_ELEMENTS: usize = 100_000;

    fn new(limit: usize) -> Self {
        Self { limit, used: 0, table_elements: 0, reached: false }
    }

    /// Linear memory, in bytes.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// The limit, once it stood in the way.
    pub(super) fn reached(&self) -> Option<usize> {
        self.reached.then_some(self.limit)
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let fits = used <= self.limit;
        if fits {
            self.used = used;
        } else {
            self.reached = true;
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        let fits = elements <= Self::TABLE_ELEMENTS;
        if fits {
            self.table_elements = elements;
        }
        Ok(fits)
    }

    /// A component is made of core instances; toolchains need about four.
    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    /// Each reserves 4 GiB of address space.
    fn memories(&self) -> usize {
        8
    }
}

/// A header that a plugin may set: well-formed, and neither framing nor connection (RFC 9110,
/// section 7.6.1), which belong to the proxy.
fn header_name(name: &str) -> Result<HeaderName, EditError> {
    if let Some(known) = well_known(name) {
        return Ok(known.clone());
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EditError::Malformed)?;
    if crate::http::headers::belongs_to_the_proxy(&name) || name == http::header::HOST || name == CDN_LOOP {
        return Err(EditError::Forbidden);
    }
    Ok(name)
}

/// What `http` has no constant for and filters set on every request: a name that is parsed is a
/// name that is allocated.
fn well_known(name: &str) -> Option<&'static HeaderName> {
    static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
    static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    match name {
        "x-forwarded-for" => Some(&FOR),
        "x-forwarded-proto" => Some(&PROTO),
        "x-forwarded-host" => Some(&HOST),
        "x-real-ip" => Some(&REAL_IP),
        "x-request-id" => Some(&REQUEST_ID),
        _ => None,
    }
}

fn header_value(value: impl Into<bytes::Bytes>) -> Result<HeaderValue, EditError> {
    HeaderValue::from_maybe_shared(value.into()).map_err(|_| EditError::Malformed)
}

/// Bytes that are text, as text.
fn text(value: &HeaderValue) -> Option<String> {
    std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
}

/// Not for secrets: `SplitMix64` from a seed that differs by thread and process.
pub(crate) fn random64() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
