//! An upstream as all workers share it: its endpoints of the moment, and how to reach them.
//! [`Local`] is a worker's own part: the balancer's instance and the kept-alive connections.

mod download;
pub mod http1;
mod local;
pub mod orca;
mod pool;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

pub use download::{Download, DownloadError};
pub use local::{Local, NoEndpoint, Picked};
pub use pool::{Http2, Lease, Pool, Purpose};

use crate::config;
use crate::endpoint::{Endpoint, EndpointSet, EndpointState, Stats};
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
    /// Held while the next set is made.
    changing: Mutex<()>,
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
        let endpoints = config
            .endpoints
            .iter()
            .map(|endpoint| {
                let stats = old.get(endpoint.name.as_str()).map_or_else(Arc::default, |stats| Arc::clone(stats));
                Arc::new(Endpoint::new(endpoint.clone(), stats))
            })
            .collect();
        let generation = old_set.as_ref().map_or(1, |set| set.generation + 1);
        let set = set_of(generation, endpoints, &config);
        Self {
            tls,
            metrics: before.map_or_else(Arc::default, |before| Arc::clone(&before.metrics)),
            health: before.map_or_else(Arc::default, |before| Arc::clone(&before.health)),
            set: ArcSwap::from_pointee(set),
            changing: Mutex::new(()),
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

    /// Makes a new set when the state of an endpoint changed (a verdict of the health checks).
    pub fn refresh(&self) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.set();
        let new = set_of(old.generation + 1, old.endpoints.clone(), &self.config);
        if new.states != old.states {
            self.set.store(Arc::new(new));
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({})", self.config.name)
    }
}

fn set_of(generation: u64, endpoints: Vec<Arc<Endpoint>>, config: &config::Upstream) -> EndpointSet {
    let state = |endpoint: &Arc<Endpoint>| {
        let standing = &endpoint.stats.standing;
        let is_down = config.health.is_some() && standing.is_down();
        if is_down || (config.outlier.is_some() && standing.ejection().is_some()) {
            EndpointState::Unhealthy
        } else if endpoint.config.draining {
            EndpointState::Draining
        } else {
            EndpointState::Healthy
        }
    };
    let states = endpoints.iter().map(state).collect();
    EndpointSet::new(generation, endpoints, states, config.load.expires)
}
