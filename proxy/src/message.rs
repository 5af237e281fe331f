//! Messages of HTTP/1.1 (RFC 9112) as they stand on the line, in either direction: heads, bodies,
//! and the connection that they pass over. Knows no client, no endpoint and no clock.

mod decode;
mod encode;
mod head;
mod incoming;
mod link;
mod stream;

use std::io;

pub use decode::{Decoded, Decoder};
pub use encode::{Lend, SendError, Sending};
pub use head::{Framing, Lasting, MAX_HEADERS, find_end, header_map, is_chunked, length_of, put_line, reason};
pub use incoming::{Incoming, Reader};
pub use link::Link;
pub use stream::Stream;

/// Why a message, or the rest of one, does not come.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("connection closed before the message was complete")]
    Closed,
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    #[error("the head is too long")]
    HeadTooLong,
}
