//! The body of a response: what an endpoint streams, or a few bytes of our own. No boxes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::upstream::{Download, DownloadError};

/// What goes to the client. `E` hears of the end: it is told how many bytes passed and whether
/// that was all, then dropped.
pub struct ResponseBody<E: Ending> {
    kind: Kind,
    sent: u64,
    ending: Option<E>,
}

enum Kind {
    Own(Full<Bytes>),
    Stream(Download),
}

/// What is done once a body has ended: exactly once, also when the client went away.
pub trait Ending: Unpin {
    fn end(self, sent: u64, complete: bool);
}

impl<E: Ending> ResponseBody<E> {
    pub fn own(bytes: impl Into<Bytes>, ending: E) -> Self {
        Self { kind: Kind::Own(Full::new(bytes.into())), sent: 0, ending: Some(ending) }
    }

    pub fn stream(download: Download, ending: E) -> Self {
        Self { kind: Kind::Stream(download), sent: 0, ending: Some(ending) }
    }

    /// Sends what the endpoint has not got yet of the request, while nobody asks for the response.
    pub fn drive_upload(&mut self, context: &mut Context<'_>) {
        if let Kind::Stream(download) = &mut self.kind {
            download.drive_upload(context);
        }
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
