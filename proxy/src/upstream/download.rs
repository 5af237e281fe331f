//! What an endpoint streams, by whichever protocol.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::http1;
use crate::body::Refusal;
use crate::message;

pub enum Download {
    Http1(http1::Download),
    Http2 {
        body: Incoming,
        /// The stream counts as in flight while this lives.
        in_flight: Rc<()>,
    },
}

/// Why the rest of a body does not come.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error(transparent)]
    Http1(#[from] message::Error),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Download {
    /// Sends what the endpoint has not got yet of the request, while nobody asks for the response.
    pub fn drive_upload(&mut self, context: &mut Context<'_>) {
        if let Self::Http1(download) = self {
            download.drive_upload(context);
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(context).map_err(DownloadError::Http1),
            Self::Http2 { body, .. } => Pin::new(body).poll_frame(context).map_err(DownloadError::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2 { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2 { body, .. } => body.size_hint(),
        }
    }
}
