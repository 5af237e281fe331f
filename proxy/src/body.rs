//! The body of a request on its way to an endpoint: what comes from the client, what was held, what
//! filters let pass, or nothing.

use std::cell::{Cell, OnceCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use crate::error::Fault;
use crate::message;

#[derive(Default)]
pub enum RequestBody {
    #[default]
    None,
    /// What passes is counted.
    Stream(Client, Rc<Received>),
    /// Can be sent again.
    Held(Box<Held>),
    /// What filters let pass. Boxed: whoever has no such filters does not carry it about.
    Filtered(Box<dyn Body<Data = Bytes, Error = BodyError> + Unpin>, Rc<Received>),
}

/// By the client's protocol.
pub enum Client {
    Http1(message::Incoming),
    Http2(hyper::body::Incoming),
}

/// A whole body. Its end is reached when it was asked for everything.
#[derive(Debug, Clone, Default)]
pub struct Held {
    pub data: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// Why the rest of a body does not come.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(transparent)]
    Http1(message::Error),
    #[error(transparent)]
    Http2(hyper::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a filter lets nothing more pass of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("plugin {0} failed")]
    Failed(Arc<str>),
    #[error("plugin {0} does not let the body pass")]
    Aborted(Arc<str>),
}

/// What came of a request's body so far.
#[derive(Debug, Default)]
pub struct Received {
    bytes: Cell<u64>,
    awaited: Cell<bool>,
    /// The client's body broke off, or (there is one) a filter let no more pass.
    broken: OnceCell<Option<Refusal>>,
}

impl Received {
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The endpoint could take more than the client has sent.
    pub fn is_awaited(&self) -> bool {
        self.awaited.get()
    }

    /// Why the endpoint did not get all of it, if that was not the endpoint's doing.
    pub fn fault(&self) -> Option<Fault> {
        Some(self.broken.get()?.clone().map_or(Fault::BrokenBody, Fault::of_request))
    }

    fn note(&self, error: &BodyError) {
        let refusal = if let BodyError::Refused(refusal) = error { Some(refusal.clone()) } else { None };
        let _ = self.broken.set(refusal);
    }
}

impl RequestBody {
    /// For whoever wants to know how far it is.
    pub fn watch(&self) -> Option<Rc<Received>> {
        match self {
            Self::Stream(_, received) | Self::Filtered(_, received) => Some(Rc::clone(received)),
            Self::None | Self::Held(_) => None,
        }
    }

    /// A request without a body.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The same body once more; none when it can be had only once.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::None => Some(Self::None),
            Self::Held(held) => Some(Self::Held(held.clone())),
            Self::Stream(..) | Self::Filtered(..) => None,
        }
    }
}

impl From<Held> for RequestBody {
    fn from(held: Held) -> Self {
        if held.is_end_stream() { Self::None } else { Self::Held(Box::new(held)) }
    }
}

impl Client {
    pub fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http1),
            Self::Http2(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http2),
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
        match &mut *self {
            Self::None => Poll::Ready(None),
            Self::Stream(client, received) => {
                let polled = client.poll_frame(context);
                received.awaited.set(polled.is_pending());
                let frame = ready!(polled);
                match &frame {
                    Some(Ok(frame)) => {
                        received.bytes.update(|bytes| bytes + frame.data_ref().map_or(0, |data| data.len() as u64));
                    }
                    Some(Err(error)) => received.note(error),
                    None => {}
                }
                Poll::Ready(frame)
            }
            Self::Held(held) => held.poll_frame(),
            Self::Filtered(body, received) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                if let Some(Err(error)) = &frame {
                    received.note(error);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Stream(client, _) => client.is_end_stream(),
            Self::Held(held) => held.is_end_stream(),
            Self::Filtered(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Stream(Client::Http1(body), _) => body.size_hint(),
            Self::Stream(Client::Http2(body), _) => body.size_hint(),
            Self::Held(held) => held.size_hint(),
            Self::Filtered(body, _) => body.size_hint(),
        }
    }
}

impl Held {
    /// How long it is, where it can be said before: a length leaves no place for trailers.
    pub fn length(&self) -> Option<usize> {
        self.trailers.is_none().then_some(self.data.len())
    }

    /// What there is, piece by piece; all that there is is there at once.
    pub fn poll_frame<E>(&mut self) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    pub fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    pub fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, |length| SizeHint::with_exact(length as u64))
    }
}
