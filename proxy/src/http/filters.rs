//! The plugins on a request's way: in their order when it comes, in reverse when the response goes.

use super::record::Record;
use crate::config::UseIndex;
use crate::error::Fault;
use crate::plugin::{Exchange, Filter, Outcome};
use crate::worker::View;

pub fn on_request(
    view: &View,
    uses: &[UseIndex],
    mut exchange: Box<Exchange>,
    record: &mut Record,
) -> Result<Box<Exchange>, Fault> {
    for index in uses {
        let mut filter = view.filter(*index).ok_or(Fault::NotServing)?.borrow_mut();
        if exchange.answer.is_some() || !filter.wants_request() {
            continue;
        }
        let (back, outcome) = filter.on_request(exchange);
        exchange = back;
        record.follow(&exchange);
        check(&filter, outcome)?;
    }
    Ok(exchange)
}

/// In reverse: who saw the request first sees the response last.
pub fn on_response(
    view: &View,
    uses: &[UseIndex],
    mut exchange: Box<Exchange>,
    record: &mut Record,
) -> Result<Box<Exchange>, Fault> {
    for index in uses.iter().rev() {
        let mut filter = view.filter(*index).ok_or(Fault::NotServing)?.borrow_mut();
        if !filter.wants_response() {
            continue;
        }
        let (back, outcome) = filter.on_response(exchange);
        exchange = back;
        record.follow(&exchange);
        check(&filter, outcome)?;
    }
    Ok(exchange)
}

fn check(filter: &Filter, outcome: Outcome) -> Result<(), Fault> {
    match outcome {
        Outcome::Continue => Ok(()),
        Outcome::Failed => Err(Fault::Plugin(filter.usage().config.plugin.to_string())),
    }
}
