//! A worker's HTTP filter: one warm instance, called synchronously, and what happens when it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;

use super::ask::{Ask, Outbox, Replied};
use super::balancer::protocol;
use super::bindings::exports::jackfield::plugin::body_filtering::{self, Verdict as Said};
use super::bindings::exports::jackfield::plugin::filtering::{self, FilterContext, Phases};
use super::bindings::exports::jackfield::plugin::replies;
use super::bindings::jackfield::plugin::types::Address;
use super::body::{self, Deliveries, Delivery, Side, Verdict};
use super::exchange::Exchange;
use super::host::{Host, Phase};
use super::instance::{Failure, Instance, Order, OrderState};
use super::usage::Usage;
use crate::config::{Grant, OnFailure, UpstreamIndex};

/// What came of a filter's call.
pub enum Outcome {
    /// Go on (also when the filter gave an answer: that stands in the exchange).
    Continue,
    /// The plugin failed, and the policy of its use is `closed`.
    Failed,
    /// Send what it asks for, and tell it of the replies before the request goes on.
    Asks(Box<Asking>),
}

/// A filter that waits for replies, in one phase of one request.
pub struct Asking {
    /// What is to be sent now.
    pub asks: Vec<Ask>,
    phase: Phase,
    /// How much more it may send.
    left: Option<usize>,
    /// What was chosen before the filter was called at all.
    upstream: Option<UpstreamIndex>,
}

pub struct Filter {
    usage: Arc<Usage>,
    worker: usize,
    state: FilterState,
    wants: Wants,
}

/// The calls that a use wants.
struct Wants {
    phases: Phases,
    bodies: Deliveries,
}

/// What the plugin exports, as far as the use is granted it.
struct Guest {
    filtering: filtering::Guest,
    replies: Option<replies::Guest>,
    bodies: Option<body_filtering::Guest>,
}

enum FilterState {
    Ready(Box<Instance<Guest>>),
    Starting(Order<Instance<Guest>>),
    Down,
}

impl Filter {
    /// With a fresh instance. Not for workers: it runs the plugin's start and `configure`.
    pub fn start(usage: &Arc<Usage>, worker: usize) -> Result<Self, Failure> {
        let (instance, wants) = start(usage)?;
        Ok(Self { usage: Arc::clone(usage), worker, state: FilterState::Ready(Box::new(instance)), wants })
    }

    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    pub fn wants_request(&self) -> bool {
        self.wants.phases.contains(Phases::REQUEST)
    }

    pub fn wants_response(&self) -> bool {
        self.wants.phases.contains(Phases::RESPONSE)
    }

    /// Head or body.
    pub fn sees_response(&self) -> bool {
        self.wants_response() || self.delivery(Side::Response) != Delivery::Never
    }

    pub fn sees_bodies(&self) -> bool {
        [Side::Request, Side::Response].iter().any(|side| self.delivery(*side) != Delivery::Never)
    }

    pub fn on_request(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Outcome) {
        let context = context(&exchange);
        let call = |guest: &Guest, store: &mut Store<Host>| guest.filtering.call_on_request(store, context);
        self.begin(exchange, Phase::Request, call)
    }

    pub fn on_response(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Outcome) {
        let context = context(&exchange);
        let call = |guest: &Guest, store: &mut Store<Host>| guest.filtering.call_on_response(store, context);
        self.begin(exchange, Phase::Response, call)
    }

    /// The call of the instance as it is, and why it failed: see [`super::Balancer::attempt`]. What it
    /// asks of upstreams is dropped.
    pub fn attempt_request(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Result<(), Failure>) {
        let context = context(&exchange);
        self.attempt(exchange, Phase::Request, |guest, store| guest.filtering.call_on_request(store, context))
    }

    pub fn attempt_response(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Result<(), Failure>) {
        let context = context(&exchange);
        self.attempt(exchange, Phase::Response, |guest, store| guest.filtering.call_on_response(store, context))
    }

