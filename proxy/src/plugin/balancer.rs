//! A worker's balancer: one warm instance, called synchronously, and what happens when it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bindings::exports::jackfield::plugin::balancing::{
    EndpointSet as Columns, EndpointState as State, Guest, PickContext,
};
use super::bindings::jackfield::plugin::types::Protocol as WitProtocol;
use super::choice::Choice;
use super::exchange::{Exchange, Protocol};
use super::host::{Phase, random64};
use super::instance::{Failure, Instance, Order, OrderState};
use super::usage::Usage;
use crate::config::OnFailure;
use crate::endpoint::{EndpointSet, EndpointState};

/// `none`, in the contract.
pub(super) const NONE: u32 = u32::MAX;

/// What came of a pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A position in the endpoint set.
    Endpoint(usize),
    /// There is nobody to choose, or the balancer chose nobody.
    Nobody,
    /// The plugin failed, and the policy of its use is `closed`.
    Failed,
}

pub struct Balancer {
    usage: Arc<Usage>,
    worker: usize,
    state: BalancerState,
    /// Lives in the instance's store while there is one.
    delegate: Option<Box<Balancer>>,
}

enum BalancerState {
    Ready(Box<Instance<Guest>>),
    Starting(Order<Box<Instance<Guest>>>),
    /// No instance, and none on its way.
    Down,
}

impl Balancer {
    /// With a fresh instance, and fresh ones of the balancers that it wraps. Not for workers: it
    /// runs the plugin's start, `configure` and first `update`.
    pub fn start(usage: &Arc<Usage>, worker: usize, set: &Arc<EndpointSet>) -> Result<Self, Failure> {
        let delegate = usage.then.as_ref().map(|then| Self::start(then, worker, set)).transpose()?.map(Box::new);
        let mut instance = start(usage, set)?;
        instance.store.data_mut().delegate = delegate;
        Ok(Self { usage: Arc::clone(usage), worker, state: BalancerState::Ready(instance), delegate: None })
    }

    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// One decision. The exchange and the choice travel into the instance and come back.
    pub fn pick(
        &mut self,
        exchange: Box<Exchange>,
        choice: &mut Choice,
        set: &Arc<EndpointSet>,
    ) -> (Box<Exchange>, Decision) {
        let begin = Instant::now();
        // A wrapped balancer adds its time too, which is part of this one's.
        let (before, replies) = (exchange.plugin_time, exchange.reply.len());
        let (mut exchange, result) = self.call(begin, exchange, choice, set);
        let took = begin.elapsed();
        exchange.plugin_time = before + took;
        let decision = match result {
            Some(Ok(NONE)) => Decision::Nobody,
            Some(Ok(index)) => Decision::Endpoint(index as usize),
            Some(Err(failure)) => {
                self.usage.note_failure(&failure, took);
                // They spoke of another endpoint than the one that is chosen now.
                exchange.reply.truncate(replies);
                self.policy(choice, set)
            }
            None => return (exchange, self.policy(choice, set)),
        };
        self.usage.shared.totals.count(self.worker, took);
        (exchange, decision)
    }

    /// One decision of the instance as it is, and why there is none: no policy, no quarantine, no new
    /// instance after a failure. For trials, which want to see the plugin and not what covers for it.
    pub fn attempt(
        &mut self,
        begin: Instant,
        exchange: Box<Exchange>,
        choice: &mut Choice,
        set: &Arc<EndpointSet>,
    ) -> (Box<Exchange>, Result<Decision, Failure>) {
        let BalancerState::Ready(instance) = &mut self.state else { return (exchange, Ok(Decision::Failed)) };
        instance.store.data_mut().set_clock(begin);
        let (exchange, result) = call_pick(instance, exchange, choice, set);
        let decision = |answer| if answer == NONE { Decision::Nobody } else { Decision::Endpoint(answer as usize) };
        (exchange, result.map(decision))
    }

