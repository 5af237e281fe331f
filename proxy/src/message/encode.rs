//! A message on its way out: the head that stands in a link's output, and the body.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::{Body, Frame};

use super::head::{belongs_to_framing, put_line};
use super::{Framing, Link, Reader};

pub struct Sending<B> {
    body: Option<B>,
    framing: Framing,
    trailers: bool,
    /// Written after the link's output.
    data: Bytes,
    /// Written after `data`.
    tail: &'static [u8],
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    /// All of the body is there, but not yet written.
    Ending,
    Done,
    /// The peer gets no more.
    Abandoned,
}

/// Why a message does not go out whole.
#[derive(Debug, thiserror::Error)]
pub enum SendError<E> {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the body broke off: {0}")]
    Body(E),
    #[error("the body is not as long as was said")]
    Length,
}

/// A link for the time of a system call. Bodies are never asked for more while it is lent: they may
/// come over the same one.
pub trait Lend {
    fn lend<R>(&mut self, work: impl FnOnce(&mut Link) -> R) -> R;
}

impl Lend for Link {
    fn lend<R>(&mut self, work: impl FnOnce(&mut Link) -> R) -> R {
        work(self)
    }
}

impl Lend for Rc<RefCell<Reader>> {
    fn lend<R>(&mut self, work: impl FnOnce(&mut Link) -> R) -> R {
        work(&mut self.borrow_mut().link)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Sending<B> {
    const LITTLE: usize = 1024;
    /// So much is worth a system call.
    const ENOUGH: usize = 16 << 10;

    /// `trailers`: the peer wants them. A body whose length is 0 is not asked for anything.
    pub fn new(body: B, framing: Framing, trailers: bool) -> Self {
        let state = if framing == Framing::Length(0) { State::Ending } else { State::Sending };
        Self { body: Some(body), framing, trailers, data: Bytes::new(), tail: b"", state }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub fn body(&mut self) -> Option<&mut B> {
        self.body.as_mut()
    }

    /// Drops what is left of the body: nobody will want it.
    pub fn abandon(&mut self) {
        self.state = State::Abandoned;
        self.body = None;
        self.data = Bytes::new();
    }

    /// Ready when all is written, or was abandoned.
    pub fn poll(&mut self, context: &mut Context<'_>, link: &mut impl Lend) -> Poll<Result<(), SendError<B::Error>>> {
        loop {
            match self.state {
                State::Done | State::Abandoned => return Poll::Ready(Ok(())),
                State::Ending => {
                    // Whoever waits for the end of the body hears of it before the peer does, who
                    // may act on it.
                    self.body = None;
                    ready!(self.poll_drain(context, link))?;
                    self.state = State::Done;
                }
                State::Sending => {
                    // What there is of the body at once goes together with the head.
                    if !self.data.is_empty() || link.lend(|link| link.output.len() >= Self::ENOUGH) {
                        ready!(self.poll_drain(context, link))?;
                    }
                    let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
                    match Pin::new(body).poll_frame(context) {
                        Poll::Ready(Some(Ok(frame))) => link.lend(|link| {
                            self.take(frame, &mut link.output)?;
                            self.gather(&mut link.output);
                            Ok::<_, SendError<B::Error>>(())
                        })?,
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(SendError::Body(error))),
                        Poll::Ready(None) => link.lend(|link| self.end(&mut link.output, None))?,
                        Poll::Pending => {
                            ready!(self.poll_drain(context, link))?;
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    fn poll_drain(&mut self, context: &mut Context<'_>, link: &mut impl Lend) -> Poll<io::Result<()>> {
        link.lend(|link| link.poll_drain(context, &mut self.data, &mut self.tail))
    }

    /// Copying little costs less than a system call for it, or the system's work on more slices.
    fn gather(&mut self, output: &mut BytesMut) {
        if self.data.len() + self.tail.len() <= Self::LITTLE {
            output.put_slice(&self.data);
            output.put_slice(self.tail);
            (self.data, self.tail) = (Bytes::new(), b"");
        }
    }

    fn take(&mut self, frame: Frame<Bytes>, output: &mut BytesMut) -> Result<(), SendError<B::Error>> {
        let data = match frame.into_data() {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => data,
            Err(frame) => return self.end(output, frame.trailers_ref()),
        };
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(SendError::Length)?;
                if *left == 0 {
                    self.state = State::Ending;
                }
            }
            Framing::Chunked => {
                output.put_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.tail = b"\r\n";
                if self.body.as_ref().is_some_and(Body::is_end_stream) {
                    self.tail = b"\r\n0\r\n\r\n";
                    self.state = State::Ending;
                }
            }
            Framing::UntilClose => {}
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self, output: &mut BytesMut, trailers: Option<&HeaderMap>) -> Result<(), SendError<B::Error>> {
        self.state = State::Ending;
        match self.framing {
            Framing::Length(0) | Framing::UntilClose => {}
            Framing::Length(_) => return Err(SendError::Length),
            Framing::Chunked => {
                output.put_slice(b"0\r\n");
                let lines = trailers.filter(|_| self.trailers).into_iter().flatten();
                for (name, value) in lines.filter(|(name, _)| !belongs_to_framing(name)) {
                    put_line(output, name.as_str(), value.as_bytes());
                }
                output.put_slice(b"\r\n");
            }
        }
        Ok(())
    }
}