    fn attempt(
        &mut self,
        mut exchange: Box<Exchange>,
        phase: Phase,
        call: impl FnOnce(&Guest, &mut Store<Host>) -> wasmtime::Result<()>,
    ) -> (Box<Exchange>, Result<(), Failure>) {
        let FilterState::Ready(instance) = &mut self.state else { return (exchange, Ok(())) };
        exchange.outbox.left = Some(Outbox::MOST);
        let (mut exchange, result) = call_instance(instance, Instant::now(), exchange, phase, call);
        exchange.outbox.left = None;
        exchange.outbox.asks.clear();
        (exchange, result)
    }

    /// Linear memory of the instance, in bytes; 0 while there is none.
    pub fn memory(&self) -> usize {
        match &self.state {
            FilterState::Ready(instance) => instance.store.data().memory.used(),
            _ => 0,
        }
    }

    /// The first call of a phase.
    fn begin(
        &mut self,
        mut exchange: Box<Exchange>,
        phase: Phase,
        call: impl FnOnce(&Guest, &mut Store<Host>) -> wasmtime::Result<()>,
    ) -> (Box<Exchange>, Outcome) {
        let upstream = exchange.upstream;
        exchange.outbox.left = Some(Outbox::MOST);
        let (mut exchange, done) = self.run(exchange, phase, call);
        let left = exchange.outbox.left.take();
        let asks = std::mem::take(&mut exchange.outbox.asks);
        if done.is_none() {
            return (exchange, self.policy());
        }
        if asks.is_empty() || exchange.answer.is_some() {
            return (exchange, Outcome::Continue);
        }
        (exchange, Outcome::Asks(Box::new(Asking { asks, phase, left, upstream })))
    }

    /// With the exchange that it asked for. [`Outcome::Asks`] again: it waits for the rest of the replies,
    /// and for those to what it asks for now.
    pub fn on_reply(
        &mut self,
        mut exchange: Box<Exchange>,
        mut asking: Box<Asking>,
        replied: Replied,
    ) -> (Box<Exchange>, Outcome) {
        let Replied { pending, reply } = replied;
        let reply = reply.map(replies::Reply::from).map_err(replies::NoReply::from);
        let call = |guest: &Guest, store: &mut Store<Host>| match &guest.replies {
            Some(listener) => listener.call_on_reply(store, pending.ticket, reply.as_ref().map_err(|reason| *reason)),
            None => Ok(()),
        };
        exchange.outbox.left = asking.left;
        let (mut exchange, done) = self.run(exchange, asking.phase, call);
        asking.asks = std::mem::take(&mut exchange.outbox.asks);
        asking.left = exchange.outbox.left.take();
        if done.is_none() {
            exchange.upstream = asking.upstream;
            return (exchange, self.policy());
        }
        if exchange.answer.is_some() {
            return (exchange, Outcome::Continue);
        }
        (exchange, Outcome::Asks(asking))
    }

    pub fn delivery(&self, side: Side) -> Delivery {
        self.wants.bodies.of(side)
    }

    /// A piece of a body, or all of it: as [`Self::delivery`] says.
    pub fn on_body(
        &mut self,
        exchange: Box<Exchange>,
        side: Side,
        bytes: &[u8],
        end: bool,
    ) -> (Box<Exchange>, Verdict) {
        let call = |guest: &Guest, store: &mut Store<Host>| match (&guest.bodies, side) {
            (None, _) => Ok(Said::Pass),
            (Some(bodies), Side::Request) => bodies.call_on_request_body(store, bytes, end),
            (Some(bodies), Side::Response) => bodies.call_on_response_body(store, bytes, end),
        };
        let (exchange, said) = self.run(exchange, body::phase(side, self.delivery(side)), call);
        let verdict = match said {
            Some(said) => said.into(),
            None if self.usage.config.on_failure == OnFailure::Closed => Verdict::Failed,
            None => Verdict::Open,
        };
        (exchange, verdict)
    }

