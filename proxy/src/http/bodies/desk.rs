//! Where the filters of a body find what is known of its request: it lies here between two calls.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::UseIndex;
use crate::error::Fault;
use crate::plugin::{Answer, Exchange, Side, Verdict};
use crate::worker::View;

pub struct Desk {
    view: Rc<View>,
    side: Side,
    /// Always there, but for the time of a call.
    exchange: Cell<Option<Box<Exchange>>>,
    /// Wall time of the calls.
    time: Rc<Cell<Duration>>,
}

impl Desk {
    /// The exchange itself: its head can still be edited.
    pub fn new(view: &Rc<View>, side: Side, exchange: Box<Exchange>) -> Self {
        Self { view: Rc::clone(view), side, exchange: Cell::new(Some(exchange)), time: Rc::default() }
    }

    /// What a body needs that passes while its exchange is somewhere else. Calls add to `time`.
    pub fn beside(view: &Rc<View>, side: Side, exchange: &mut Exchange, time: Rc<Cell<Duration>>) -> Self {
        Self { view: Rc::clone(view), side, exchange: Cell::new(Some(exchange.fork())), time }
    }

    /// What a filter says of a piece.
    pub fn ask(&self, filter: UseIndex, bytes: &[u8], end: bool) -> Verdict {
        let (Some(filter), Some(exchange)) = (self.view.filter(filter), self.exchange.take()) else {
            return Verdict::Failed;
        };
        let before = exchange.plugin_time;
        let (exchange, verdict) = filter.borrow_mut().on_body(exchange, self.side, bytes, end);
        self.time.set(self.time.get() + exchange.plugin_time.saturating_sub(before));
        self.exchange.set(Some(exchange));
        verdict
    }

    /// Whether a filter gave an answer.
    pub fn has_answer(&self) -> bool {
        self.with(|exchange| exchange.answer.is_some()).unwrap_or(false)
    }

    /// The body of the response that a filter gave in place of the endpoint's; its head stands in the
    /// exchange from now on. None on the way of a request.
    pub fn take_answer(&self) -> Option<Bytes> {
        if self.side == Side::Request {
            return None;
        }
        self.with(|exchange| {
            let Answer { status, headers, body } = exchange.answer.take()?;
            let head = exchange.response.as_mut()?;
            (head.status, head.headers) = (status, headers);
            Some(body)
        })?
    }

    fn with<T>(&self, work: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        let mut exchange = self.exchange.take()?;
        let done = work(&mut exchange);
        self.exchange.set(Some(exchange));
        Some(done)
    }

    pub fn close(&self) -> Result<Box<Exchange>, Fault> {
        self.exchange.take().ok_or(Fault::NotServing)
    }
}
