//! The plugins on a request's way: in their order when it comes, in reverse when the response goes.
//! One that asks a service (`ask`) is waited for; whoever asks nothing is called without waiting.

use std::rc::Rc;
use std::slice;
use std::time::Instant;

use super::record::Record;
use super::{Connection, ask};
use crate::config::UseIndex;
use crate::error::Fault;
use crate::plugin::{Asking, Exchange, Filter, Outcome};
use crate::worker::View;

/// Where filters are called from.
pub struct Way<'a> {
    pub connection: &'a Rc<Connection>,
    pub view: &'a View,
    /// The route's, once there is one: what filters ask for takes no longer.
    pub limit: Option<Instant>,
}

/// What came of calling filters one after the other.
enum Called {
    All(Box<Exchange>),
    /// This one waits for replies; those after it were not called yet.
    Until(UseIndex, Box<Exchange>, Box<Asking>),
}

impl Way<'_> {
    pub async fn on_request(
        &self,
        uses: &[UseIndex],
        mut exchange: Box<Exchange>,
        record: &mut Record,
    ) -> Result<Box<Exchange>, Fault> {
        let mut rest = uses.iter();
        loop {
            match self.call_on_request(&mut rest, exchange, record)? {
                Called::All(exchange) => return Ok(exchange),
                // Seldom, and large with its requests: not in every connection's task.
                Called::Until(index, waiting, asking) => {
                    exchange = Box::pin(ask::settle(self, index, waiting, asking, record)).await?;
                }
            }
        }
    }

    /// In reverse: who saw the request first sees the response last.
    pub async fn on_response(
        &self,
        uses: &[UseIndex],
        mut exchange: Box<Exchange>,
        record: &mut Record,
    ) -> Result<Box<Exchange>, Fault> {
        let mut rest = uses.iter();
        loop {
            match self.call_on_response(&mut rest, exchange, record)? {
                Called::All(exchange) => return Ok(exchange),
                Called::Until(index, waiting, asking) => {
                    exchange = Box::pin(ask::settle(self, index, waiting, asking, record)).await?;
                }
            }
        }
    }

    fn call_on_request(
        &self,
        rest: &mut slice::Iter<'_, UseIndex>,
        mut exchange: Box<Exchange>,
        record: &mut Record,
    ) -> Result<Called, Fault> {
        for index in rest {
            let mut filter = self.view.filter(*index).ok_or(Fault::NotServing)?.borrow_mut();
            if exchange.answer.is_some() || !filter.wants_request() {
                continue;
            }
            let (back, outcome) = filter.on_request(exchange);
            exchange = back;
            record.follow(&exchange);
            if let Some(asking) = check(&filter, outcome)? {
                return Ok(Called::Until(*index, exchange, asking));
            }
        }
        Ok(Called::All(exchange))
    }

    fn call_on_response(
        &self,
        rest: &mut slice::Iter<'_, UseIndex>,
        mut exchange: Box<Exchange>,
        record: &mut Record,
    ) -> Result<Called, Fault> {
        for index in rest.rev() {
            let mut filter = self.view.filter(*index).ok_or(Fault::NotServing)?.borrow_mut();
            if !filter.wants_response() {
                continue;
            }
            let (back, outcome) = filter.on_response(exchange);
            exchange = back;
            record.follow(&exchange);
            if let Some(asking) = check(&filter, outcome)? {
                return Ok(Called::Until(*index, exchange, asking));
            }
        }
        Ok(Called::All(exchange))
    }
}

/// The filter that waits for replies, if it does.
pub(super) fn check(filter: &Filter, outcome: Outcome) -> Result<Option<Box<Asking>>, Fault> {
    match outcome {
        Outcome::Continue => Ok(None),
        Outcome::Asks(asking) => Ok(Some(asking)),
        Outcome::Failed => Err(Fault::Plugin(filter.usage().config.plugin.to_string())),
    }
}
