//! What a filter asks of services while a request waits: sent at once through the worker's own
//! upstreams, as a client's request is, but past all filters, and so without a way to ask in a circle.
//! Each reply is handed to the filter when it is there. Dropping the wait drops what is outstanding.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::filters::{Way, check};
use super::forward::{Forward, Rest, Sent};
use super::record::Record;
use crate::body::Held;
use crate::config::UseIndex;
use crate::error::Fault;
use crate::plugin::{Ask, Asking, Client, Exchange, NoReply, Pending, Replied, Reply};
use crate::upstream::orca;

type Question<'a> = Pin<Box<dyn Future<Output = Replied> + 'a>>;

/// Until nothing is outstanding, or the filter has given its answer.
pub async fn settle(
    way: &Way<'_>,
    index: UseIndex,
    mut exchange: Box<Exchange>,
    mut asking: Box<Asking>,
    record: &mut Record,
) -> Result<Box<Exchange>, Fault> {
    let limit = way.limit.map(|limit| record.began() + limit);
    let waiting = Waiting { begin: Instant::now(), busy: record.plugin_time(), record };
    let client = Arc::clone(&exchange.client);
    let mut questions: Vec<Question<'_>> = Vec::new();
    loop {
        for ask in asking.asks.drain(..) {
            questions.push(Box::pin(question(way, limit, Arc::clone(&client), ask)));
        }
        if questions.is_empty() {
            return Ok(exchange);
        }
        let replied = first(&mut questions).await;
        // Others may have called the filter meanwhile; it may be another instance by now.
        let mut filter = way.view.filter(index).ok_or(Fault::NotServing)?.borrow_mut();
        let (back, outcome) = filter.on_reply(exchange, asking, replied);
        exchange = back;
        waiting.record.follow(&exchange);
        match check(&filter, outcome)? {
            Some(more) => asking = more,
            None => return Ok(exchange),
        }
    }
}

/// Adds up how long a request waits; also when its client does not wait any longer.
struct Waiting<'a> {
    begin: Instant,
    /// What plugins had used before.
    busy: Duration,
    record: &'a mut Record,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let busy = self.record.plugin_time().saturating_sub(self.busy);
        self.record.plugin_wait += self.begin.elapsed().saturating_sub(busy);
    }
}

/// There are few: each one is asked again whenever one of them wakes the task.
async fn first(questions: &mut Vec<Question<'_>>) -> Replied {
    poll_fn(|context| {
        for position in 0..questions.len() {
            if let Poll::Ready(replied) = questions[position].as_mut().poll(context) {
                drop(questions.swap_remove(position));
                return Poll::Ready(replied);
            }
        }
        Poll::Pending
    })
    .await
}

async fn question(way: &Way<'_>, limit: Option<Instant>, client: Arc<Client>, ask: Ask) -> Replied {
    let Ask { upstream, request, body, timeout, mut pending } = ask;
    let until = Instant::now() + timeout;
    let until = limit.map_or(until, |limit| until.min(limit));
    let forward = way.view.upstreams.get(upstream).map(|local| Forward {
        connection: way.connection,
        local,
        upgrade: None,
        keep_head: false,
        passes_interim: false,
        deadline: until,
    });
    let reply = match forward {
        Some(forward) => reply(&forward, Exchange::new(client, Some(request)), body, &mut pending).await,
        None => Err(NoReply::Unreachable),
    };
    pending.end(reply)
}

async fn reply(
    forward: &Forward<'_>,
    exchange: Box<Exchange>,
    body: Bytes,
    pending: &mut Pending,
) -> Result<Reply, NoReply> {
    if Instant::now() >= forward.deadline {
        return Err(NoReply::Timeout);
    }
    let (_, sent) = forward.send(exchange, Held { data: body, trailers: None }.into()).await;
    let no_reply = |fault: Fault| {
        tracing::debug!(upstream = &*forward.local.upstream.config.name, %fault, "no reply for a plugin");
        if matches!(fault, Fault::Timeout) { NoReply::Timeout } else { NoReply::Unreachable }
    };
    // Counted as active until the last byte is there.
    let Sent { response, picked: _picked } = sent.map_err(no_reply)?;
    let mut head = response.head;
    if forward.local.upstream.config.load.orca {
        head.headers.remove(&orca::HEADER);
    }
    let Rest::Body(download) = response.rest else { return Err(NoReply::Unreachable) };
    pending.hold_head(&head.headers)?;
    let whole = pin!(pending.collect(download));
    let body = forward.connection.timers.until(forward.deadline, whole).await.unwrap_or(Err(NoReply::Timeout))?;
    Ok(Reply::new(head, body))
}
