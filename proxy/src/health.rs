//! Active health checks and load polls: a task for each endpoint, on the control runtime, never on
//! a worker; and for each upstream one that judges what the traffic finds. Endpoints count as healthy until checks say otherwise, so that a start or a reload
//! refuses nobody.

mod dialogue;
mod grpc;
mod outlier;
mod pace;
mod probe;
mod renewal;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::{HealthCheck, LoadPoll};
use crate::endpoint::Endpoint;
use crate::upstream::Upstream;
use pace::jittered;
use probe::Problem;

/// Checks go on while this lives; a reload drops it with the state that it belongs to.
#[derive(Debug, Default)]
#[must_use = "checks end when this is dropped"]
pub struct Checks(Vec<AbortHandle>);

/// Starts the checks of all upstreams on the current runtime; the first ones are made at once, or
/// one after another where there are many.
pub fn start(upstreams: &[Arc<Upstream>]) -> Checks {
    let count = upstreams.iter().map(|upstream| upstream.set().len()).sum();
    let mut checks = Checks::default();
    let mut position = 0;
    for upstream in upstreams {
        // A verdict may have changed after this upstream read it from the endpoints it took over.
        upstream.refresh();
        checks.0.extend(outlier::start(upstream));
        checks.0.push(renewal::start(upstream));
        for endpoint in &upstream.set().endpoints {
            checks.follow(upstream, endpoint, (position, count));
            position += 1;
        }
    }
    checks
}

impl Checks {
    /// `at`: which of how many.
    fn follow(&mut self, upstream: &Arc<Upstream>, endpoint: &Arc<Endpoint>, at: (usize, usize)) {
        let both = || (Arc::clone(upstream), Arc::clone(endpoint));
        if let Some(health) = upstream.config.health.clone() {
            let (upstream, endpoint) = both();
            let delay = pace::start_of(at.0, at.1, health.interval);
            self.0.push(tokio::spawn(check(upstream, endpoint, health, delay)).abort_handle());
        }
        if let Some(poll) = upstream.config.load.poll.clone() {
            let (upstream, endpoint) = both();
            let delay = pace::start_of(at.0, at.1, poll.interval);
            self.0.push(tokio::spawn(poll_load(upstream, endpoint, poll, delay)).abort_handle());
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn check(upstream: Arc<Upstream>, endpoint: Arc<Endpoint>, health: HealthCheck, delay: Duration) {
    let standing = &endpoint.stats.standing;
    sleep(delay).await;
    loop {
        let permit = pace::permit(standing.is_down(), &upstream.health.late).await;
        let begin = Instant::now();
        // Boxed: most of a waiting task would be room for a check.
        let outcome = Box::pin(probe::check(&upstream, &endpoint, &health)).await;
        drop(permit);
        match outcome {
            Ok(()) => judge(&upstream, &endpoint, &health, Ok(())),
            Err(Problem::Endpoint(reason)) => judge(&upstream, &endpoint, &health, Err(reason)),
            Err(Problem::Ours(reason)) => {
                upstream.health.unasked.fetch_add(1, Relaxed);
                let (upstream, endpoint) = (&*upstream.config.name, endpoint.config.name.as_str());
                tracing::debug!(upstream, endpoint, reason, "endpoint cannot be checked");
            }
        }
        let interval = if standing.is_down() { health.interval_down } else { health.interval };
        sleep_until(begin + jittered(interval, health.jitter)).await;
    }
}

/// Takes the outcome; a new verdict is told to balancers, and to whoever reads the log.
fn judge(upstream: &Upstream, endpoint: &Endpoint, health: &HealthCheck, outcome: Result<(), String>) {
    let counter = if outcome.is_ok() { &upstream.health.passed } else { &upstream.health.failed };
    counter.fetch_add(1, Relaxed);
    let standing = &endpoint.stats.standing;
    match standing.checked(outcome, health.rise, health.fall) {
        None => return,
        Some(true) => upstream.change(|| standing.set_down(true)),
        Some(false) => upstream.readmit(endpoint, || standing.set_down(false)),
    }
    announce(upstream, endpoint);
}

fn announce(upstream: &Upstream, endpoint: &Endpoint) {
    let (upstream, standing) = (&*upstream.config.name, &endpoint.stats.standing);
    let endpoint = endpoint.config.name.as_str();
    if standing.is_down() {
        let reason = standing.reason().unwrap_or_default();
        tracing::warn!(upstream, endpoint, reason, "endpoint is down");
    } else {
        tracing::info!(upstream, endpoint, "endpoint is up again");
    }
}

async fn poll_load(upstream: Arc<Upstream>, endpoint: Arc<Endpoint>, poll: LoadPoll, delay: Duration) {
    const JITTER: f64 = 0.1;
    let mut failing = false;
    sleep(delay).await;
    loop {
        let permit = pace::permit(failing, &upstream.health.late).await;
        let next = Instant::now() + jittered(poll.interval, JITTER);
        let outcome = Box::pin(probe::load(&upstream, &endpoint, &poll)).await;
        drop(permit);
        if let Ok((cpu, memory)) = outcome {
            endpoint.stats.report_load(cpu, memory);
        } else if let (Err(Problem::Endpoint(reason) | Problem::Ours(reason)), false) = (&outcome, failing) {
            // Once: the report ages out by itself.
            let (upstream, endpoint) = (&*upstream.config.name, endpoint.config.name.as_str());
            tracing::warn!(upstream, endpoint, reason, "endpoint gives no load report");
        }
        failing = outcome.is_err();
        sleep_until(next).await;
    }
}
