//! A connection between messages and in the middle of them: what came and was not used, what is to
//! be written, and the stream. Whoever waits for a message drives it: no task of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{Framing, Stream};

pub struct Link {
    pub stream: Stream,
    /// What came and has not been used.
    pub input: BytesMut,
    /// What must be written before anything else.
    pub output: BytesMut,
    /// How much is read at once: more while there is more.
    room: usize,
    /// Bytes that the stream has taken so far.
    pub written: u64,
    /// The peer takes nothing more at the moment of what there is to write.
    pub is_blocked: bool,
}

impl Link {
    pub const LEAST_ROOM: usize = 8 << 10;
    /// The larger, the fewer system calls for a large body, and the more memory for a slow reader.
    const MOST_ROOM: usize = 128 << 10;

    pub fn new(stream: Stream) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { stream, input, output, room: Self::LEAST_ROOM, written: 0, is_blocked: false }
    }

    /// Between two messages of ours nothing may come: what does, an end or a byte, ends the
    /// connection. Asks the system only when it has said that there is something; and does not take
    /// a task that has used its share of the time for a silent peer.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        let read = poll_fn(|context| Pin::new(&mut self.stream).poll_read(context, &mut ReadBuf::new(&mut byte)));
        let polled = pin!(tokio::task::unconstrained(read)).poll(&mut context);
        polled.is_pending() && self.input.is_empty() && self.output.is_empty()
    }

    /// So much will come: it is read in as few pieces as it may be.
    pub fn expect(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.room = self.room.max(bytes.min(Self::MOST_ROOM));
    }

    /// A connection that waits keeps no buffer larger than this.
    pub fn shrink(&mut self, most: usize) {
        self.room = Self::LEAST_ROOM;
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() && buffer.capacity() > most {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Reads more into `input`; 0 is the end.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.room / 2 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context))?;
        if read == room {
            self.room = (self.room * 4).min(Self::MOST_ROOM);
        }
        Poll::Ready(Ok(read))
    }

    /// The same by way of memory that all connections of a worker share: one that waits has none
    /// of its own, and a head takes as much as it is long.
    pub fn poll_fill_small(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        thread_local! {
            static BYTES: RefCell<[u8; 16 << 10]> = const { RefCell::new([0; 16 << 10]) };
        }
        BYTES.with_borrow_mut(|bytes| {
            let mut buffer = ReadBuf::new(bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            self.input.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Writes all that there is: `output`, then `data`, then `tail`.
    pub fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        data: &mut Bytes,
        tail: &mut &'static [u8],
    ) -> Poll<io::Result<()>> {
        self.is_blocked = true;
        let mut all = (&mut self.output).chain(data).chain(tail);
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
            self.written += written as u64;
            all.advance(written);
        }
        // TLS has a buffer of its own.
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_blocked = false;
        Poll::Ready(Ok(()))
    }

    /// Where only the end of the connection tells the end of the body, a half one must not look
    /// whole: the peer is to see a reset.
    pub fn break_off(&self, framing: Framing) {
        if let (Stream::Plain(stream), Framing::UntilClose) = (&self.stream, framing) {
            let _ = stream.set_zero_linger();
        }
    }

    /// Writes `output`.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(context, &mut Bytes::new(), &mut &b""[..])
    }
}