    /// Tells the instance of other endpoints, as the next pick would.
    pub fn attempt_update(&mut self, set: &Arc<EndpointSet>) -> Result<(), Failure> {
        match &mut self.state {
            BalancerState::Ready(instance) => call_update(instance, set),
            _ => Ok(()),
        }
    }

    /// Linear memory of the instance, in bytes; 0 while there is none.
    pub fn memory(&self) -> usize {
        match &self.state {
            BalancerState::Ready(instance) => instance.store.data().memory.used(),
            _ => 0,
        }
    }

    /// None: there is no instance to call.
    fn call(
        &mut self,
        begin: Instant,
        exchange: Box<Exchange>,
        choice: &mut Choice,
        set: &Arc<EndpointSet>,
    ) -> (Box<Exchange>, Option<Result<u32, Failure>>) {
        if self.usage.shared.health.is_quarantined() || !self.make_ready(set) {
            return (exchange, None);
        }
        let BalancerState::Ready(instance) = &mut self.state else { return (exchange, None) };
        instance.store.data_mut().set_clock(begin);
        let (exchange, result) = call_pick(instance, exchange, choice, set);
        match &result {
            Ok(_) => self.usage.shared.health.succeeded(),
            // The instance did nothing wrong that it would not do again: it may stay.
            Err(Failure::OutOfRange { .. } | Failure::NotAllowed(_)) => {}
            Err(_) => self.replace(set),
        }
        (exchange, Some(result))
    }

    /// Takes a new instance over that has become ready, or orders one.
    fn make_ready(&mut self, set: &Arc<EndpointSet>) -> bool {
        match std::mem::replace(&mut self.state, BalancerState::Down) {
            BalancerState::Ready(instance) => self.state = BalancerState::Ready(instance),
            BalancerState::Down => self.state = BalancerState::Starting(order(&self.usage, set)),
            BalancerState::Starting(order) => match order.collect() {
                Ok(mut instance) => {
                    instance.store.data_mut().delegate = self.delegate.take();
                    self.state = BalancerState::Ready(instance);
                }
                Err(OrderState::Waiting(order)) => self.state = BalancerState::Starting(order),
                Err(OrderState::Failed) => {}
            },
        }
        matches!(self.state, BalancerState::Ready(_))
    }

    /// After a trap the whole store is dead. The delegate did nothing wrong: it is kept.
    fn replace(&mut self, set: &Arc<EndpointSet>) {
        let next = BalancerState::Starting(order(&self.usage, set));
        if let BalancerState::Ready(mut dead) = std::mem::replace(&mut self.state, next) {
            self.delegate = dead.store.data_mut().delegate.take();
        }
    }

    fn policy(&self, choice: &Choice, set: &EndpointSet) -> Decision {
        match self.usage.config.on_failure {
            OnFailure::Closed => Decision::Failed,
            OnFailure::Fallback | OnFailure::Open => plain_choice(choice, set),
        }
    }
}

/// The host's own choice: the less busy of two eligible endpoints.
fn plain_choice(choice: &Choice, set: &EndpointSet) -> Decision {
    let count = choice.eligible_count(set) as usize;
    if count == 0 {
        return Decision::Nobody;
    }
    let nth = |n: usize| choice.eligible(set).nth(n % count).map(|index| index as usize);
    let bits = random64();
    let candidates = [nth(bits as u32 as usize), nth((bits >> 32) as usize)];
    let active = |index: &usize| set.endpoints[*index].stats.active();
    candidates.into_iter().flatten().min_by_key(active).map_or(Decision::Nobody, Decision::Endpoint)
}

