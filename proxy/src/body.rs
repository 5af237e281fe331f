//! The body of a request on its way to an endpoint: what comes from the client, bytes of our own, or
//! nothing.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::message;

#[derive(Default)]
pub struct RequestBody(Option<(Client, Rc<Received>)>);

/// By the client's protocol.
pub enum Client {
    Http1(message::Incoming),
    Http2(hyper::body::Incoming),
    /// No client's: a plugin's own request.
    Own(Full<Bytes>),
}

/// Why the rest of a body does not come.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(transparent)]
    Http1(message::Error),
    #[error(transparent)]
    Http2(hyper::Error),
}

/// What came of a request's body so far.
#[derive(Debug, Default)]
pub struct Received {
    bytes: Cell<u64>,
    awaited: Cell<bool>,
}

impl Received {
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The endpoint could take more than the client has sent.
    pub fn is_awaited(&self) -> bool {
        self.awaited.get()
    }
}

impl RequestBody {
    /// What passes is counted in `received`.
    pub fn stream(client: Client, received: Rc<Received>) -> Self {
        Self(Some((client, received)))
    }

    pub fn own(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::default() } else { Self::stream(Client::Own(Full::new(bytes)), Rc::default()) }
    }

    /// For whoever wants to know how far it is.
    pub fn watch(&self) -> Option<Rc<Received>> {
        self.0.as_ref().map(|(_, received)| Rc::clone(received))
    }

    /// A request without a body, which can be sent again.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

impl Client {
    pub fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http1),
            Self::Http2(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http2),
            Self::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some((client, received)) = &mut self.0 else { return Poll::Ready(None) };
        let polled = client.poll_frame(context);
        received.awaited.set(polled.is_pending());
        let frame = ready!(polled);
        if let Some(Ok(frame)) = &frame {
            received.bytes.update(|bytes| bytes + frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(client, _)| client.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some((Client::Http1(body), _)) => body.size_hint(),
            Some((Client::Http2(body), _)) => body.size_hint(),
            Some((Client::Own(body), _)) => body.size_hint(),
        }
    }
}
