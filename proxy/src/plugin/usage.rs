//! A plugin put to use at one place of the configuration: what all workers share of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ask::Asks;
use super::body::HeldBytes;
use super::component::Plugin;
use super::health::{Health, News};
use super::instance::Failure;
use super::log::LogGate;
use super::metrics::Registry;
use super::state::{Store, Stores};
use crate::config::{Grant, PluginUse, UpstreamIndex};

/// Upstreams by name, for filters that choose one.
pub type Names = HashMap<Arc<str>, UpstreamIndex>;

#[derive(Debug)]
pub struct Usage {
    pub config: PluginUse,
    pub plugin: Arc<Plugin>,
    /// The balancer that this one wraps.
    pub then: Option<Arc<Usage>>,
    pub(super) names: Arc<Names>,
    /// Those that it is granted; their positions are the numbers that the plugin knows them by.
    pub(super) stores: Vec<(Arc<str>, Arc<dyn Store>)>,
    /// Whether what it says reaches the log.
    pub(super) may_log: bool,
    /// Kept when a reload or a new version of the plugin leaves the place as it is.
    pub shared: Arc<Shared>,
}

/// What outlives reloads and new versions.
#[derive(Debug, Default)]
pub struct Shared {
    pub(super) counters: [AtomicU64; 16],
    pub health: Health,
    pub totals: Totals,
    pub asks: Asks,
    pub timer: Timer,
    pub(super) log_lines: LogGate,
    pub metrics: Registry,
    pub(super) held_bodies: HeldBytes,
}

impl Shared {
    /// Lines that were too many for the log.
    pub fn log_dropped(&self) -> u64 {
        self.log_lines.dropped()
    }
}

/// What is known of a use's timer.
#[derive(Debug, Default)]
pub struct Timer {
    /// Of its own: what fails in `tick` says nothing about decisions, and the other way round.
    pub health: Health,
    pub ticks: AtomicU64,
    /// When the next call is to come; none: at once.
    due: Mutex<Option<Instant>>,
}

impl Timer {
    pub fn due(&self) -> Option<Instant> {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_due(&self, due: Option<Instant>) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }
}

impl Usage {
    pub fn new(
        config: PluginUse,
        plugin: Arc<Plugin>,
        then: Option<Arc<Usage>>,
        names: Arc<Names>,
        shared: Arc<Shared>,
    ) -> Self {
        let may_log = config.grants.contains(&Grant::Log);
        Self { config, plugin, then, names, stores: Vec::new(), may_log, shared }
    }

    /// With those of these stores that it is granted.
    #[must_use]
    pub fn with_stores(mut self, stores: &Stores) -> Self {
        let granted = self.config.grants.iter().filter_map(|grant| match grant {
            Grant::State(name) => Some((Arc::clone(name), Arc::clone(stores.get(name)?))),
            _ => None,
        });
        self.stores = granted.collect();
        self
    }

    /// What goes on from the use of a plugin at the same place in the configuration before.
    pub fn inherit(config: &PluginUse, plugin: &Plugin, before: &Self) -> Arc<Shared> {
        let same_plugin = before.plugin.digest == plugin.digest;
        let (old, new) = (&before.config, config);
        let same_use = old.settings == new.settings && old.limits == new.limits && old.grants == new.grants;
        if !same_plugin || !same_use {
            before.shared.health.forget();
            before.shared.timer.health.forget();
            before.shared.timer.set_due(None);
        }
        Arc::clone(&before.shared)
    }

    /// The upstream of this name, if it may send requests of its own there.
    pub(super) fn granted_upstream(&self, name: &str) -> Option<UpstreamIndex> {
        let is_granted = |grant: &Grant| matches!(grant, Grant::Http(upstream) if **upstream == *name);
        self.config.grants.iter().any(is_granted).then(|| self.names.get(name).copied()).flatten()
    }

    /// Whether it may send requests of its own anywhere.
    pub fn may_ask(&self) -> bool {
        self.plugin.replies.is_some() && self.config.grants.iter().any(|grant| matches!(grant, Grant::Http(_)))
    }

    /// Whether it wants to be called from time to time, and may be.
    pub fn has_timer(&self) -> bool {
        self.plugin.refreshing.is_some() && self.config.grants.contains(&Grant::Timer)
    }

    /// Counts a failure, and says so in the log where that is news. `took`: how long the worker was kept.
    pub(super) fn note_failure(&self, failure: &Failure, took: Duration) {
        let first = "plugin failed; its failure policy applies";
        let again = "plugin keeps failing; quarantined, its failure policy applies without calling it";
        self.note(failure, took, &self.shared.health, [first, again]);
    }

    /// The same of a call by the timer.
    pub(super) fn note_timer_failure(&self, failure: &Failure) {
        let first = "plugin failed in its timer; it is called again";
        let again = "plugin keeps failing in its timer; quarantined, its timer is not called";
        // Nobody waited for it.
        self.note(failure, Duration::ZERO, &self.shared.timer.health, [first, again]);
    }

    fn note(&self, failure: &Failure, took: Duration, health: &Health, [first, again]: [&str; 2]) {
        self.shared.totals.failures.fetch_add(1, Relaxed);
        let news = health.failed(took);
        let (plugin, place, backtrace) = (&*self.config.plugin, &*self.config.label, failure.backtrace());
        match news {
            News::None => {}
            News::First => {
                tracing::warn!(plugin, place, %failure, backtrace, "{first}");
            }
            News::Quarantined(pause) => tracing::error!(
                plugin, place, %failure, backtrace, pause_ms = pause.as_millis() as u64,
                "{again}"
            ),
        }
    }
}

/// Totals since the process began, for metrics. Calls and time are kept by worker, each on a cache
/// line of its own, and added up when somebody asks.
#[derive(Debug, Default)]
pub struct Totals {
    shards: [Shard; Self::SHARDS],
    /// Of all workers beyond those.
    rest: Shard,
    failures: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    calls: AtomicU64,
    nanos: AtomicU64,
}

impl Totals {
    const SHARDS: usize = 16;

    pub(super) fn count(&self, worker: usize, took: Duration) {
        let nanos = took.as_nanos() as u64;
        if let Some(own) = self.shards.get(worker) {
            // Nobody else writes here: a plain addition costs a tenth of an atomic one.
            own.calls.store(own.calls.load(Relaxed) + 1, Relaxed);
            own.nanos.store(own.nanos.load(Relaxed) + nanos, Relaxed);
        } else {
            self.rest.calls.fetch_add(1, Relaxed);
            self.rest.nanos.fetch_add(nanos, Relaxed);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().chain([&self.rest])
    }

    pub fn calls(&self) -> u64 {
        self.all().map(|shard| shard.calls.load(Relaxed)).sum()
    }

    /// Wall time spent in calls.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.all().map(|shard| shard.nanos.load(Relaxed)).sum())
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }
}