/// An instance that is configured and knows these endpoints: an update may take long, so it is
/// best done here, off the workers.
fn start(usage: &Arc<Usage>, set: &Arc<EndpointSet>) -> Result<Box<Instance<Guest>>, Failure> {
    let load = |store: &mut wasmtime::Store<_>, pre: &wasmtime::component::InstancePre<_>| {
        let indices = usage.plugin.balancing.as_ref().ok_or_else(|| wasmtime::format_err!("it is no balancer"))?;
        let instance = pre.instantiate(&mut *store)?;
        indices.load(store, &instance)
    };
    let (instance, ()) = Instance::start(usage, load, |guest, store, settings| guest.call_configure(store, settings))?;
    let mut instance = Box::new(instance);
    call_update(&mut instance, set)?;
    Ok(instance)
}

fn order(usage: &Arc<Usage>, set: &Arc<EndpointSet>) -> Order<Box<Instance<Guest>>> {
    let (usage, set) = (Arc::clone(usage), Arc::clone(set));
    Order::place(move || start(&usage, &set).inspect_err(|failure| usage.note_failure(failure, Duration::ZERO)).ok())
}

fn call_pick(
    instance: &mut Instance<Guest>,
    exchange: Box<Exchange>,
    choice: &mut Choice,
    set: &Arc<EndpointSet>,
) -> (Box<Exchange>, Result<u32, Failure>) {
    if instance.store.data().generation() != Some(set.generation)
        && let Err(failure) = call_update(instance, set)
    {
        return (exchange, Err(failure));
    }
    let context = PickContext {
        client: exchange.client.hash,
        attempt: choice.attempts(),
        endpoints: set.len() as u32,
        eligible: choice.eligible_count(set),
        protocol: protocol(exchange.client.protocol),
    };
    instance.arm();
    let host = instance.store.data_mut();
    host.give_exchange(exchange, Phase::Pick);
    host.choice = std::mem::take(choice);
    let result = instance.guest.call_pick(&mut instance.store, context);
    let host = instance.store.data_mut();
    *choice = std::mem::take(&mut host.choice);
    let exchange = host.take_exchange();
    let result = match result {
        Ok(answer) => check(answer, choice, set),
        Err(error) => Err(instance.failure(&error)),
    };
    (exchange, result)
}

/// The host obeys any answer that was not tried yet and is among the candidates.
fn check(answer: u32, choice: &Choice, set: &EndpointSet) -> Result<u32, Failure> {
    if answer == NONE || choice.allows(set, answer) {
        Ok(answer)
    } else if (answer as usize) < set.len() {
        Err(Failure::NotAllowed(answer))
    } else {
        Err(Failure::OutOfRange { answer, endpoints: set.len() })
    }
}

fn call_update(instance: &mut Instance<Guest>, set: &Arc<EndpointSet>) -> Result<(), Failure> {
    instance.store.data_mut().set = Some(Arc::clone(set));
    instance.arm_for_update();
    let result = instance.guest.call_update(&mut instance.store, &columns(set));
    result.map_err(|error| instance.update_failure(&error))
}

pub(super) fn columns(set: &EndpointSet) -> Columns {
    let state = |state: &EndpointState| match state {
        EndpointState::Healthy => State::Healthy,
        EndpointState::Unhealthy => State::Unhealthy,
        EndpointState::Draining => State::Draining,
    };
    Columns {
        generation: set.generation,
        ids: set.endpoints.iter().map(|endpoint| endpoint.id).collect(),
        weights: set.endpoints.iter().map(|endpoint| endpoint.config.weight).collect(),
        states: set.states.iter().map(state).collect(),
        addresses: set.endpoints.iter().map(|endpoint| endpoint.config.name.clone()).collect(),
        labels: set.endpoints.iter().map(|endpoint| endpoint.config.labels.clone()).collect(),
    }
}

pub(super) fn protocol(protocol: Protocol) -> WitProtocol {
    match protocol {
        Protocol::Tcp => WitProtocol::Tcp,
        Protocol::Udp => WitProtocol::Udp,
        Protocol::Http1 => WitProtocol::Http1,
        Protocol::Http2 => WitProtocol::Http2,
    }
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Balancer({}, worker {})", self.usage.config.plugin, self.worker)
    }
}
