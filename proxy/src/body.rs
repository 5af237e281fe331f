//! Bodies that stream past. No boxes: a body is what came in, a few bytes of our own, or nothing.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// What goes to an endpoint: what comes from the client, or nothing.
#[derive(Default)]
pub struct RequestBody(Option<(Incoming, Rc<Received>)>);

/// What came of a request's body so far.
#[derive(Debug, Default)]
pub struct Received {
    bytes: Cell<u64>,
    ended: Cell<bool>,
}

impl Received {
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The client has sent all of it.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }
}

impl RequestBody {
    pub fn stream(incoming: Incoming, received: Rc<Received>) -> Self {
        Self(Some((incoming, received)))
    }

    /// The client still owes something of it.
    pub fn watch(&self) -> Option<Rc<Received>> {
        self.0.as_ref().map(|(_, received)| Rc::clone(received))
    }

    /// A request without a body, which can be sent again.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some((incoming, received)) = &mut self.0 else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            received.bytes.update(|bytes| bytes + frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        received.ended.set(frame.is_none() || incoming.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(incoming, _)| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |(incoming, _)| incoming.size_hint())
    }
}

/// What goes to the client. `E` hears of the end: it is told how many bytes passed and whether
/// that was all, then dropped.
pub struct ResponseBody<E: Ending> {
    kind: Kind,
    sent: u64,
    ending: Option<E>,
}

enum Kind {
    Own(Full<Bytes>),
    Stream(Incoming),
}

/// What is done once a body has ended: exactly once, also when the client went away.
pub trait Ending: Unpin {
    fn end(self, sent: u64, complete: bool);
}

impl<E: Ending> ResponseBody<E> {
    pub fn own(bytes: impl Into<Bytes>, ending: E) -> Self {
        Self { kind: Kind::Own(Full::new(bytes.into())), sent: 0, ending: Some(ending) }
    }

    pub fn stream(incoming: Incoming, ending: E) -> Self {
        Self { kind: Kind::Stream(incoming), sent: 0, ending: Some(ending) }
    }

    fn finish(&mut self, complete: bool) {
        if let Some(ending) = self.ending.take() {
            ending.end(self.sent, complete);
        }
    }
}

impl<E: Ending> Body for ResponseBody<E> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match &mut self.kind {
            Kind::Own(body) => {
                ready!(Pin::new(body).poll_frame(context)).map(|frame| frame.map_err(|never| match never {}))
            }
            Kind::Stream(body) => ready!(Pin::new(body).poll_frame(context)),
        };
        match &frame {
            Some(Ok(frame)) => {
                self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                if frame.is_trailers() {
                    // The last that there can be, and hyper does not ask for more.
                    self.finish(true);
                }
            }
            Some(Err(_)) => self.finish(false),
            None => self.finish(true),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(body) => body.is_end_stream(),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(body) => body.size_hint(),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

impl<E: Ending> Drop for ResponseBody<E> {
    fn drop(&mut self) {
        // Our own bytes may be passed over on purpose: a response to HEAD has none.
        let complete = matches!(self.kind, Kind::Own(_)) || self.is_end_stream();
        self.finish(complete);
    }
}
