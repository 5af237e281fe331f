//! The body of a response: what an endpoint streams, or a few bytes of our own. No boxes, but for
//! what passes filters.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use super::bodies::Passing;
use crate::body::Held;
use crate::upstream::{Download, DownloadError};

/// What goes to the client. `E` hears of the end: it is told how many bytes passed and whether
/// that was all, then dropped.
pub struct ResponseBody<E: Ending> {
    source: Source,
    sent: u64,
    ending: Option<E>,
}

/// Where a body comes from.
pub enum Source {
    Own(Full<Bytes>),
    Stream(Download),
    /// An endpoint's, all of it.
    Held(Box<Held>),
    /// What filters let pass of another one.
    Filtered(Box<Passing<Self>>),
}

/// What is done once a body has ended: exactly once, also when the client went away.
pub trait Ending: Unpin {
    fn end(self, sent: u64, complete: bool);
}

impl<E: Ending> ResponseBody<E> {
    pub fn own(bytes: impl Into<Bytes>, ending: E) -> Self {
        Self::of(Source::Own(Full::new(bytes.into())), ending)
    }

    pub fn of(source: Source, ending: E) -> Self {
        Self { source, sent: 0, ending: Some(ending) }
    }

    /// Sends what the endpoint has not got yet of the request, while nobody asks for the response.
    pub fn drive_upload(&mut self, context: &mut Context<'_>) {
        self.source.drive_upload(context);
    }

    fn finish(&mut self, complete: bool) {
        if let Some(ending) = self.ending.take() {
            ending.end(self.sent, complete);
        }
    }
}

impl<E: Ending> Body for ResponseBody<E> {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.source).poll_frame(context));
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
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

impl<E: Ending> Drop for ResponseBody<E> {
    fn drop(&mut self) {
        // Our own bytes may be passed over on purpose: a response to HEAD has none.
        let complete = matches!(self.source, Source::Own(_)) || self.is_end_stream();
        self.finish(complete);
    }
}

impl Source {
    /// See [`ResponseBody::drive_upload`].
    pub fn drive_upload(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Stream(download) => download.drive_upload(context),
            Self::Filtered(passing) => passing.source().drive_upload(context),
            Self::Own(_) | Self::Held(_) => {}
        }
    }
}

impl From<Held> for Source {
    fn from(held: Held) -> Self {
        Self::Held(Box::new(held))
    }
}

impl Body for Source {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(context),
            Self::Held(held) => held.poll_frame(),
            Self::Filtered(body) => Pin::new(&mut **body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
            Self::Held(held) => held.is_end_stream(),
            Self::Filtered(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
            Self::Held(held) => held.size_hint(),
            Self::Filtered(body) => body.size_hint(),
        }
    }
}
