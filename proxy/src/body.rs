//! The body of a request on its way to an endpoint: what comes from the client, or nothing.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
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
