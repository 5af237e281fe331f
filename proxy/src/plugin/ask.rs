//! A request of a plugin's own: noted during a call, sent by whoever made the call, counted until its
//! reply was handed over. Knows no connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::Body;

use super::bindings::exports::jackfield::plugin::replies;
use super::host::random64;
use super::usage::Shared;
use crate::config::UpstreamIndex;
use crate::http::headers::strip_hop_by_hop;

/// Of a request, and of a reply.
pub(super) const MOST_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub struct Ask {
    pub upstream: UpstreamIndex,
    pub request: http::request::Parts,
    pub body: Bytes,
    /// Until the whole reply must be there.
    pub timeout: Duration,
    pub pending: Pending,
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn new(mut head: http::response::Parts, body: Bytes) -> Self {
        strip_hop_by_hop(&mut head.headers);
        Self { status: head.status, headers: head.headers, body }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    #[error("no whole reply in time")]
    Timeout,
    #[error("no endpoint answered")]
    Unreachable,
    #[error("the reply is larger than 1 MiB, or than what the plugin may hold")]
    TooLarge,
}

/// What came of an [`Ask`].
pub struct Replied {
    pub(super) pending: Pending,
    pub(super) reply: Result<Reply, NoReply>,
}

/// An ask counts as outstanding while this lives.
#[derive(Debug)]
pub struct Pending {
    pub(super) ticket: u32,
    shared: Arc<Shared>,
    held: usize,
    end: End,
}

/// How an ask ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Replied,
    Timeout,
    Unreachable,
    TooLarge,
    /// Nobody wants the reply any more.
    Dropped,
}

/// RFC 8586. A plugin's request names this process there, and plugins cannot touch it: where such a
/// request comes back as a client's, nothing more can be asked for, or one would lead to the next
/// without end.
pub(super) static CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Nobody outside can guess it.
pub(super) fn own_mark() -> &'static HeaderValue {
    static MARK: OnceLock<HeaderValue> = OnceLock::new();
    let mark = || HeaderValue::try_from(format!("jackfield-{:016x}", random64()));
    MARK.get_or_init(|| mark().unwrap_or_else(|_| HeaderValue::from_static("jackfield")))
}

/// Whether a request comes, by whatever way, of a plugin of this process.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let mark = own_mark().as_bytes();
    headers.get_all(&CDN_LOOP).iter().any(|value| value.as_bytes().windows(mark.len()).any(|part| part == mark))
}

/// What a head takes of memory, about: lines have an overhead.
pub(super) fn size_of_head(headers: &HeaderMap) -> usize {
    512 + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum::<usize>()
}

impl Pending {
    pub(super) fn new(ticket: u32, shared: &Arc<Shared>) -> Self {
        shared.asks.active.fetch_add(1, Relaxed);
        Self { ticket, shared: Arc::clone(shared), held: 0, end: End::Dropped }
    }

    /// Counts bytes that are kept for the plugin; false when it has too many of them already.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        let before = self.shared.asks.held.fetch_add(bytes, Relaxed);
        self.held += bytes;
        before + bytes <= Asks::MOST_HELD
    }

    /// Before the body of a reply with this head is read.
    pub fn hold_head(&mut self, headers: &HeaderMap) -> Result<(), NoReply> {
        if self.hold(size_of_head(headers)) { Ok(()) } else { Err(NoReply::TooLarge) }
    }

    /// The whole body of a reply.
    pub async fn collect(&mut self, mut body: impl Body<Data = Bytes> + Unpin) -> Result<Bytes, NoReply> {
        if body.size_hint().lower() > MOST_BYTES as u64 {
            return Err(NoReply::TooLarge);
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let Ok(data) = frame.map_err(|_| NoReply::Unreachable)?.into_data() else { continue };
            if whole.len() + data.len() > MOST_BYTES || !self.hold(data.len()) {
                return Err(NoReply::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }

    pub fn end(mut self, reply: Result<Reply, NoReply>) -> Replied {
        self.end = match &reply {
            Ok(_) => End::Replied,
            Err(NoReply::Timeout) => End::Timeout,
            Err(NoReply::Unreachable) => End::Unreachable,
            Err(NoReply::TooLarge) => End::TooLarge,
        };
        Replied { pending: self, reply }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let asks = &self.shared.asks;
        asks.active.fetch_sub(1, Relaxed);
        asks.held.fetch_sub(self.held, Relaxed);
        asks.ends[self.end as usize].fetch_add(1, Relaxed);
    }
}

/// The asks of one use of a plugin, all workers together.
#[derive(Debug, Default)]
pub struct Asks {
    active: AtomicU64,
    /// Bytes of requests and replies.
    held: AtomicUsize,
    ends: [AtomicU64; 5],
}

impl Asks {
    /// A plugin that asks for each of ten thousand clients must not eat the machine.
    const MOST_HELD: usize = 64 << 20;
    /// In the order of [`End`].
    const ENDS: [&str; 5] = ["replied", "timeout", "unreachable", "too-large", "dropped"];

    pub fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    /// How many ended in which way.
    pub fn ends(&self) -> [(&'static str, u64); 5] {
        std::array::from_fn(|end| (Self::ENDS[end], self.ends[end].load(Relaxed)))
    }
}

/// What may be sent in one call, and what was.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub next_ticket: u32,
    /// How many more; none: this call may send nothing.
    pub left: Option<usize>,
    pub asks: Vec<Ask>,
}

impl Outbox {
    /// For one request of a client in each phase, or for one tick.
    pub const MOST: usize = 8;
}

impl From<Reply> for replies::Reply {
    /// Values that are no text are left out: the contract has text here.
    fn from(reply: Reply) -> Self {
        let text = |value: &http::HeaderValue| std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned);
        let line = |(name, value)| Some((http::HeaderName::to_string(name), text(value)?));
        Self {
            status: reply.status.as_u16(),
            headers: reply.headers.iter().filter_map(line).collect(),
            body: reply.body.to_vec(),
        }
    }
}

impl From<NoReply> for replies::NoReply {
    fn from(reason: NoReply) -> Self {
        match reason {
            NoReply::Timeout => Self::Timeout,
            NoReply::Unreachable => Self::Unreachable,
            NoReply::TooLarge => Self::TooLarge,
        }
    }
}
