//! `least-response-time`: the endpoint that would answer soonest.
//!
//! The host measures each endpoint's time to the response head (L7) or to connect (L4) as a peak
//! EWMA: a slow answer counts at once, fast ones win trust back slowly, and all of it fades with time
//! (Finagle's `p2c_peak_ewma`, linkerd). Expected is that time for each request in flight and the new
//! one, `latency * (active + 1) / weight`; the least is chosen.
//!
//! An endpoint that was never measured goes first while it is idle, so it gets its measurement by
//! one request; while it has requests in flight it counts as average, so it is not flooded.
//!
//! No settings.

use jackfield_plugin::endpoints::Measure;
use jackfield_plugin::{Balancer, EndpointSet, PickContext, endpoints, least, settings};

#[derive(Default)]
pub struct LeastResponseTime {
    healthy: Vec<u32>,
    weights: Vec<u32>,
}

impl Balancer for LeastResponseTime {
    fn configure(settings: &str) -> Result<Self, String> {
        settings::none(settings)?;
        Ok(Self::default())
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
        self.weights.clone_from(&endpoints.weights);
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let eligible = context.eligible_among(&self.healthy);
        let latency = endpoints::column(Measure::Latency);
        let active = endpoints::column(Measure::Active);
        let mean = mean(&eligible, &latency);
        least(&eligible, |endpoint| {
            let active = f64::from(at(&active, endpoint));
            let weight = f64::from(at(&self.weights, endpoint).max(1));
            match at(&latency, endpoint) {
                0 if active == 0.0 => 0.0,
                0 => mean * (active + 1.0) / weight,
                latency => f64::from(latency) * (active + 1.0) / weight,
            }
        })
    }
}

/// Of those that were measured; with none, any number does, as all are compared by it.
fn mean(set: &[u32], latency: &[u32]) -> f64 {
    let measured = set.iter().map(|&endpoint| at(latency, endpoint)).filter(|&time| time > 0);
    let (sum, count) = measured.fold((0u64, 0u64), |(sum, count), time| (sum + u64::from(time), count + 1));
    if count == 0 { 1.0 } else { sum as f64 / count as f64 }
}

fn at(column: &[u32], endpoint: u32) -> u32 {
    column.get(endpoint as usize).copied().unwrap_or(0)
}

jackfield_plugin::balancer!(LeastResponseTime);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host};

    fn with_latencies(latencies: &[u32]) -> LeastResponseTime {
        let mut host = Host::with_endpoints(latencies.len() as u64);
        for (endpoint, latency) in host.endpoints.iter_mut().zip(latencies) {
            endpoint.latency = *latency;
        }
        host.install();
        let mut plugin = LeastResponseTime::configure("{}").unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        plugin
    }

    /// Picks for requests that all stay in flight.
    fn pile_up(plugin: &mut LeastResponseTime, requests: usize) -> Vec<u32> {
        for _ in 0..requests {
            let context = mock::host(|host| host.pick_context());
            let picked = plugin.pick(&context).unwrap() as usize;
            mock::host(|host| host.endpoints[picked].active += 1);
        }
        mock::host(|host| host.endpoints.iter().map(|e| e.active).collect())
    }

    #[test]
    fn work_is_shared_by_speed() {
        let active = pile_up(&mut with_latencies(&[1000, 2000, 4000]), 70);
        assert_eq!(active, [40, 20, 10]);
    }

    #[test]
    fn a_new_endpoint_is_tried_at_once_but_not_flooded() {
        let mut plugin = with_latencies(&[1000, 0, 1000]);
        assert_eq!(pile_up(&mut plugin, 1), [0, 1, 0]);
        assert_eq!(pile_up(&mut plugin, 29), [10, 10, 10]);
    }

    #[test]
    fn endpoints_that_were_never_measured_take_turns() {
        assert_eq!(pile_up(&mut with_latencies(&[0, 0, 0]), 30), [10, 10, 10]);
    }

    /// The twin: nobody would answer sooner, in exact fractions.
    #[test]
    fn nobody_would_answer_sooner() {
        let mut plugin = LeastResponseTime::configure("{}").unwrap();
        mock::walk(&mut plugin, 23, 100_000, |step| {
            let eligible = step.eligible();
            let latencies: Vec<u128> = eligible
                .iter()
                .map(|&index| u128::from(step.host.endpoints[index as usize].latency))
                .filter(|latency| *latency > 0)
                .collect();
            let (sum, count) = match latencies.len() {
                0 => (1, 1),
                n => (latencies.iter().sum::<u128>(), n as u128),
            };
            // In units of 1 / (2520 * count): 2520 = lcm(1, ..., 9) serves every weight of the walk.
            let expected = |index: u32| {
                let endpoint = &step.host.endpoints[index as usize];
                let time = match (endpoint.latency, endpoint.active) {
                    (0, 0) => 0,
                    (0, _) => sum,
                    (latency, _) => u128::from(latency) * count,
                };
                time * u128::from(endpoint.active + 1) * (2520 / u128::from(endpoint.weight))
            };
            let soonest = eligible.iter().copied().map(expected).min();
            let picked = step.picked.map(expected);
            // The plugin calculates in floating point: equal up to its rounding.
            let close = |a: u128, b: u128| a.abs_diff(b) <= b / 1_000_000_000_000;
            assert!(picked.zip(soonest).is_none_or(|(picked, soonest)| close(picked, soonest)));
        });
    }
}
