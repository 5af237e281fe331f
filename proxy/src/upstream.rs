//! An upstream as all workers share it: its endpoints of the moment, and how to reach them.
//! [`Local`] is a worker's own part: the balancer's instance and the kept-alive connections.

mod direct;
mod download;
pub mod http1;
mod local;
mod members;
pub mod orca;
mod pool;
mod tier;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

pub use direct::{Direct, reasons};
pub use download::{Download, DownloadError};
pub use local::{Local, NoEndpoint, Picked};
pub use pool::{Http2, Lease, Pool, Purpose};

use crate::config;
use crate::endpoint::{Endpoint, EndpointSet, Stats, Tier};
use crate::telemetry::{HealthMetrics, RequestMetrics};
use crate::tls;

pub struct Upstream {
    pub config: config::Upstream,
    /// There when endpoints are spoken to over TLS.
    pub tls: Option<tls::Connector>,
    pub metrics: Arc<RequestMetrics>,
    /// Of checks, and of what they and the traffic led to.
    pub health: Arc<HealthMetrics>,
    set: ArcSwap<EndpointSet>,
    /// Woken when an endpoint begins to ramp up, or a change waits for the next set.
    pub stale: Notify,
    /// Held while something changes and the next set is made; when the last one was.
    changing: Mutex<Option<Instant>>,
}

impl Upstream {
    /// Endpoints that `before` had under the same name keep what was measured of them.
    pub fn new(config: config::Upstream, tls: Option<tls::Connector>, before: Option<&Upstream>) -> Self {
        let old_set = before.map(Upstream::set);
        let old: HashMap<&str, &Arc<Stats>> = old_set
            .iter()
            .flat_map(|set| &set.endpoints)
            .map(|endpoint| (endpoint.config.name.as_str(), &endpoint.stats))
            .collect();
        let is_added = |name: &str| old_set.is_some() && !old.contains_key(name);
        let stats_of = |name: &str| {
            let stats = old.get(name).map_or_else(Arc::<Stats>::default, |stats| Arc::clone(stats));
            // Those that are there from the start have nobody to learn from.
            if config.slow_start.is_some() && is_added(name) {
                stats.standing.set_returned(true);
            }
            stats
        };
        let endpoint = |endpoint: &config::EndpointConfig| {
            Arc::new(Endpoint::new(endpoint.clone(), stats_of(endpoint.name.as_str())))
        };
        let endpoints: Vec<_> = config.endpoints.iter().map(endpoint).collect();
        let generation = old_set.as_ref().map_or(1, |set| set.generation + 1);
        let set = members::set_of(generation, &endpoints, &config, Instant::now());
        Self {
            tls,
            metrics: before.map_or_else(Arc::default, |before| Arc::clone(&before.metrics)),
            health: before.map_or_else(Arc::default, |before| Arc::clone(&before.health)),
            set: ArcSwap::from_pointee(set),
            stale: Notify::new(),
            changing: Mutex::new(None),
            config,
        }
    }

    pub fn set(&self) -> Arc<EndpointSet> {
        self.set.load_full()
    }

    /// Whether `set` is still the one of the moment: one atomic load.
    pub fn is_current(&self, set: &Arc<EndpointSet>) -> bool {
        Arc::ptr_eq(&self.set.load(), set)
    }

    /// Makes a new set when a state, a weight or the share of a tier changed.
    pub fn refresh(&self) {
        self.change(|| ());
    }

    /// Changes what is held against an endpoint. No set is made of half of it.
    pub fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        let mut made = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change();
        self.renew(&mut made);
        result
    }

    /// An endpoint serves again: with slow start its weight ramps up from now on.
    pub fn readmit(&self, endpoint: &Endpoint, change: impl FnOnce()) {
        self.change(|| {
            change();
            if self.config.slow_start.is_some() {
                endpoint.stats.standing.set_returned(true);
                self.stale.notify_one();
            }
        });
    }

    /// Of very many endpoints that change at once not each one makes a set.
    fn renew(&self, made: &mut Option<Instant>) {
        let (old, now) = (self.set(), Instant::now());
        if made.is_some_and(|made| now.saturating_duration_since(made) < old.least_age()) {
            return self.stale.notify_one();
        }
        let new = members::set_of(old.generation + 1, &old.endpoints, &self.config, now);
        if !new.looks_like(&old) {
            self.set.store(Arc::new(new));
            *made = Some(now);
        }
        self.tell_of_panic(&self.set().tiers);
    }

    /// Of its weight: 1, or less while it ramps up.
    pub fn share_of(&self, endpoint: &Endpoint) -> f64 {
        members::share_of(endpoint, self.config.slow_start, Instant::now())
    }

    fn tell_of_panic(&self, tiers: &[Tier]) {
        let mut told = self.health.panics.lock().unwrap_or_else(PoisonError::into_inner);
        let upstream = &*self.config.name;
        for &Tier { number: tier, panics, ref positions, .. } in tiers {
            let endpoints = positions.len();
            if panics && told.insert(tier) {
                tracing::warn!(upstream, tier, endpoints, "panic: too few endpoints are healthy, all are used");
            } else if !panics && told.remove(&tier) {
                tracing::info!(upstream, tier, endpoints, "panic is over: only healthy endpoints are used");
            }
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({})", self.config.name)
    }
}
