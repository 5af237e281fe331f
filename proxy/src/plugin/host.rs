//! What a plugin's calls reach: the state behind its store, and the host functions of each
//! interface of the contract.

mod endpoints;
mod request;
mod request_edit;
mod response;
mod small;

use std::cell::Cell;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use wasmtime::ResourceLimiter;

use super::balancer::Balancer;
use super::bindings::jackfield::plugin::edits::EditError;
use super::choice::Choice;
use super::exchange::{Client, Exchange, Protocol};
use super::usage::Usage;
use crate::endpoint::EndpointSet;

/// The data of an instance's store.
pub struct Host {
    /// There while a request, connection or session is being decided.
    pub(super) exchange: Option<Box<Exchange>>,
    /// The set that the instance was last updated with.
    pub(super) set: Option<Arc<EndpointSet>>,
    pub(super) choice: Choice,
    pub(super) delegate: Option<Box<Balancer>>,
    pub(super) memory: MemoryLimit,
    usage: Arc<Usage>,
}

impl Host {
    pub(super) fn new(usage: &Arc<Usage>) -> Self {
        Self {
            exchange: None,
            set: None,
            choice: Choice::default(),
            delegate: None,
            memory: MemoryLimit::new(usage.config.limits.memory),
            usage: Arc::clone(usage),
        }
    }

    /// Of the endpoints that the instance knows.
    pub(super) fn generation(&self) -> Option<u64> {
        self.set.as_ref().map(|set| set.generation)
    }

    /// Ends a call. The exchange is there whenever a call began with one; without one (which would
    /// be a mistake of ours) the request goes on with an empty exchange rather than with a panic.
    pub(super) fn take_exchange(&mut self) -> Box<Exchange> {
        self.exchange.take().unwrap_or_else(|| {
            tracing::error!("an exchange was lost in a plugin call");
            let nobody = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
            Exchange::new(Arc::new(Client::new(nobody, Protocol::Tcp, false, None)), None)
        })
    }

    fn request(&self) -> Option<&http::request::Parts> {
        self.exchange.as_ref()?.request.as_ref()
    }

    fn request_mut(&mut self) -> Result<&mut http::request::Parts, EditError> {
        self.exchange.as_mut().and_then(|exchange| exchange.request.as_mut()).ok_or(EditError::Forbidden)
    }
}

/// Linear memory and tables of one instance.
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    reached: bool,
}

impl MemoryLimit {
    /// JavaScript and Go have tables of some thousand functions.
    const TABLE_ELEMENTS: usize = 100_000;

    fn new(limit: usize) -> Self {
        Self { limit, used: 0, reached: false }
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

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= Self::TABLE_ELEMENTS)
    }
}

/// A header that a plugin may set: well-formed, and neither framing nor connection (RFC 9110,
/// section 7.6.1), which belong to the proxy.
fn header_name(name: &str) -> Result<HeaderName, EditError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EditError::Malformed)?;
    if crate::http::headers::belongs_to_the_proxy(&name) || name == http::header::HOST {
        return Err(EditError::Forbidden);
    }
    Ok(name)
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
