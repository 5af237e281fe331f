//! A request's body on its way to an endpoint.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes};
use http::HeaderMap;
use hyper::body::{Body, Frame};

use super::head::{Framing, belongs_to_framing, put_line};
use super::{Connection, Error};
use crate::body::RequestBody;

pub struct Upload {
    body: RequestBody,
    framing: Framing,
    /// Written after the connection's output.
    pub(super) data: Bytes,
    /// Written after `data`.
    pub(super) tail: &'static [u8],
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    /// All of the body is there, but not yet written.
    Ending,
    Done,
    /// The endpoint gets no more.
    Abandoned,
}

impl Upload {
    /// The request's head is in the connection's output.
    pub fn new(body: RequestBody, framing: Framing) -> Self {
        let state = if framing == Framing::Length(0) { State::Ending } else { State::Sending };
        Self { body, framing, data: Bytes::new(), tail: b"", state }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Drops what is left of the body: nobody will want it.
    pub fn abandon(&mut self) {
        *self = Self { state: State::Abandoned, ..Self::new(RequestBody::default(), self.framing) };
    }

    /// Ready when all is written, or was abandoned.
    pub fn poll(&mut self, context: &mut Context<'_>, connection: &mut Connection) -> Poll<Result<(), Error>> {
        loop {
            match self.state {
                State::Done | State::Abandoned => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(connection.poll_drain(context, self))?;
                    self.state = State::Done;
                }
                State::Sending => {
                    // What there is of the body at once goes together with the head.
                    if !self.data.is_empty() {
                        ready!(connection.poll_drain(context, self))?;
                    }
                    match Pin::new(&mut self.body).poll_frame(context) {
                        Poll::Ready(Some(Ok(frame))) => self.take(frame, connection)?,
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Error::RequestBody(error))),
                        Poll::Ready(None) => self.end(connection, &HeaderMap::new())?,
                        Poll::Pending => {
                            ready!(connection.poll_drain(context, self))?;
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>, connection: &mut Connection) -> Result<(), Error> {
        let data = match frame.into_data() {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => data,
            Err(frame) => return frame.trailers_ref().map_or(Ok(()), |trailers| self.end(connection, trailers)),
        };
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Error::RequestLength)?;
                if *left == 0 {
                    self.state = State::Ending;
                }
            }
            Framing::Chunked | Framing::UntilClose => {
                connection.output.put_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.tail = b"\r\n";
                if self.body.is_end_stream() {
                    self.tail = b"\r\n0\r\n\r\n";
                    self.state = State::Ending;
                }
            }
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self, connection: &mut Connection, trailers: &HeaderMap) -> Result<(), Error> {
        self.state = State::Ending;
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err(Error::RequestLength),
            Framing::Chunked | Framing::UntilClose => {
                connection.output.put_slice(b"0\r\n");
                for (name, value) in trailers.iter().filter(|(name, _)| !belongs_to_framing(name)) {
                    put_line(&mut connection.output, name.as_str(), value.as_bytes());
                }
                connection.output.put_slice(b"\r\n");
            }
        }
        Ok(())
    }
}
