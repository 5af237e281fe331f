//! Outliers: endpoints that the traffic itself convicts. The data path counts failures; here, on
//! the control side, it is judged who is ejected, for how long, and when it may come back.
//!
//! The rules are Envoy's (its documentation, "Outlier detection"), with two additions: at least one
//! endpoint may be ejected however few there are, and nobody is ejected whom no other could replace.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep_until;

use super::pace;
use crate::config::{Outlier, SuccessRate};
use crate::endpoint::{Cause, Endpoint, Watch};
use crate::upstream::Upstream;

/// Begins to watch, or ends it, as the upstream's configuration says.
pub(super) fn start(upstream: &Arc<Upstream>) -> Option<AbortHandle> {
    let endpoints = upstream.set().endpoints.clone();
    let Some(config) = upstream.config.outlier.clone() else {
        for endpoint in &endpoints {
            endpoint.stats.streaks.watch(None);
            endpoint.stats.standing.readmit();
        }
        return None;
    };
    let suspects = Arc::<Notify>::default();
    let watch =
        Watch { any: config.consecutive_5xx, gateway: config.consecutive_gateway, suspects: Arc::clone(&suspects) };
    let watch = Arc::new(watch);
    for endpoint in &endpoints {
        endpoint.stats.streaks.watch(Some(Arc::clone(&watch)));
    }
    let counted = endpoints.iter().map(|endpoint| Counted::of(endpoint)).collect();
    let judge = Judge { upstream: Arc::clone(upstream), endpoints, counted, config };
    Some(tokio::spawn(judge.sit(suspects)).abort_handle())
}

/// Requests and failures so far.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    requests: u64,
    failures: u64,
}

impl Counted {
    fn of(endpoint: &Endpoint) -> Self {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        Self { requests: count(&endpoint.stats.requests), failures: count(&endpoint.stats.failures) }
    }
}

struct Judge {
    upstream: Arc<Upstream>,
    endpoints: Vec<Arc<Endpoint>>,
    /// When the interval began.
    counted: Vec<Counted>,
    config: Outlier,
}

impl Judge {
    async fn sit(mut self, suspects: Arc<Notify>) {
        let mut interval_ends = Instant::now() + self.config.interval;
        loop {
            let releases = self.endpoints.iter().filter_map(|endpoint| endpoint.stats.standing.ejection());
            let wake = releases.map(|ejection| ejection.until).fold(interval_ends, Instant::min);
            tokio::select! {
                () = suspects.notified() => self.judge_streaks(),
                () = sleep_until(wake.into()) => {}
            }
            let now = Instant::now();
            self.readmit(now);
            if now >= interval_ends {
                self.judge_rates();
                interval_ends = now + self.config.interval;
            }
        }
    }

    fn judge_streaks(&self) {
        for endpoint in &self.endpoints {
            let (any, gateway) = endpoint.stats.streaks.counts();
            let is_full = |count: u32, limit: u32| limit > 0 && count >= limit;
            if is_full(gateway, self.config.consecutive_gateway) {
                self.eject(endpoint, Cause::ConsecutiveGateway);
            } else if is_full(any, self.config.consecutive_5xx) {
                self.eject(endpoint, Cause::Consecutive5xx);
            }
        }
    }

    /// At the end of an interval.
    fn judge_rates(&mut self) {
        let now: Vec<Counted> = self.endpoints.iter().map(|endpoint| Counted::of(endpoint)).collect();
        let before = std::mem::replace(&mut self.counted, now);
        let served = self.counted.iter().zip(before).map(|(now, before)| Counted {
            requests: now.requests.saturating_sub(before.requests),
            failures: now.failures.saturating_sub(before.failures),
        });
        let in_service = |position: &usize| self.endpoints[*position].stats.standing.ejection().is_none();
        for position in (0..self.endpoints.len()).filter(in_service) {
            self.endpoints[position].stats.standing.forgive();
        }
        let Some(rule) = &self.config.success_rate else { return };
        let rates: Vec<(usize, f64)> = served
            .enumerate()
            .filter(|(position, served)| in_service(position) && served.requests >= rule.min_requests)
            .map(|(position, served)| (position, 1.0 - served.failures as f64 / served.requests as f64))
            .collect();
        for position in outliers(&rates, rule) {
            self.eject(&self.endpoints[position], Cause::SuccessRate);
        }
    }

