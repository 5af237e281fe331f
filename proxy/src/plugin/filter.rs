//! A worker's HTTP filter: one warm instance, called synchronously, and what happens when it fails.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use super::balancer::protocol;
use super::bindings::exports::jackfield::plugin::filtering::{FilterContext, Guest, Phases};
use super::bindings::jackfield::plugin::types::Address;
use super::exchange::Exchange;
use super::host::{Host, Phase};
use super::instance::{Failure, Instance, Order, OrderState};
use super::usage::Usage;
use crate::config::OnFailure;

/// What came of a filter's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Go on (also when the filter gave an answer: that stands in the exchange).
    Continue,
    /// The plugin failed, and the policy of its use is `closed`.
    Failed,
}

/// One of the functions that a filter exports.
type Call = fn(&Guest, &mut Store<Host>, FilterContext) -> wasmtime::Result<()>;

pub struct Filter {
    usage: Arc<Usage>,
    worker: usize,
    state: FilterState,
    phases: Phases,
}

enum FilterState {
    Ready(Box<Instance<Guest>>),
    Starting(Order<Instance<Guest>>),
    Down,
}

impl Filter {
    /// With a fresh instance. Not for workers: it runs the plugin's start and `configure`.
    pub fn start(usage: &Arc<Usage>, worker: usize) -> Result<Self, Failure> {
        let (instance, phases) = start(usage)?;
        Ok(Self { usage: Arc::clone(usage), worker, state: FilterState::Ready(Box::new(instance)), phases })
    }

    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    pub fn wants_request(&self) -> bool {
        self.phases.contains(Phases::REQUEST)
    }

    pub fn wants_response(&self) -> bool {
        self.phases.contains(Phases::RESPONSE)
    }

    pub fn on_request(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Outcome) {
        self.run(exchange, Phase::Request, |guest, store, context| guest.call_on_request(store, context))
    }

    pub fn on_response(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Outcome) {
        self.run(exchange, Phase::Response, |guest, store, context| guest.call_on_response(store, context))
    }

    /// The call of the instance as it is, and why it failed: see [`super::Balancer::attempt`].
    pub fn attempt_request(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Result<(), Failure>) {
        self.attempt(exchange, Phase::Request, |guest, store, context| guest.call_on_request(store, context))
    }

    pub fn attempt_response(&mut self, exchange: Box<Exchange>) -> (Box<Exchange>, Result<(), Failure>) {
        self.attempt(exchange, Phase::Response, |guest, store, context| guest.call_on_response(store, context))
    }

    fn attempt(&mut self, exchange: Box<Exchange>, phase: Phase, call: Call) -> (Box<Exchange>, Result<(), Failure>) {
        let FilterState::Ready(instance) = &mut self.state else { return (exchange, Ok(())) };
        call_instance(instance, Instant::now(), exchange, phase, call)
    }

    /// Linear memory of the instance, in bytes; 0 while there is none.
    pub fn memory(&self) -> usize {
        match &self.state {
            FilterState::Ready(instance) => instance.store.data().memory.used(),
            _ => 0,
        }
    }

    fn run(&mut self, exchange: Box<Exchange>, phase: Phase, call: Call) -> (Box<Exchange>, Outcome) {
        if self.usage.shared.health.is_quarantined() || !self.make_ready() {
            return (exchange, self.policy());
        }
        let FilterState::Ready(instance) = &mut self.state else { return (exchange, self.policy()) };
        let (begin, upstream) = (Instant::now(), exchange.upstream);
        let (mut exchange, result) = call_instance(instance, begin, exchange, phase, call);
        let took = begin.elapsed();
        exchange.plugin_time += took;
        self.usage.shared.totals.count(self.worker, took);
        match result {
            Ok(()) => {
                self.usage.shared.health.succeeded();
                (exchange, Outcome::Continue)
            }
            Err(failure) => {
                self.usage.note_failure(&failure);
                self.state = FilterState::Starting(order(&self.usage));
                // What a failed filter decided does not count; headers that it changed stay changed.
                exchange.answer = None;
                exchange.upstream = upstream;
                (exchange, self.policy())
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
fn call_instance(
    instance: &mut Instance<Guest>,
    begin: Instant,
    exchange: Box<Exchange>,
    phase: Phase,
    call: Call,
) -> (Box<Exchange>, Result<(), Failure>) {
    let context = context(&exchange);
    instance.arm();
    let host = instance.store.data_mut();
    host.give_exchange(exchange, phase);
    host.set_clock(begin);
    let result = call(&instance.guest, &mut instance.store, context);
    let exchange = instance.store.data_mut().take_exchange();
    (exchange, result.map_err(|error| instance.failure(&error)))
}

fn start(usage: &Arc<Usage>) -> Result<(Instance<Guest>, Phases), Failure> {
    let load = |store: &mut Store<_>, pre: &wasmtime::component::InstancePre<_>| {
        let indices = usage.plugin.filtering.as_ref().ok_or_else(|| wasmtime::format_err!("it is no HTTP filter"))?;
        let instance = pre.instantiate(&mut *store)?;
        indices.load(store, &instance)
    };
    Instance::start(usage, load, |guest, store, settings| guest.call_configure(store, settings))
}

fn order(usage: &Arc<Usage>) -> Order<Instance<Guest>> {
    let usage = Arc::clone(usage);
    Order::place(move || {
        let started = start(&usage).inspect_err(|failure| usage.note_failure(failure));
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
