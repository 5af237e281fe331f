//! The next set of endpoints: what is known of each becomes what balancers see. Which endpoints are
//! healthy, what weight those have that have just come back, how much of the traffic each tier
//! takes, and when so few are healthy that all are used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config;
use crate::endpoint::{Endpoint, EndpointSet, EndpointState, Tier};

/// Weights are so many times as large while one ramps up: 1 has no half.
const STEPS: u32 = 20;
const MOST_WEIGHT: u32 = 65_535;
/// Of its weight an endpoint has at least this share, or a long ramp would begin with nothing.
const LEAST_SHARE: f64 = 0.1;
/// A tier that has lost a quarter of its endpoints still takes everything (Envoy's overprovisioning
/// factor): what is left is rarely at its limit.
const OVERPROVISIONING: f64 = 1.4;

/// `endpoints` stand in the order of the configuration.
pub(super) fn set_of(
    generation: u64,
    endpoints: &[Arc<Endpoint>],
    config: &config::Upstream,
    now: Instant,
) -> EndpointSet {
    let states: Vec<_> = endpoints.iter().map(|endpoint| state_of(endpoint, config)).collect();
    let shares: Vec<_> = endpoints.iter().map(|endpoint| share_of(endpoint, config.slow_start, now)).collect();
    let tiers = tiers_of(&states, &shares, config);
    let mut seen = states;
    for position in tiers.iter().filter(|tier| tier.panics).flat_map(|tier| &tier.positions) {
        let state = &mut seen[*position as usize];
        if *state == EndpointState::Unhealthy {
            *state = EndpointState::Healthy;
        }
    }
    let scale = scale_of(&shares, config);
    let endpoints = endpoints.iter().zip(&config.endpoints).zip(&shares);
    let endpoints = endpoints.map(|((endpoint, config), share)| weighted(endpoint, config.weight, scale, *share));
    EndpointSet::new(generation, endpoints.collect(), seen, config.load.expires).with_tiers(tiers, scale)
}

fn state_of(endpoint: &Endpoint, config: &config::Upstream) -> EndpointState {
    let standing = &endpoint.stats.standing;
    let is_down = config.health.is_some() && standing.is_down();
    if is_down || (config.outlier.is_some() && standing.ejection().is_some()) {
        EndpointState::Unhealthy
    } else if endpoint.config.draining {
        EndpointState::Draining
    } else {
        EndpointState::Healthy
    }
}

/// Of its weight: 1, or less while it ramps up.
pub(super) fn share_of(endpoint: &Endpoint, slow_start: Option<Duration>, now: Instant) -> f64 {
    match (slow_start, endpoint.stats.standing.returned()) {
        (Some(window), Some(since)) => {
            let passed = now.saturating_duration_since(since).as_secs_f64() / window.as_secs_f64();
            passed.clamp(LEAST_SHARE, 1.0)
        }
        _ => 1.0,
    }
}

fn scale_of(shares: &[f64], config: &config::Upstream) -> u32 {
    if shares.iter().all(|share| *share >= 1.0) {
        return 1;
    }
    let largest = config.endpoints.iter().map(|endpoint| endpoint.weight).max().unwrap_or(1);
    (MOST_WEIGHT / largest.max(1)).clamp(1, STEPS)
}

/// The same endpoint, with the weight of the moment.
fn weighted(endpoint: &Arc<Endpoint>, configured: u32, scale: u32, share: f64) -> Arc<Endpoint> {
    let weight = ((f64::from(configured * scale) * share).round() as u32).max(1);
    if endpoint.config.weight == weight {
        return Arc::clone(endpoint);
    }
    let config = config::EndpointConfig { weight, ..endpoint.config.clone() };
    Arc::new(Endpoint { id: endpoint.id, config, stats: Arc::clone(&endpoint.stats) })
}

/// From the first to the last. Envoy's rules ("Priority levels", "Panic threshold"): each tier takes
/// what it can, the next one the rest; panic is for when all of them together cannot take
/// everything.
fn tiers_of(states: &[EndpointState], shares: &[f64], config: &config::Upstream) -> Vec<Tier> {
    let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (position, endpoint) in config.endpoints.iter().enumerate() {
        members.entry(endpoint.tier).or_default().push(position as u32);
    }
    let capacity = |positions: &Vec<u32>| {
        let healthy = positions.iter().filter(|position| states[**position as usize] == EndpointState::Healthy);
        let healthy: f64 = healthy.map(|position| shares[*position as usize]).sum();
        (OVERPROVISIONING * healthy / positions.len() as f64).min(1.0)
    };
    let capacities: Vec<f64> = members.values().map(capacity).collect();
    let total = capacities.iter().sum::<f64>().min(1.0);
    let may_panic = members.len() == 1 || total < 1.0;
    let panics = |positions: &Vec<u32>| may_panic && is_below(states, positions, config.panic_threshold);
    let mut tiers: Vec<Tier> = members
        .into_iter()
        .map(|(number, positions)| Tier { number, panics: panics(&positions), positions, share: 0.0 })
        .collect();
    let mut left = 1.0_f64;
    let all_panic = tiers.iter().all(|tier| tier.panics);
    for (tier, capacity) in tiers.iter_mut().zip(capacities) {
        let share = match () {
            // Nobody knows who works: each endpoint is as good as any other.
            () if all_panic => tier.positions.len() as f64 / states.len() as f64,
            () if total > 0.0 => (capacity / total).min(left),
            () => 0.0,
        };
        tier.share = share;
        left -= share;
    }
    tiers
}

/// Whether fewer are healthy than this share of those that are to serve.
fn is_below(states: &[EndpointState], positions: &[u32], threshold: f64) -> bool {
    let count = |wanted| positions.iter().filter(|position| states[**position as usize] == wanted).count() as f64;
    let (healthy, unhealthy) = (count(EndpointState::Healthy), count(EndpointState::Unhealthy));
    unhealthy > 0.0 && healthy < threshold * (healthy + unhealthy)
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
