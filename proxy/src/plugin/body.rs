//! Bodies, as filters want them and what they say of a piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use super::bindings::exports::jackfield::plugin::body_filtering::{self, Wishes};
use super::host::Phase;
use super::usage::{Shared, Usage};

/// How a filter wants the bodies of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    #[default]
    Never,
    /// In pieces, as they pass.
    Chunks,
    /// All at once, before the head goes on.
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

/// What becomes of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Replace(Bytes),
    /// Nothing more of this body.
    Abort,
    /// The plugin failed; its policy is `open`: this piece passes, and the rest without it.
    Open,
    /// The plugin failed; its policy is `closed`.
    Failed,
}

/// Bytes of bodies that are held for one use until they are whole, all workers together.
#[derive(Debug, Default)]
pub(super) struct HeldBytes(AtomicUsize);

impl HeldBytes {
    /// Slow clients, each with a body that is nearly whole, must not eat the machine.
    const MOST: usize = 256 << 20;
}

/// What one body has of them.
pub struct Holding {
    shared: Arc<Shared>,
    bytes: usize,
    most: usize,
}

impl Holding {
    pub fn of(usage: &Usage) -> Self {
        Self { shared: Arc::clone(&usage.shared), bytes: 0, most: HeldBytes::MOST.max(usage.config.limits.body) }
    }

    /// False when too much is held for this use.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.shared.held_bodies.0.fetch_add(bytes, Relaxed) + bytes <= self.most
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.shared.held_bodies.0.fetch_sub(self.bytes, Relaxed);
    }
}

/// What a use wants of either side.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deliveries {
    request: Delivery,
    response: Delivery,
}

impl Deliveries {
    pub fn of(self, side: Side) -> Delivery {
        match side {
            Side::Request => self.request,
            Side::Response => self.response,
        }
    }
}

impl From<Wishes> for Deliveries {
    fn from(wishes: Wishes) -> Self {
        Self { request: wishes.request.into(), response: wishes.response.into() }
    }
}

impl From<body_filtering::Delivery> for Delivery {
    fn from(wish: body_filtering::Delivery) -> Self {
        match wish {
            body_filtering::Delivery::Never => Self::Never,
            body_filtering::Delivery::Chunks => Self::Chunks,
            body_filtering::Delivery::Whole => Self::Whole,
        }
    }
}

impl From<body_filtering::Verdict> for Verdict {
    fn from(said: body_filtering::Verdict) -> Self {
        match said {
            body_filtering::Verdict::Pass => Self::Pass,
            body_filtering::Verdict::Replace(bytes) => Self::Replace(bytes.into()),
            body_filtering::Verdict::Abort => Self::Abort,
        }
    }
}

/// What a plugin may do while it looks at a body.
pub(super) fn phase(side: Side, delivery: Delivery) -> Phase {
    match (side, delivery) {
        (Side::Request, Delivery::Whole) => Phase::WholeRequest,
        (Side::Response, Delivery::Whole) => Phase::WholeResponse,
        _ => Phase::Chunk,
    }
}
