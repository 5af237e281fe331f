//! The filters on the way of a body. [`Bodies`] has those that want a body whole look at it before
//! its head goes on; those that want it in pieces look at it as it passes ([`Passing`]). Whoever has
//! no such filters meets none of this.

mod desk;
mod passing;
mod whole;

use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use hyper::body::Body as _;

use super::Connection;
use super::body::Source;
use super::content::Content;
use super::record::Record;
use crate::body::{BodyError, Held, RequestBody};
use crate::config::UseIndex;
use crate::error::Fault;
use crate::plugin::{Delivery, Exchange, Side};
use crate::upstream::DownloadError;
use crate::worker::View;
use desk::Desk;
pub use passing::Passing;
use passing::{Begun, Stage};
use whole::{Seen, Stop, see_whole};

/// The body filters of one request, with all that they need to know.
pub struct Bodies<'a> {
    pub connection: &'a Connection,
    pub view: &'a Rc<View>,
    /// In the order in which requests pass them.
    pub uses: [&'a [UseIndex]; 2],
    /// When the head of the response must be there.
    pub deadline: Instant,
}

impl Bodies<'_> {
    /// What is to be sent on. The exchange has an answer when a filter gave one.
    pub async fn on_request(
        &self,
        mut exchange: Box<Exchange>,
        body: RequestBody,
        record: &mut Record,
    ) -> Result<(Box<Exchange>, RequestBody), Fault> {
        let stages = self.stages(Side::Request)?;
        if stages.is_empty() {
            return Ok((exchange, body));
        }
        let received = body.watch();
        let desk = Rc::new(Desk::new(self.view, Side::Request, exchange));
        let seen = self.connection.timers.until(self.deadline, pin!(see_whole(&desk, stages, body))).await;
        let Seen { mut body, later } = seen.unwrap_or(Err(Stop::Late)).map_err(Fault::from)?;
        exchange = desk.close()?;
        record.follow(&exchange);
        if exchange.answer.is_some() {
            return Ok((exchange, body));
        }
        if !later.is_empty() {
            let desk = Rc::new(Desk::beside(self.view, Side::Request, &mut exchange, record.body_time()));
            let begun = Passing::begin(body, later, desk).await.map_err(|error| Fault::from(Stop::Body(error)))?;
            body = match begun {
                Begun::All(held) => held.into(),
                Begun::Passing(passing) => RequestBody::Filtered(passing, received.unwrap_or_default()),
            };
        }
        if let Some(parts) = &mut exchange.request {
            tell_length(&mut parts.headers, body.size_hint().exact());
        }
        Ok((exchange, body))
    }

    /// What is to be passed back. `for_head`: the client gets the head only.
    pub async fn on_response(
        &self,
        mut exchange: Box<Exchange>,
        content: Content,
        for_head: bool,
        record: &mut Record,
    ) -> Result<(Box<Exchange>, Content), Fault> {
        let stages = self.stages(Side::Response)?;
        let source = match content {
            Content::Tunnel(_) => return Ok((exchange, content)),
            _ if stages.is_empty() => return Ok((exchange, content)),
            Content::Own(bytes) => Source::Own(Full::new(bytes)),
            Content::Stream(download) => Source::Stream(download),
            Content::Seen(source) => *source,
        };
        if for_head || has_no_body(&exchange) {
            // How long it would be nobody knows.
            let source = if let Source::Own(_) = source { Source::from(Held::default()) } else { source };
            head_of(&mut exchange)?.headers.remove(CONTENT_LENGTH);
            return Ok((exchange, Content::Seen(Box::new(source))));
        }
        let desk = Rc::new(Desk::new(self.view, Side::Response, exchange));
        let seen = self.connection.timers.until(self.deadline, pin!(see_whole(&desk, stages, source))).await;
        let Seen { mut body, later } = seen.unwrap_or(Err(Stop::Late)).map_err(Fault::from)?;
        exchange = desk.close()?;
        record.follow(&exchange);
        if has_no_body(&exchange) {
            // A filter said so.
            head_of(&mut exchange)?.headers.remove(CONTENT_LENGTH);
            return Ok((exchange, Content::Seen(Box::new(Held::default().into()))));
        }
        if !later.is_empty() {
            let desk = Rc::new(Desk::beside(self.view, Side::Response, &mut exchange, record.body_time()));
            let begun = Passing::begin(body, later, desk).await.map_err(|error| Fault::from(Stop::Body(error)))?;
            body = match begun {
                Begun::All(held) => held.into(),
                Begun::Passing(passing) => Source::Filtered(passing),
            };
        }
        tell_length(&mut head_of(&mut exchange)?.headers, body.size_hint().exact());
        Ok((exchange, Content::Seen(Box::new(body))))
    }

    /// Requests pass in order, responses in reverse, as heads do.
    fn stages(&self, side: Side) -> Result<Vec<Stage>, Fault> {
        let mut stages = Vec::new();
        for index in self.uses.iter().copied().flatten() {
            let filter = self.view.filter(*index).ok_or(Fault::NotServing)?.borrow();
            let delivery = filter.delivery(side);
            if delivery != Delivery::Never {
                stages.push(Stage::new(*index, filter.usage(), delivery));
            }
        }
        if side == Side::Response {
            stages.reverse();
        }
        Ok(stages)
    }
}

fn head_of(exchange: &mut Exchange) -> Result<&mut http::response::Parts, Fault> {
    exchange.response.as_mut().ok_or(Fault::NotServing)
}

/// RFC 9110, section 6.4.1.
fn has_no_body(exchange: &Exchange) -> bool {
    let status = exchange.response.as_ref().map(|head| head.status);
    matches!(status, Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))
}

/// The length that was said before is another body's.
fn tell_length(headers: &mut HeaderMap, length: Option<u64>) {
    let was_told = headers.remove(CONTENT_LENGTH).is_some();
    // A request without a body says nothing of it, if it did not before.
    if let Some(length) = length
        && (length > 0 || was_told)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

impl From<Stop<BodyError>> for Fault {
    fn from(stop: Stop<BodyError>) -> Self {
        match stop {
            Stop::Body(BodyError::Refused(refusal)) | Stop::Refused(refusal) => Self::of_request(refusal),
            Stop::Body(BodyError::Http1(_) | BodyError::Http2(_)) => Self::BrokenBody,
            Stop::TooLong(plugin) => Self::BodyTooLong(plugin),
            Stop::TooMuch(plugin) => Self::TooMuchHeld(plugin),
            Stop::Late => Self::SlowBody,
        }
    }
}

impl From<Stop<DownloadError>> for Fault {
    fn from(stop: Stop<DownloadError>) -> Self {
        match stop {
            Stop::Body(DownloadError::Refused(refusal)) | Stop::Refused(refusal) => Self::of_response(refusal),
            Stop::Body(error) => Self::BrokenOff(error),
            Stop::TooLong(plugin) => Self::AnswerTooLong(plugin),
            Stop::TooMuch(plugin) => Self::TooMuchHeld(plugin),
            Stop::Late => Self::Timeout,
        }
    }
}
