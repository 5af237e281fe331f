//! One request and the head of its response on a connection.

use std::task::{Context, Poll, ready};

use http::Method;
use hyper::body::Body;

use super::Error;
use super::head::{Head, Outgoing, take_head};
use crate::body::{BodyError, RequestBody};
use crate::message::{self, Framing, Link, SendError, Sending};

pub struct Transfer {
    pub(super) link: Box<Link>,
    pub(super) upload: Sending<RequestBody>,
    /// The response to HEAD has no body, whatever it says.
    for_head: bool,
    /// How much of the input is known to hold no end of the head.
    seen: usize,
    is_answered: bool,
}

impl Transfer {
    /// Nothing is written before somebody asks for the response.
    pub fn begin(mut link: Box<Link>, outgoing: &Outgoing, body: RequestBody) -> Self {
        let framing = framing_of(&body);
        outgoing.write(&mut link.output, framing);
        let for_head = outgoing.parts.method == Method::HEAD;
        Self { link, upload: Sending::new(body, framing, true), for_head, seen: 0, is_answered: false }
    }

    /// Whether anything of a response came.
    pub fn is_answered(&self) -> bool {
        self.is_answered || !self.link.input.is_empty()
    }

    /// Whether the endpoint has all of the request.
    pub fn is_sent(&self) -> bool {
        self.upload.is_done()
    }

    /// The next head, interim responses (1xx) included. Sends the request on the way; an endpoint
    /// may answer before it has all of it.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, Error>> {
        loop {
            let sent = match self.upload.poll(context, &mut *self.link) {
                Poll::Ready(Err(SendError::Io(error))) => {
                    self.upload.abandon();
                    Err(error)
                }
                Poll::Ready(Err(SendError::Body(error))) => return Poll::Ready(Err(Error::RequestBody(error))),
                Poll::Ready(Err(SendError::Length)) => return Poll::Ready(Err(Error::RequestLength)),
                Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
            };
            if let Some(head) = take_head(&mut self.link.input, &mut self.seen, self.for_head)? {
                self.is_answered = true;
                return Poll::Ready(Ok(head));
            }
            // Who takes no more may have said why before.
            let failed = match ready!(self.link.poll_fill(context)) {
                Ok(0) => sent.err().map_or(message::Error::Closed, message::Error::Io),
                Ok(_) => continue,
                Err(error) => message::Error::Io(sent.err().unwrap_or(error)),
            };
            return Poll::Ready(Err(failed.into()));
        }
    }

    /// With the response under way, an endpoint that does not get all of the request is no failure,
    /// except when a filter wants the request cut off: then the connection must end.
    pub(super) fn drive_upload(&mut self, context: &mut Context<'_>) -> Result<(), message::Error> {
        let Poll::Ready(Err(error)) = self.upload.poll(context, &mut *self.link) else { return Ok(()) };
        tracing::debug!(%error, "the endpoint does not get all of the request");
        self.upload.abandon();
        match error {
            SendError::Body(BodyError::Refused(_)) => Err(message::Error::Closed),
            _ => Ok(()),
        }
    }

    /// After 101 the connection belongs to another protocol.
    pub fn into_tunnel(self) -> Box<Link> {
        self.link
    }
}

fn framing_of(body: &RequestBody) -> Framing {
    if body.is_none() || body.is_end_stream() {
        return Framing::Length(0);
    }
    body.size_hint().exact().map_or(Framing::Chunked, Framing::Length)
}
