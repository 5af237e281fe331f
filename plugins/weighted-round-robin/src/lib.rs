//! `weighted-round-robin`: smooth weighted round robin, as nginx does it.
//!
//! In each step every endpoint gains its weight; the one that has most is chosen and loses the sum
//! of all weights (nginx, `ngx_http_upstream_get_peer`, 2012). Over a period each endpoint is chosen
//! exactly as often as its weight says, and never in a burst: weights 5, 1, 1 give `a a b a c a a`.
//!
//! Since the sequence depends on the weights only, one period of it is written down at each update
//! and a counter that all workers share says where we are: one sequence, whichever worker answers.
//! Where a period would be too long to write down, each worker steps the algorithm on its own; the
//! proportions stay exact.
//!
//! No settings.

use jackfield_plugin::{Balancer, EndpointSet, PickContext, counters, settings};

/// How much work an update may be: about two milliseconds.
const LIMIT: u64 = 1 << 20;

#[derive(Default)]
pub struct WeightedRoundRobin {
    healthy: Vec<u32>,
    /// One period; empty when it is too long.
    schedule: Vec<u32>,
    smooth: Smooth,
}

impl Balancer for WeightedRoundRobin {
    fn configure(settings: &str) -> Result<Self, String> {
        settings::none(settings)?;
        Ok(Self::default())
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
        self.smooth = Smooth::new(endpoints, &self.healthy);
        let n = self.healthy.len() as u64;
        let period: u64 = self.smooth.weights.iter().sum::<i64>().unsigned_abs();
        self.schedule = if period == n {
            self.healthy.clone() // equal weights
        } else if period * n <= LIMIT {
            (0..period).filter_map(|_| self.smooth.step(|_| true)).collect()
        } else {
            Vec::new()
        };
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let all = context.all_of(&self.healthy);
        if all && !self.schedule.is_empty() {
            let turn = counters::add(0, 1) % self.schedule.len() as u64;
            return self.schedule.get(turn as usize).copied();
        }
        if all {
            return self.smooth.step(|_| true);
        }
        let eligible = context.eligible_positions();
        if self.schedule.is_empty() {
            self.smooth.step(|endpoint| eligible.binary_search(&endpoint).is_ok())
        } else {
            self.walk(&eligible)
        }
    }
}

impl WeightedRoundRobin {
    /// The next of these in the schedule, from where the last such walk ended: the counter moves on
    /// over what was skipped, or its neighbour in the schedule would inherit the turns of each.
    fn walk(&self, eligible: &[u32]) -> Option<u32> {
        let counter = counters::slot_of(eligible);
        let turn = counters::add(counter, 1) % self.schedule.len() as u64;
        let (before, from) = self.schedule.split_at_checked(turn as usize)?;
        let (skipped, &endpoint) =
            (0..).zip(from.iter().chain(before)).find(|(_, endpoint)| eligible.binary_search(endpoint).is_ok())?;
        if skipped > 0 {
            counters::add(counter, skipped);
        }
        Some(endpoint)
    }
}

/// nginx's algorithm.
#[derive(Default)]
struct Smooth {
    endpoints: Vec<u32>,
    /// Divided by what they have in common.
    weights: Vec<i64>,
    current: Vec<i64>,
}

impl Smooth {
    fn new(set: &EndpointSet, healthy: &[u32]) -> Self {
        let weights = healthy.iter().map(|&position| i64::from(set.weight(position)));
        let common = weights.clone().fold(0, gcd).max(1);
        Self {
            endpoints: healthy.to_vec(),
            weights: weights.map(|weight| weight / common).collect(),
            current: vec![0; healthy.len()],
        }
    }

