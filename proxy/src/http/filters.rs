//! The plugins on a request's way: in their order when it comes, in reverse when the response goes.
//! One that asks a service (`ask`) is waited for; where nobody asks, nothing is awaited.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::record::Record;
use super::{Connection, ask};
use crate::config::UseIndex;
use crate::error::Fault;
use crate::plugin::{Asking, Exchange, Filter, Outcome};
use crate::worker::View;

/// What came of calling filters one after the other.
pub enum Called<'a> {
    All(Box<Exchange>),
    /// One waits for replies; those after it were not called yet.
    Until(Box<Waiting<'a>>),
}

pub struct Waiting<'a> {
    index: UseIndex,
    exchange: Box<Exchange>,
    asking: Box<Asking>,
    rest: &'a [UseIndex],
    /// How the rest is called.
    call: Call,
}

type Call = for<'a> fn(&View, &'a [UseIndex], Box<Exchange>, &mut Record) -> Result<Called<'a>, Fault>;

/// What it takes to wait.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    pub connection: &'a Rc<Connection>,
    pub view: &'a View,
    /// The route's, from the begin of the request, once there is a route: what filters ask for takes
    /// no longer.
    pub limit: Option<Duration>,
}

pub fn on_request<'a>(
    view: &View,
    uses: &'a [UseIndex],
    mut exchange: Box<Exchange>,
    record: &mut Record,
) -> Result<Called<'a>, Fault> {
    for (position, index) in uses.iter().enumerate() {
        let mut filter = view.filter(*index).ok_or(Fault::NotServing)?.borrow_mut();
        if exchange.answer.is_some() || !filter.wants_request() {
            continue;
        }
        let (back, outcome) = filter.on_request(exchange);
        exchange = back;
        record.follow(&exchange);
        if let Some(asking) = check(&filter, outcome)? {
            let rest = &uses[position + 1..];
            return Ok(Called::Until(Box::new(Waiting { index: *index, exchange, asking, rest, call: on_request })));
        }
    }
    Ok(Called::All(exchange))
}

/// In reverse: who saw the request first sees the response last.
pub fn on_response<'a>(
    view: &View,
    uses: &'a [UseIndex],
    mut exchange: Box<Exchange>,
    record: &mut Record,
) -> Result<Called<'a>, Fault> {
    for (position, index) in uses.iter().enumerate().rev() {
        let mut filter = view.filter(*index).ok_or(Fault::NotServing)?.borrow_mut();
        if !filter.wants_response() {
            continue;
        }
        let (back, outcome) = filter.on_response(exchange);
        exchange = back;
        record.follow(&exchange);
        if let Some(asking) = check(&filter, outcome)? {
            let rest = &uses[..position];
            return Ok(Called::Until(Box::new(Waiting { index: *index, exchange, asking, rest, call: on_response })));
        }
    }
    Ok(Called::All(exchange))
}

type Settled<'a> = Pin<Box<dyn Future<Output = Result<Box<Exchange>, Fault>> + 'a>>;

impl<'a> Waiting<'a> {
    /// Until all filters have been called. Boxed: it is seldom, and large with its requests.
    pub fn settle(self: Box<Self>, way: Way<'a>, record: &'a mut Record) -> Settled<'a> {
        Box::pin(async move {
            let mut waiting = self;
            loop {
                let Waiting { index, exchange, asking, rest, call } = *waiting;
                let exchange = ask::settle(&way, index, exchange, asking, record).await?;
                match call(way.view, rest, exchange, record)? {
                    Called::All(exchange) => return Ok(exchange),
                    Called::Until(next) => waiting = next,
                }
            }
        })
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
