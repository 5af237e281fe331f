//! Requests to endpoints that speak HTTP/1.1. Whoever has a request drives its connection: no task
//! and no channel of its own, so that a request costs one read and one write and nothing waits for
//! a scheduler. One request at a time; what it cannot be sure of ends a connection.

mod download;
mod head;
mod transfer;

use crate::body::BodyError;
use crate::message;

pub use download::Download;
pub use head::{Head, Outgoing};
pub use transfer::Transfer;

/// Why a response, or the rest of one, does not come.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Response(#[from] message::Error),
    /// Not the endpoint's fault.
    #[error("the request's body broke off: {0}")]
    RequestBody(BodyError),
    #[error("the request's body is not as long as was said")]
    RequestLength,
}
