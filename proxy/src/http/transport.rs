//! The client's connection beneath hyper: tells HTTP/1.1 from HTTP/2, keeps the time limits of a
//! connection with one lazy timer, answers 408, and lets interim responses (1xx) out.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::wire::{HEAD, IDLE, TUNNEL, Wire};
use crate::clock;
use crate::tls::ServerStream;

/// RFC 9113, section 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const URI_TOO_LONG: &[u8] =
    b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 17\r\n\r\n414 URI Too Long\n";
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 20\r\n\r\n408 Request Timeout\n";

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl Stream for TcpStream {}
impl Stream for ServerStream {}

pub struct Transport<T> {
    stream: TokioIo<T>,
    /// What was read to tell the protocol.
    prefix: Bytes,
    wire: Arc<Wire>,
    timer: Option<Timer>,
    /// A head has begun whose limit is not set yet: most come in one piece and need none.
    head_has_no_limit: bool,
    /// Since when the socket has taken nothing of what there is to write.
    stalled: Option<tokio::time::Instant>,
    stall_timer: Option<Pin<Box<Sleep>>>,
    /// The last write took all that was offered: no half a response is on its way.
    at_boundary: bool,
}

/// Fires at `due` of the clock's milliseconds.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    due: u32,
}

impl Timer {
    /// So much that it matters: a timer is moved only for a limit that is shorter than the last.
    fn is_later_than(&self, due: u32) -> bool {
        const SLACK_MS: i32 = 500;
        self.due.wrapping_sub(due).cast_signed() > SLACK_MS
    }
}

