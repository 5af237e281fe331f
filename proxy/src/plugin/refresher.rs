//! The instance of a plugin's timer: it decides nothing, and lives on the control side. Calls block as
//! long as the plugin's deadline lets them: they are made on threads that may wait.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::ask::{Ask, Outbox, Replied};
use super::balancer::columns;
use super::bindings::exports::jackfield::plugin::{balancing, filtering, refreshing, replies};
use super::host::Host;
use super::instance::{Failure, Instance};
use super::usage::Usage;
use crate::config::PluginKind;
use crate::endpoint::EndpointSet;

pub struct Refresher {
    usage: Arc<Usage>,
    /// None before the first call, and after a failure.
    instance: Option<Box<Instance<Guest>>>,
}

/// What is called of an instance.
struct Guest {
    kind: Kind,
    refreshing: refreshing::Guest,
    replies: Option<replies::Guest>,
}

enum Kind {
    Balancer(balancing::Guest),
    Filter(filtering::Guest),
}

impl Refresher {
    /// Between two calls.
    const BOUNDS_MS: std::ops::RangeInclusive<u32> = 100..=3_600_000;

    pub fn new(usage: &Arc<Usage>) -> Self {
        Self { usage: Arc::clone(usage), instance: None }
    }

    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Answers when to call it next, counted from the last reply, and what it asks for. None when it
    /// failed or is in quarantine. `set`: the endpoints, where it is a balancer.
    pub fn tick(&mut self, set: Option<&Arc<EndpointSet>>) -> Option<(Duration, Vec<Ask>)> {
        if self.usage.shared.timer.health.is_quarantined() {
            return None;
        }
        self.usage.shared.timer.ticks.fetch_add(1, Relaxed);
        let ticked = self.call(|instance| {
            update(instance, set)?;
            instance.store.data_mut().outbox.left = Some(Outbox::MOST);
            instance.arm();
            instance.store.data_mut().begin_tick();
            let next = instance.guest.refreshing.call_tick(&mut instance.store);
            next.map_err(|error| instance.failure(&error))
        });
        let (next, asks) = ticked?;
        let (least, most) = Self::BOUNDS_MS.into_inner();
        Some((Duration::from_millis(next.clamp(least, most).into()), asks))
    }

    /// Answers what it asks for now; none when it failed: nothing more is to be handed to it.
    pub fn on_reply(&mut self, replied: Replied) -> Option<Vec<Ask>> {
        // An instance that is gone never asked.
        self.instance.as_ref()?;
        let Replied { pending, reply } = replied;
        let reply = reply.map(replies::Reply::from).map_err(replies::NoReply::from);
        let called = self.call(|instance| {
            instance.arm();
            instance.store.data_mut().begin_tick();
            let Some(listener) = &instance.guest.replies else { return Ok(()) };
            let reply = reply.as_ref().map_err(|reason| *reason);
            let heard = listener.call_on_reply(&mut instance.store, pending.ticket, reply);
            heard.map_err(|error| instance.failure(&error))
        });
        called.map(|((), asks)| asks)
    }

    /// Starts an instance where there is none, and throws it away when it fails.
    fn call<T>(&mut self, call: impl FnOnce(&mut Instance<Guest>) -> Result<T, Failure>) -> Option<(T, Vec<Ask>)> {
        let begin = Instant::now();
        let run = || {
            let instance = match &mut self.instance {
                Some(instance) => instance,
                none => none.insert(Box::new(start(&self.usage)?)),
            };
            let answer = call(instance)?;
            Ok((answer, instance.store.data_mut().end_tick()))
        };
        let result = run();
        // Workers have shards of their own.
        self.usage.shared.totals.count(usize::MAX, begin.elapsed());
        match result {
            Ok(done) => {
                self.usage.shared.timer.health.succeeded();
                Some(done)
            }
            Err(failure) => {
                self.usage.note_timer_failure(&failure);
                self.instance = None;
                None
            }
        }
    }
}

fn start(usage: &Arc<Usage>) -> Result<Instance<Guest>, Failure> {
    let plugin = &usage.plugin;
    let is_no = |what: &'static str| move || wasmtime::format_err!("it is no {what}");
    let load = |store: &mut Store<Host>, pre: &InstancePre<Host>| {
        let instance = pre.instantiate(&mut *store)?;
        let kind = match usage.config.kind {
            PluginKind::Balancer => {
                let indices = plugin.balancing.as_ref().ok_or_else(is_no("balancer"))?;
                Kind::Balancer(indices.load(&mut *store, &instance)?)
            }
            PluginKind::HttpFilter => {
                let indices = plugin.filtering.as_ref().ok_or_else(is_no("HTTP filter"))?;
                Kind::Filter(indices.load(&mut *store, &instance)?)
            }
        };
        let replies = plugin.replies.as_ref().map(|indices| indices.load(&mut *store, &instance)).transpose()?;
        let refreshing = plugin.refreshing.as_ref().ok_or_else(is_no("plugin with a timer"))?;
        Ok(Guest { kind, refreshing: refreshing.load(store, &instance)?, replies })
    };
    let configure = |guest: &Guest, store: &mut Store<Host>, settings: &str| match &guest.kind {
        Kind::Balancer(balancing) => balancing.call_configure(store, settings),
        Kind::Filter(filtering) => Ok(filtering.call_configure(store, settings)?.map(drop)),
    };
    Instance::start(usage, load, configure).map(|(instance, ())| instance)
}

/// A balancer knows the endpoints of the moment in each call.
fn update(instance: &mut Instance<Guest>, set: Option<&Arc<EndpointSet>>) -> Result<(), Failure> {
    let known = instance.store.data().generation();
    let Some(set) = set.filter(|set| known != Some(set.generation)) else { return Ok(()) };
    instance.store.data_mut().set = Some(Arc::clone(set));
    instance.arm_for_update();
    let Kind::Balancer(balancing) = &instance.guest.kind else { return Ok(()) };
    let updated = balancing.call_update(&mut instance.store, &columns(set));
    updated.map_err(|error| instance.update_failure(&error))
}