    /// None: the plugin failed, and its policy applies.
    fn run<R>(
        &mut self,
        exchange: Box<Exchange>,
        phase: Phase,
        call: impl FnOnce(&Guest, &mut Store<Host>) -> wasmtime::Result<R>,
    ) -> (Box<Exchange>, Option<R>) {
        if self.usage.shared.health.is_quarantined() || !self.make_ready() {
            return (exchange, None);
        }
        let FilterState::Ready(instance) = &mut self.state else { return (exchange, None) };
        let (begin, upstream) = (Instant::now(), exchange.upstream);
        let (mut exchange, result) = call_instance(instance, begin, exchange, phase, call);
        let took = begin.elapsed();
        exchange.plugin_time += took;
        self.usage.shared.totals.count(self.worker, took);
        match result {
            Ok(done) => {
                self.usage.shared.health.succeeded();
                (exchange, Some(done))
            }
            Err(failure) => {
                self.usage.note_failure(&failure, took);
                self.state = FilterState::Starting(order(&self.usage));
                // What a failed filter decided does not count; headers that it changed stay changed.
                exchange.answer = None;
                exchange.upstream = upstream;
                (exchange, None)
            }
        }
    }

    fn make_ready(&mut self) -> bool {
        match std::mem::replace(&mut self.state, FilterState::Down) {
            FilterState::Ready(instance) => self.state = FilterState::Ready(instance),
            FilterState::Down => self.state = FilterState::Starting(order(&self.usage)),
            FilterState::Starting(order) => match order.collect() {
                Ok(instance) => self.state = FilterState::Ready(Box::new(instance)),
                Err(OrderState::Waiting(order)) => self.state = FilterState::Starting(order),
                Err(OrderState::Failed) => {}
            },
        }
        matches!(self.state, FilterState::Ready(_))
    }

    fn policy(&self) -> Outcome {
        match self.usage.config.on_failure {
            OnFailure::Open | OnFailure::Fallback => Outcome::Continue,
            OnFailure::Closed => Outcome::Failed,
        }
    }
}

/// The exchange travels into the instance and comes back.
fn call_instance<R>(
    instance: &mut Instance<Guest>,
    begin: Instant,
    exchange: Box<Exchange>,
    phase: Phase,
    call: impl FnOnce(&Guest, &mut Store<Host>) -> wasmtime::Result<R>,
) -> (Box<Exchange>, Result<R, Failure>) {
    instance.arm();
    let host = instance.store.data_mut();
    host.give_exchange(exchange, phase);
    host.set_clock(begin);
    let result = call(&instance.guest, &mut instance.store);
    let exchange = instance.store.data_mut().take_exchange();
    (exchange, result.map_err(|error| instance.failure(&error)))
}

fn start(usage: &Arc<Usage>) -> Result<(Instance<Guest>, Wants), Failure> {
    let bodies = usage.plugin.bodies.as_ref().filter(|_| usage.config.grants.contains(&Grant::Body));
    let load = |store: &mut Store<_>, pre: &wasmtime::component::InstancePre<_>| {
        let indices = usage.plugin.filtering.as_ref().ok_or_else(|| wasmtime::format_err!("it is no HTTP filter"))?;
        let instance = pre.instantiate(&mut *store)?;
        let bodies = bodies.map(|indices| indices.load(&mut *store, &instance)).transpose()?;
        let replies = usage.plugin.replies.as_ref().map(|indices| indices.load(&mut *store, &instance)).transpose()?;
        Ok(Guest { filtering: indices.load(store, &instance)?, replies, bodies })
    };
    Instance::start(usage, load, |guest, store, settings| {
        let phases = match guest.filtering.call_configure(&mut *store, settings)? {
            Ok(phases) => phases,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let wishes = guest.bodies.as_ref().map(|bodies| bodies.call_deliveries(store)).transpose()?;
        Ok(Ok(Wants { phases, bodies: wishes.map_or_else(Deliveries::default, Deliveries::from) }))
    })
}

fn order(usage: &Arc<Usage>) -> Order<Instance<Guest>> {
    let usage = Arc::clone(usage);
    Order::place(move || {
        let started = start(&usage).inspect_err(|failure| usage.note_failure(failure, Duration::ZERO));
        started.ok().map(|(instance, _)| instance)
    })
}

fn context(exchange: &Exchange) -> FilterContext {
    let (high, low) = exchange.client.ip_halves();
    FilterContext {
        client: Address { high, low },
        protocol: protocol(exchange.client.protocol),
        is_tls: exchange.client.tls,
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({}, worker {})", self.usage.config.plugin, self.worker)
    }
}
