//! One request and the head of its response on a connection.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;

use super::head::{Framing, Head, Outgoing, take_head};
use super::upload::Upload;
use super::{Connection, Error};
use crate::body::RequestBody;
use crate::upstream::stream::Stream;

pub struct Transfer {
    pub(super) connection: Box<Connection>,
    pub(super) upload: Upload,
    /// The response to HEAD has no body, whatever it says.
    for_head: bool,
    /// How much of the input is known to hold no end of the head.
    seen: usize,
    is_answered: bool,
}

impl Transfer {
    /// Nothing is written before somebody asks for the response.
    pub fn begin(mut connection: Box<Connection>, outgoing: &Outgoing, body: RequestBody) -> Self {
        let framing = Framing::of(&body);
        outgoing.write(&mut connection.output, framing);
        let for_head = outgoing.parts.method == Method::HEAD;
        Self { connection, upload: Upload::new(body, framing), for_head, seen: 0, is_answered: false }
    }

    /// Whether anything of a response came.
    pub fn is_answered(&self) -> bool {
        self.is_answered || !self.connection.input.is_empty()
    }

    /// The next head, interim responses (1xx) included. Sends the request on the way; an endpoint
    /// may answer before it has all of it.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, Error>> {
        loop {
            let sent = match self.upload.poll(context, &mut self.connection) {
                Poll::Ready(Err(Error::Io(error))) => {
                    self.upload.abandon();
                    Err(error)
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
            };
            if let Some(head) = take_head(&mut self.connection.input, &mut self.seen, self.for_head)? {
                self.is_answered = true;
                return Poll::Ready(Ok(head));
            }
            // Who takes no more may have said why before.
            match ready!(self.connection.poll_fill(context)) {
                Ok(0) => return Poll::Ready(Err(sent.err().map_or(Error::Closed, Error::Io))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Error::Io(sent.err().unwrap_or(error)))),
            }
        }
    }

    /// After 101: the bytes that came already, and the stream.
    pub fn into_tunnel(self) -> (Bytes, Stream) {
        self.connection.into_parts()
    }
}