    fn readmit(&self, now: Instant) {
        let is_due = |endpoint: &&Arc<Endpoint>| {
            endpoint.stats.standing.ejection().is_some_and(|ejection| ejection.until <= now)
        };
        for endpoint in self.endpoints.iter().filter(is_due) {
            endpoint.stats.streaks.end();
            self.upstream.readmit(endpoint, || endpoint.stats.standing.readmit());
            let name = endpoint.config.name.as_str();
            tracing::info!(upstream = &*self.upstream.config.name, endpoint = name, "endpoint is no longer ejected");
        }
    }

    fn eject(&self, endpoint: &Endpoint, cause: Cause) {
        let standing = &endpoint.stats.standing;
        if standing.ejection().is_some() {
            return;
        }
        let (upstream, name) = (&*self.upstream.config.name, endpoint.config.name.as_str());
        endpoint.stats.streaks.end();
        if !self.may_eject(endpoint) {
            self.upstream.health.spared.fetch_add(1, Relaxed);
            tracing::debug!(upstream, endpoint = name, cause = cause.name(), "outlier is spared: too many are out");
            return;
        }
        let ejection = self.upstream.change(|| standing.eject(cause, |times| length(&self.config, times)));
        self.upstream.health.ejections[cause as usize].fetch_add(1, Relaxed);
        let seconds = ejection.until.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
        tracing::warn!(upstream, endpoint = name, cause = cause.name(), seconds, "endpoint is ejected");
    }

    fn may_eject(&self, candidate: &Endpoint) -> bool {
        let ejected = self.endpoints.iter().filter(|endpoint| endpoint.stats.standing.ejection().is_some()).count();
        let most = (self.endpoints.len() as f64 * self.config.max_ejected) as usize;
        let checked = self.upstream.config.health.is_some();
        let could_replace = |endpoint: &Arc<Endpoint>| {
            let standing = &endpoint.stats.standing;
            let is_out = standing.ejection().is_some() || (checked && standing.is_down());
            endpoint.id != candidate.id && !is_out && !endpoint.config.draining
        };
        ejected < most.max(1) && self.endpoints.iter().any(could_replace)
    }
}

/// Of the ejection with this number.
fn length(config: &Outlier, times: u32) -> Duration {
    let length = config.ejection_time.saturating_mul(times).min(config.max_ejection_time);
    length + pace::random_part(length, config.jitter)
}

/// Who is worse than the rest: positions, and success rates from 0 to 1.
fn outliers(rates: &[(usize, f64)], rule: &SuccessRate) -> Vec<usize> {
    if rates.len() < rule.min_endpoints {
        return Vec::new();
    }
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    let least = mean - rule.factor * variance.sqrt();
    rates.iter().filter(|(_, rate)| *rate < least).map(|(position, _)| *position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: SuccessRate = SuccessRate { factor: 1.9, min_endpoints: 5, min_requests: 100 };

    fn found(rates: &[f64]) -> Vec<usize> {
        outliers(&rates.iter().copied().enumerate().collect::<Vec<_>>(), &RULE)
    }

    /// Of the first: mean 0.9445, standard deviation 0.1241, so whoever is below 0.7087 is out.
    #[test]
    fn an_outlier_is_far_from_the_mean() {
        assert_eq!(found(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.667]), [5]);
        assert_eq!(found(&[1.0, 1.0, 1.0, 0.667, 0.667, 0.667]), [0; 0], "half of all are no outliers");
        assert_eq!(found(&[1.0, 1.0, 1.0, 0.0]), [0; 0], "too few to compare");
        assert_eq!(found(&[1.0; 5]), [0; 0]);
        assert_eq!(found(&[0.5; 5]), [0; 0], "equally bad");
    }

    #[test]
    fn ejections_grow_up_to_the_limit() {
        let seconds = Duration::from_secs;
        let config = Outlier {
            consecutive_5xx: 5,
            consecutive_gateway: 5,
            success_rate: None,
            interval: seconds(10),
            ejection_time: seconds(30),
            max_ejection_time: seconds(100),
            max_ejected: 0.1,
            jitter: 0.0,
        };
        assert_eq!([1, 2, 3, 4, u32::MAX].map(|times| length(&config, times)), [30, 60, 90, 100, 100].map(seconds));
        let jittered = Outlier { jitter: 0.5, ..config };
        for _ in 0..100 {
            assert!((seconds(30)..seconds(45)).contains(&length(&jittered, 1)));
        }
    }
}