impl<T: Stream> Transport<T> {
    pub fn new(stream: T, wire: Arc<Wire>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            prefix: Bytes::new(),
            wire,
            timer: None,
            head_has_no_limit: false,
            stalled: None,
            stall_timer: None,
            at_boundary: true,
        }
    }

    /// Reads until the first bytes tell HTTP/2 with prior knowledge (RFC 9113, section 3.3) from
    /// HTTP/1.1.
    pub async fn detect_http2(&mut self) -> io::Result<bool> {
        let mut seen = BytesMut::with_capacity(1024);
        let limit = self.wire.header_timeout;
        let read = async {
            while seen.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(&seen) {
                if self.stream.inner_mut().read_buf(&mut seen).await? == 0 {
                    break;
                }
            }
            Ok(())
        };
        let result = tokio::time::timeout(limit, read).await;
        self.prefix = seen.freeze();
        match result {
            Ok(result) => result.map(|()| self.prefix.starts_with(HTTP2_PREFACE)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// In HTTP/2 bytes need not be the beginning of a request (pings, window updates): only the
    /// idle limit holds, and they do not move it.
    pub fn mark_http2(&self) {
        self.wire.http2.store(true, Relaxed);
        self.wire.enter(IDLE, self.wire.idle_timeout);
    }

    /// A request whose head does not come gets an answer.
    pub fn refuse_slow(&mut self, context: &mut Context<'_>) {
        self.refuse(context, REQUEST_TIMEOUT);
    }

    /// If the socket takes it at once.
    fn refuse(&mut self, context: &mut Context<'_>, answer: &[u8]) {
        if !self.wire.http2.load(Relaxed) && self.at_boundary {
            let _ = Pin::new(&mut self.stream).poll_write(context, answer);
            let _ = Pin::new(&mut self.stream).poll_flush(context);
        }
    }

    /// Ready when the phase's time is up. The timer is not moved for each request, nor the clock
    /// read: it is when the timer fires that it looks at the deadline, and sleeps on when that has
    /// moved.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.head_has_no_limit && self.wire.phase.load(Relaxed) == HEAD {
            self.head_has_no_limit = false;
            self.wire.enter(HEAD, self.wire.header_timeout);
        }
        // A request under way has limits of its own; the timer only has to be there afterwards.
        let Some(due) = self.wire.due() else { return Poll::Pending };
        loop {
            if let Some(timer) = &mut self.timer
                && !timer.is_later_than(due)
            {
                ready!(timer.sleep.as_mut().poll(context));
            }
            let left = due.wrapping_sub(clock::millis32()).cast_signed();
            if left <= 0 {
                return Poll::Ready(());
            }
            let until = tokio::time::Instant::now() + Duration::from_millis(u64::from(left.cast_unsigned()));
            match &mut self.timer {
                Some(timer) => {
                    timer.sleep.as_mut().reset(until);
                    timer.due = due;
                }
                None => self.timer = Some(Timer { sleep: Box::pin(tokio::time::sleep_until(until)), due }),
            }
        }
    }

    fn time_is_up(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let head = self.wire.phase.load(Relaxed) == HEAD;
        if head {
            self.refuse_slow(context);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request's head took too long")));
        }
        if self.wire.http2.load(Relaxed) {
            // The driver of the connection says goodbye (GOAWAY) when it sees this.
            self.wire.expired.store(true, Relaxed);
            return Poll::Pending;
        }
        if self.wire.phase.load(Relaxed) == TUNNEL {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing passed for too long")));
        }
        // End of stream: an idle HTTP/1.1 connection closes without a word.
        Poll::Ready(Ok(()))
    }

    /// What may be the head of a request passes through our hands.
    fn poll_read_head(&mut self, context: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        thread_local! {
            static BYTES: RefCell<[u8; 16 << 10]> = const { RefCell::new([0; 16 << 10]) };
        }
        BYTES.with_borrow_mut(|bytes| {
            let room = buffer.remaining().min(bytes.len());
            let mut read = ReadBuf::new(&mut bytes[..room]);
            match Pin::new(self.stream.inner_mut()).poll_read(context, &mut read) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    ready!(self.poll_deadline(context));
                    return self.time_is_up(context);
                }
            }
            if !self.wire.observe(read.filled()) {
                self.refuse(context, URI_TOO_LONG);
                return Poll::Ready(Err(io::Error::other("the request's target is too long")));
            }
            if self.wire.phase.load(Relaxed) == IDLE {
                self.wire.phase.store(HEAD, Relaxed);
                self.head_has_no_limit = true;
            }
            buffer.put_slice(read.filled());
            Poll::Ready(Ok(()))
        })
    }

    /// A client that takes nothing of its response for the idle limit has gone, whatever its socket
    /// says.
    fn unless_stalled<R>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if result.is_ready() {
            self.stalled = None;
            self.wire.moved();
            return result;
        }
        let limit = self.wire.idle_timeout;
        let until = *self.stalled.get_or_insert_with(tokio::time::Instant::now) + limit;
        let timer = self.stall_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        while timer.as_mut().poll(context).is_ready() {
            if tokio::time::Instant::now() >= until {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")));
            }
            timer.as_mut().reset(until);
        }
        Poll::Pending
    }

    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.wire.has_interim.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let mut interim = self.wire.interim.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.at_boundary {
            if interim.sealed {
                interim.bytes.clear();
                self.wire.has_interim.store(false, Relaxed);
            }
            return Poll::Ready(Ok(()));
        }
        while !interim.bytes.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &interim.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            interim.bytes.advance(written);
        }
        self.wire.has_interim.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: Stream> Read for Transport<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let count = self.prefix.len().min(buffer.remaining());
            let bytes = self.prefix.split_to(count);
            buffer.put_slice(&bytes);
            if self.wire.reads_head() {
                self.wire.observe(&bytes);
            }
            return Poll::Ready(Ok(()));
        }
        if self.wire.reads_head() {
            return self.poll_read_head(context, buffer);
        }
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.wire.moved();
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(self.poll_deadline(context));
                self.time_is_up(context)
            }
        }
    }
}

impl<T: Stream> Write for Transport<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(context))?;
        self.at_boundary = false;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        let written = ready!(self.unless_stalled(context, written))?;
        self.at_boundary = written == bytes.len();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        /// hyper offers at most this many at once: with as many, more may be waiting.
        const MOST: usize = 64;
        /// Copying a small head and body together costs less than the system's work on two slices.
        const GATHERED: usize = 1024;
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        if all <= GATHERED && slices.len() > 1 {
            let mut bytes = [0; GATHERED];
            let mut end = 0;
            for slice in slices {
                bytes[end..end + slice.len()].copy_from_slice(slice);
                end += slice.len();
            }
            let written = ready!(self.as_mut().poll_write(context, &bytes[..all]))?;
            self.at_boundary &= slices.len() < MOST;
            return Poll::Ready(Ok(written));
        }
        ready!(self.poll_interim(context))?;
        self.at_boundary = false;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let written = ready!(self.unless_stalled(context, written))?;
        self.at_boundary = slices.len() < MOST && written == all;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_interim(context))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.unless_stalled(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