    /// One step among those that may be chosen; the others stand still.
    fn step(&mut self, may: impl Fn(u32) -> bool) -> Option<u32> {
        let mut total = 0;
        let mut best: Option<(&mut i64, u32)> = None;
        let columns = self.endpoints.iter().zip(&self.weights).zip(&mut self.current);
        for ((&endpoint, &weight), current) in columns {
            if !may(endpoint) {
                continue;
            }
            total += weight;
            *current += weight;
            if best.as_ref().is_none_or(|(most, _)| *current > **most) {
                best = Some((current, endpoint));
            }
        }
        let (current, endpoint) = best?;
        *current -= total;
        Some(endpoint)
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

jackfield_plugin::balancer!(WeightedRoundRobin);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host};

    fn with_weights(weights: &[u32]) -> WeightedRoundRobin {
        Host::with_weights(weights).install();
        let mut plugin = WeightedRoundRobin::configure("{}").unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        plugin
    }

    fn picks(plugin: &mut WeightedRoundRobin, times: usize) -> Vec<u32> {
        let context = mock::host(|host| host.pick_context());
        (0..times).map(|_| plugin.pick(&context).unwrap()).collect()
    }

    fn counts(picks: &[u32], n: usize) -> Vec<usize> {
        let count = |endpoint| picks.iter().filter(|&&picked| picked == endpoint).count();
        (0..n as u32).map(count).collect()
    }

    #[test]
    fn spreads_the_heavy_one() {
        assert_eq!(picks(&mut with_weights(&[5, 1, 1]), 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(picks(&mut with_weights(&[10, 2, 2]), 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn equal_weights_go_round_in_order() {
        assert_eq!(picks(&mut with_weights(&[7, 7, 7]), 4), [0, 1, 2, 0]);
    }

    #[test]
    fn a_period_too_long_to_write_down_is_exact_too() {
        let weights = [65_521, 65_519, 65_497, 65_479, 1];
        let mut plugin = with_weights(&weights);
        assert!(plugin.schedule.is_empty());
        let all: u32 = weights.iter().sum();
        let counts = counts(&picks(&mut plugin, all as usize), 5);
        assert_eq!(counts, weights.map(|weight| weight as usize));
    }

    #[test]
    fn among_candidates_the_proportions_hold() {
        let mut plugin = with_weights(&[1, 1, 1, 1, 6]);
        for left_out in [2, 3] {
            mock::host(|host| host.endpoints[left_out].candidate = false);
        }
        assert_eq!(counts(&picks(&mut plugin, 800), 5), [100, 100, 0, 0, 600]);
    }

    /// The twin: after `t` steps the algorithm's account of an endpoint is `t` times its weight less
    /// all weights for each time that it was chosen. The one with most is next.
    #[test]
    fn is_the_closed_form() {
        let mut plugin = WeightedRoundRobin::configure("{}").unwrap();
        let mut twin = Vec::new();
        mock::walk(&mut plugin, 11, 100_000, |step| {
            let healthy = step.healthy();
            if step.updated {
                twin = closed_form(&step.host.endpoints, &healthy);
            }
            if !healthy.is_empty() && step.context.all_of(&healthy) {
                let turn = step.counters[0] as usize % twin.len();
                assert_eq!(step.picked, Some(twin[turn]));
            }
        });
    }

    fn closed_form(endpoints: &[mock::Endpoint], healthy: &[u32]) -> Vec<u32> {
        let weight = |i: u32| i64::from(endpoints[i as usize].weight);
        let divides = |d: &i64| healthy.iter().all(|&i| weight(i) % d == 0);
        let common = (1..=9).rev().find(divides).unwrap_or(1);
        let all: i64 = healthy.iter().map(|&i| weight(i) / common).sum();
        let mut served = vec![0; endpoints.len()];
        (1..=all)
            .map(|t| {
                let account = |i: u32| t * weight(i) / common - all * served[i as usize];
                let most = healthy.iter().map(|&i| account(i)).max().unwrap();
                let next = *healthy.iter().find(|&&i| account(i) == most).unwrap();
                served[next as usize] += 1;
                next
            })
            .collect()
    }
}
