//! A connection to an endpoint that speaks HTTP/1.1 (RFC 9112). Whoever has a request on it drives
//! it: no task and no channel of its own, so that a request costs one read and one write and
//! nothing waits for a scheduler. One request at a time; what it cannot be sure of ends it.

mod decode;
mod download;
mod head;
mod transfer;
mod upload;

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::stream::Stream;
pub use download::Download;
pub use head::{Head, Outgoing};
pub use transfer::Transfer;
use upload::Upload;

pub struct Connection {
    stream: Stream,
    /// What came and has not been used.
    input: BytesMut,
    /// What must be written before anything else.
    output: BytesMut,
    /// How much is read at once: more while there is more.
    room: usize,
}

/// Why a response, or the rest of one, does not come.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("connection closed before the response was complete")]
    Closed,
    #[error("malformed response: {0}")]
    Malformed(&'static str),
    #[error("the response's head is longer than {} KiB", Connection::MAX_HEAD >> 10)]
    HeadTooLong,
    /// Not the endpoint's fault.
    #[error("the request's body broke off: {0}")]
    RequestBody(hyper::Error),
    #[error("the request's body is not as long as was said")]
    RequestLength,
}

impl Connection {
    const MAX_HEAD: usize = 64 << 10;
    const LEAST_ROOM: usize = 8 << 10;
    /// The larger, the fewer system calls for a large body, and the more memory for a slow client.
    const MOST_ROOM: usize = 128 << 10;

    pub fn new(stream: Stream) -> Box<Self> {
        Box::new(Self { stream, input: BytesMut::new(), output: BytesMut::new(), room: Self::LEAST_ROOM })
    }

    /// Between two requests nothing may come: what does, an end or a byte, ends the connection.
    /// Asks the system only when it has said that there is something.
    pub fn is_idle(&mut self) -> bool {
        let mut byte = [0];
        let mut read = tokio::io::ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        let polled = tokio::io::AsyncRead::poll_read(Pin::new(&mut self.stream), &mut context, &mut read);
        polled.is_pending() && self.input.is_empty() && self.output.is_empty()
    }

    /// Idle connections keep no large buffers.
    pub(super) fn rest(&mut self) {
        if self.room > Self::LEAST_ROOM {
            self.room = Self::LEAST_ROOM;
            self.input = BytesMut::new();
        }
        if self.output.capacity() > Self::LEAST_ROOM {
            self.output = BytesMut::new();
        }
    }

    /// What is left when the endpoint has switched protocols: the bytes that came already, and the
    /// stream.
    fn into_parts(self) -> (Bytes, Stream) {
        (self.input.freeze(), self.stream)
    }

    /// Reads more into `input`; 0 is the end.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < Self::LEAST_ROOM / 8 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context))?;
        if read == room {
            self.room = (self.room * 4).min(Self::MOST_ROOM);
        }
        Poll::Ready(Ok(read))
    }

    /// Writes all that there is: `output`, and what the upload has.
    fn poll_drain(&mut self, context: &mut Context<'_>, upload: &mut Upload) -> Poll<io::Result<()>> {
        let mut all = (&mut self.output).chain(&mut upload.data).chain(&mut upload.tail);
        while all.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = all.chunks_vectored(&mut slices);
            let stream = Pin::new(&mut self.stream);
            let written = ready!(match &slices[..count] {
                [slice] => stream.poll_write(context, slice),
                slices => stream.poll_write_vectored(context, slices),
            })?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            all.advance(written);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }
}
