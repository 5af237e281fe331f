//! A response's body as it comes. With its last byte the connection goes back to its pool.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::head::Head;
use super::transfer::Transfer;
use crate::message::{Decoded, Decoder, Error};
use crate::upstream::Pool;

pub struct Download {
    /// None once the connection was given back.
    transfer: Option<Transfer>,
    decoder: Decoder,
    /// Told when what came before it has had a chance to go out.
    failure: Option<Error>,
    keep_alive: bool,
    pool: Rc<Pool>,
    max_idle: usize,
}

impl Download {
    pub fn new(mut transfer: Transfer, head: &Head, pool: Rc<Pool>, max_idle: usize) -> Self {
        let decoder = Decoder::new(head.framing);
        transfer.link.expect(decoder.left().unwrap_or(0).saturating_sub(transfer.link.input.len() as u64));
        let keep_alive = head.keep_alive;
        let mut download = Self { transfer: Some(transfer), decoder, failure: None, keep_alive, pool, max_idle };
        download.give_back_when_done();
        download
    }

    /// A connection on which something is still on its way, or came too much, is closed instead.
    fn give_back_when_done(&mut self) {
        if !self.decoder.is_done() {
            return;
        }
        if let Some(Transfer { link, upload, .. }) = self.transfer.take()
            && self.keep_alive
            && upload.is_done()
        {
            self.pool.give_back(link, self.max_idle);
        }
    }

    /// Sends what the endpoint has not got yet of the request.
    pub fn drive_upload(&mut self, context: &mut Context<'_>) {
        if let Some(transfer) = &mut self.transfer
            && let Err(cut_off) = transfer.drive_upload(context)
        {
            // Told when the body is asked for more, which it is at once.
            (self.transfer, self.failure) = (None, Some(cut_off));
            context.waker().wake_by_ref();
        }
    }

    /// None at the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        let Some(transfer) = &mut self.transfer else { return Poll::Ready(Ok(None)) };
        // The request's body may still be on its way.
        transfer.drive_upload(context)?;
        loop {
            match self.decoder.decode(&mut transfer.link.input)? {
                Decoded::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                Decoded::Trailers(trailers) => return Poll::Ready(Ok(Some(Frame::trailers(trailers)))),
                Decoded::End => return Poll::Ready(Ok(None)),
                Decoded::Hungry => {
                    if ready!(transfer.link.poll_fill(context))? == 0 {
                        self.decoder.close()?;
                    }
                }
            }
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(failure) = self.failure.take() {
            self.transfer = None;
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(self.poll_next(context)) {
            Ok(frame) => {
                self.give_back_when_done();
                Poll::Ready(frame.map(Ok))
            }
            Err(failure) => {
                self.failure = Some(failure);
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
