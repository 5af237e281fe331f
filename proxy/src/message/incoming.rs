//! The body of a request as it comes from a client. It shares the client's connection with whoever
//! writes the response.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::{Decoded, Decoder, Error, Framing, Link};

/// A client's connection, and how far the body of the request at hand is.
pub struct Reader {
    pub link: Link,
    pub decoder: Decoder,
    /// The client waits for 100 before it sends its body (RFC 9110, section 10.1.1).
    pub awaits_continue: bool,
    turn: u64,
    /// A socket wakes one task only, and these may be two: who reads the body, and who waits for it
    /// to be read.
    body_waker: Option<Waker>,
    owner_waker: Option<Waker>,
}

/// One request's body. It may outlive its request; then it must not touch the next one's.
pub struct Incoming {
    reader: Rc<RefCell<Reader>>,
    turn: u64,
}

impl Reader {
    pub fn new(link: Link) -> Self {
        Self { link, decoder: Decoder::Done, awaits_continue: false, turn: 0, body_waker: None, owner_waker: None }
    }

    /// The body of the next request; bodies of earlier ones are over, read or not.
    pub fn body(reader: &Rc<RefCell<Self>>, framing: Framing, awaits_continue: bool) -> Incoming {
        let mut this = reader.borrow_mut();
        this.end_body();
        (this.decoder, this.awaits_continue) = (Decoder::new(framing), awaits_continue);
        Incoming { reader: Rc::clone(reader), turn: this.turn }
    }

    /// Whoever still holds the body gets no more of it.
    pub fn end_body(&mut self) {
        self.turn += 1;
        self.awaits_continue = false;
        if let Some(waker) = self.body_waker.take() {
            waker.wake();
        }
    }

    /// Whether more of the body is to come than so much, or the client waits before it sends any.
    pub fn is_long(&self, most: u64) -> bool {
        !self.decoder.is_done() && (self.awaits_continue || self.decoder.left().is_some_and(|left| left > most))
    }

    /// Ready when the client closes while it has nothing more to say. What it says ahead
    /// (pipelining) is kept, up to a bound.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        const MOST_AHEAD: usize = 16 << 10;
        if !self.decoder.is_done() {
            remember(&mut self.owner_waker, context);
            return Poll::Pending;
        }
        while self.link.input.len() < MOST_AHEAD {
            if ready!(self.link.poll_fill_small(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = self.poll_frame(context);
        if frame.is_pending() {
            remember(&mut self.body_waker, context);
        } else if (self.decoder.is_done() || matches!(frame, Poll::Ready(Some(Err(_)))))
            && let Some(waker) = self.owner_waker.take()
        {
            waker.wake();
        }
        frame
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if std::mem::take(&mut self.awaits_continue) && !self.decoder.is_done() {
            self.link.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            // The rest, if there is one, goes out before the response.
            let _ = self.link.poll_flush(context);
        }
        loop {
            match self.decoder.decode(&mut self.link.input)? {
                Decoded::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Decoded::Trailers(trailers) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Decoded::End => return Poll::Ready(None),
                Decoded::Hungry => {
                    if ready!(self.link.poll_fill(context))? == 0 {
                        self.decoder.close()?;
                    }
                }
            }
        }
    }
}

fn remember(slot: &mut Option<Waker>, context: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        *slot = Some(context.waker().clone());
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut reader = self.reader.borrow_mut();
        if reader.turn != self.turn {
            return Poll::Ready(Some(Err(Error::Closed)));
        }
        reader.poll_body(context)
    }

    fn is_end_stream(&self) -> bool {
        let reader = self.reader.borrow();
        reader.turn == self.turn && reader.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        let reader = self.reader.borrow();
        let left = reader.decoder.left().filter(|_| reader.turn == self.turn);
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
