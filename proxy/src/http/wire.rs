//! What a connection's transport and the requests on it tell each other.
//!
//! ```text
//!          first byte                head complete                 last byte of the response
//!  (open) ─────────▶ HEAD ──────────────────────────▶ ACTIVE ──────────────────────────────▶ IDLE
//!                     ▲                                  │ 101                                  │
//!                     │                                  ▼                                      │
//!                     │                               TUNNEL                                    │
//!                     └──────────────── the next request's first byte ◀─────────────────────────┘
//! ```
//!
//! HEAD has the header limit (408), IDLE and TUNNEL the idle limit; a route's timeout watches over
//! ACTIVE until the response begins, and then a client that takes nothing is left after the idle
//! limit. HTTP/2 is IDLE from the start and never HEAD: its bytes need not begin a request.
//!
//! All of this lives on one worker and is never contended; atomics and locks are there because
//! hyper wants what it carries to be `Send` and `Sync`.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::head::Head;
use crate::{clock, config};

/// One for each connection.
pub struct Wire {
    pub(super) phase: AtomicU8,
    /// The clock's milliseconds; only with a phase that has a limit.
    pub(super) deadline: AtomicU32,
    pub(super) in_flight: AtomicU32,
    pub(super) http2: AtomicBool,
    pub(super) expired: AtomicBool,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_head: usize,
    pub(super) head: Mutex<Head>,
    pub(super) has_interim: AtomicBool,
    pub(super) interim: Mutex<Interim>,
}

#[derive(Default)]
pub(super) struct Interim {
    pub bytes: BytesMut,
    /// The final response is there: what cannot be written before it is not written at all.
    pub sealed: bool,
}

/// A request's head is being read; a request is under way; nothing is going on.
pub(super) const HEAD: u8 = 0;
pub(super) const ACTIVE: u8 = 1;
pub(super) const IDLE: u8 = 2;
/// The connection speaks another protocol now.
pub(super) const TUNNEL: u8 = 3;
/// What may stand before the target.
const MAX_METHOD: usize = 64;

impl Wire {
    pub fn new(config: &config::HttpListener) -> Arc<Self> {
        let wire = Self {
            phase: AtomicU8::new(HEAD),
            deadline: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            header_timeout: config.header_timeout,
            idle_timeout: config.idle_timeout,
            max_head: config.max_header_bytes,
            head: Mutex::default(),
            has_interim: AtomicBool::new(false),
            interim: Mutex::default(),
        };
        wire.enter(HEAD, config.header_timeout);
        Arc::new(wire)
    }

    /// The head of a request is complete.
    pub fn begin_request(&self) {
        self.count(1);
        let before = self.phase.load(Relaxed);
        self.phase.store(ACTIVE, Relaxed);
        if before == IDLE {
            // It came together with the one before; what is kept is that one's head.
            self.lock_head().clear();
        }
    }

    /// A tunnel begins: the idle limit holds, counted from the last byte either way.
    pub fn begin_tunnel(&self) {
        self.count(1);
        self.enter(TUNNEL, self.idle_timeout);
    }

    pub(super) fn moved(&self) {
        if self.phase.load(Relaxed) == TUNNEL {
            self.enter(TUNNEL, self.idle_timeout);
        }
    }

    /// The longest target of a request.
    pub fn max_target(&self) -> usize {
        const LEAST: usize = 8 << 10;
        (self.max_head / 2).max(LEAST)
    }

    /// Whether the head of the request at hand has a header of this name. No, when it came
    /// together with an earlier request: then nobody kept it.
    pub fn head_names(&self, name: &str) -> bool {
        self.lock_head().names(name)
    }

    pub(super) fn lock_head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These bytes belong to a head; false when its target is too long.
    pub(super) fn observe(&self, bytes: &[u8]) -> bool {
        let mut head = self.lock_head();
        if self.phase.load(Relaxed) == IDLE {
            head.clear();
        }
        head.push(bytes, self.max_head.max(self.max_target() + 1));
        !head.has_longer_target_than(self.max_target() + MAX_METHOD)
    }

    pub(super) fn reads_head(&self) -> bool {
        matches!(self.phase.load(Relaxed), HEAD | IDLE) && !self.http2.load(Relaxed)
    }

    /// The last byte of its response is written, or it was given up.
    pub fn end_request(&self, now: Instant) {
        if self.count(-1) == 0 {
            self.enter_at(clock::millis32_at(now), IDLE, self.idle_timeout);
        }
    }

    /// Nobody else counts at the same time, so it needs no locked instruction.
    fn count(&self, by: i32) -> u32 {
        let count = self.in_flight.load(Relaxed).wrapping_add_signed(by);
        self.in_flight.store(count, Relaxed);
        count
    }

    /// A request is under way.
    pub fn is_busy(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    /// The head of a request has begun to come.
    pub fn has_begun(&self) -> bool {
        self.phase.load(Relaxed) == HEAD && !self.lock_head().is_empty()
    }

    /// An idle HTTP/2 connection should say goodbye.
    pub fn is_expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    pub(super) fn enter(&self, phase: u8, limit: Duration) {
        self.enter_at(clock::millis32(), phase, limit);
    }

    fn enter_at(&self, now: u32, phase: u8, limit: Duration) {
        let limit = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX / 4).min(u32::MAX / 4);
        self.deadline.store(now.wrapping_add(limit), Relaxed);
        self.phase.store(phase, Relaxed);
    }

    /// When the phase's time is up, on the clock's milliseconds; none without a limit.
    pub(super) fn due(&self) -> Option<u32> {
        (self.phase.load(Relaxed) != ACTIVE).then(|| self.deadline.load(Relaxed))
    }

    /// An interim response (RFC 9110, section 15.2) for an HTTP/1.1 client. Passed on before
    /// anything of the final one.
    pub fn send_interim(&self, bytes: &[u8]) {
        const MAX_BYTES: usize = 64 << 10;
        let mut interim = self.interim.lock().unwrap_or_else(PoisonError::into_inner);
        if interim.bytes.len() + bytes.len() > MAX_BYTES {
            return;
        }
        interim.sealed = false;
        interim.bytes.extend_from_slice(bytes);
        self.has_interim.store(true, Relaxed);
    }

    pub fn seal_interim(&self) {
        if self.has_interim.load(Relaxed) {
            self.interim.lock().unwrap_or_else(PoisonError::into_inner).sealed = true;
        }
    }
}
