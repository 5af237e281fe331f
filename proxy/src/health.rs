//! Active health checks and load polls: a task for each endpoint, on the control runtime, never on
//! a worker. Endpoints count as healthy until checks say otherwise, so that a start or a reload
//! refuses nobody.

mod probe;
#[cfg(test)]
pub(crate) mod tests;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::config::{HealthCheck, LoadPoll};
use crate::endpoint::Endpoint;
use crate::upstream::Upstream;

/// Checks go on while this lives; a reload drops it with the state that it belongs to.
#[derive(Debug)]
#[must_use = "checks end when this is dropped"]
pub struct Checks(Vec<AbortHandle>);

/// Starts the checks of an upstream on the current runtime; the first ones are made at once.
pub fn start(upstream: &Arc<Upstream>) -> Checks {
    // A verdict may have changed after this upstream read it from the endpoints it took over.
    upstream.refresh();
    let mut tasks = Vec::new();
    for endpoint in &upstream.set().endpoints {
        let both = || (Arc::clone(upstream), Arc::clone(endpoint));
        if let Some(health) = upstream.config.health.clone() {
            let (upstream, endpoint) = both();
            tasks.push(tokio::spawn(check(upstream, endpoint, health)).abort_handle());
        }
        if let Some(poll) = upstream.config.load.poll.clone() {
            let (upstream, endpoint) = both();
            tasks.push(tokio::spawn(poll_load(upstream, endpoint, poll)).abort_handle());
        }
    }
    Checks(tasks)
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn check(upstream: Arc<Upstream>, endpoint: Arc<Endpoint>, health: HealthCheck) {
    let mut verdict = Verdict { unhealthy: endpoint.stats.is_unhealthy(), against: 0 };
    loop {
        let next = Instant::now() + jittered(health.interval);
        let outcome = probe::check(&upstream, &endpoint, &health).await;
        if verdict.observe(outcome.is_ok(), &health) {
            announce(&upstream, &endpoint, outcome);
        }
        sleep_until(next).await;
    }
}

/// The new verdict, for balancers and for whoever reads the log.
fn announce(upstream: &Upstream, endpoint: &Endpoint, outcome: Result<(), String>) {
    endpoint.stats.set_unhealthy(outcome.is_err());
    upstream.refresh();
    let (name, endpoint) = (&*upstream.config.name, endpoint.config.name.as_str());
    match outcome {
        Ok(()) => tracing::info!(upstream = name, endpoint, "endpoint is up again"),
        Err(reason) => tracing::warn!(upstream = name, endpoint, reason, "endpoint is down"),
    }
}

/// What the checks say, and how many in a row have said otherwise since.
#[derive(Debug)]
struct Verdict {
    unhealthy: bool,
    against: u32,
}

impl Verdict {
    /// Whether the verdict changed.
    fn observe(&mut self, passed: bool, health: &HealthCheck) -> bool {
        if passed != self.unhealthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let needed = if self.unhealthy { health.rise } else { health.fall };
        if self.against < needed {
            return false;
        }
        *self = Self { unhealthy: !self.unhealthy, against: 0 };
        true
    }
}

async fn poll_load(upstream: Arc<Upstream>, endpoint: Arc<Endpoint>, poll: LoadPoll) {
    let mut failing = false;
    loop {
        let next = Instant::now() + jittered(poll.interval);
        let outcome = probe::load(&upstream, &endpoint, &poll).await;
        if let Ok((cpu, memory)) = outcome {
            endpoint.stats.report_load(cpu, memory);
        } else if let (Err(reason), false) = (&outcome, failing) {
            // Once: the report ages out by itself.
            let (upstream, endpoint) = (&*upstream.config.name, endpoint.config.name.as_str());
            tracing::warn!(upstream, endpoint, reason, "endpoint gives no load report");
        }
        failing = outcome.is_err();
        sleep_until(next).await;
    }
}

/// Ten percent more or less, so that the checks of many proxies don't come all at once.
fn jittered(interval: Duration) -> Duration {
    let random = std::hash::RandomState::new().hash_one(0) >> 11;
    let share = random as f64 / (1_u64 << 53) as f64;
    interval.mul_f64(0.9 + 0.2 * share)
}
