//! `weighted-least-connections`: the endpoint with the fewest requests in flight for its weight.
//!
//! The one with the least `active / weight` is chosen (compared crosswise, without division), as
//! nginx's `least_conn` and LVS's `wlc` do. Where several have equally little, an idle upstream
//! above all, they share in proportion to their weights, evenly interleaved.
//!
//! No settings.

use jackfield_plugin::endpoints::Measure;
use jackfield_plugin::{Balancer, EndpointSet, PickContext, counters, endpoints, settings};

#[derive(Default)]
pub struct WeightedLeastConnections {
    healthy: Vec<u32>,
    weights: Vec<u32>,
}

/// `active / weight`, at least as comparisons go.
#[derive(Clone, Copy)]
struct Load {
    active: u32,
    weight: u32,
}

impl Balancer for WeightedLeastConnections {
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
        let active = endpoints::column(Measure::Active);
        let load = |endpoint: u32| Load {
            active: active.get(endpoint as usize).copied().unwrap_or(0),
            weight: self.weights.get(endpoint as usize).copied().unwrap_or(1),
        };
        least(&eligible, load)
    }
}

/// The least loaded. Two passes and no list: who it is, and with how much weight; then whose turn.
fn least(set: &[u32], load: impl Fn(u32) -> Load) -> Option<u32> {
    let (&first, rest) = set.split_first()?;
    let (mut chosen, mut best) = (first, load(first));
    let mut weight = u64::from(best.weight);
    for &endpoint in rest {
        let load = load(endpoint);
        match load.compare(best) {
            std::cmp::Ordering::Less => {
                (chosen, best, weight) = (endpoint, load, u64::from(load.weight));
            }
            std::cmp::Ordering::Equal => weight += u64::from(load.weight),
            std::cmp::Ordering::Greater => {}
        }
    }
    if weight == u64::from(best.weight) {
        return Some(chosen);
    }
    let mut point = spread(counters::add(0, 1), weight);
    set.iter().copied().find(|&endpoint| {
        let load = load(endpoint);
        let is_equal = load.compare(best).is_eq();
        let here = is_equal && point < u64::from(load.weight);
        point -= if is_equal && !here { u64::from(load.weight) } else { 0 };
        here
    })
}

/// The points of 0..`bound` in the order of multiples of the golden ratio: any stretch of them is
/// spread as evenly as can be (Knuth, The Art of Computer Programming, 6.4).
fn spread(turn: u64, bound: u64) -> u64 {
    let golden = (turn as u32).wrapping_mul(0x9e37_79b9);
    (u64::from(golden) * bound) >> 32
}

impl Load {
    fn compare(self, other: Self) -> std::cmp::Ordering {
        let crosswise = |a: Self, b: Self| u64::from(a.active) * u64::from(b.weight);
        crosswise(self, other).cmp(&crosswise(other, self))
    }
}

jackfield_plugin::balancer!(WeightedLeastConnections);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host};

    fn with_weights(weights: &[u32]) -> WeightedLeastConnections {
        Host::with_weights(weights).install();
        let mut plugin = WeightedLeastConnections::configure("{}").unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        plugin
    }

    #[test]
    fn an_idle_upstream_is_shared_by_weight() {
        let mut plugin = with_weights(&[1, 2, 5]);
        let context = mock::host(|host| host.pick_context());
        let mut counts = [0u64; 3];
        for _ in 0..8000 {
            counts[plugin.pick(&context).unwrap() as usize] += 1;
        }
        for (count, expected) in counts.iter().zip([1000, 2000, 5000]) {
            assert!(count.abs_diff(expected) < 10, "{counts:?}");
        }
    }

    #[test]
    fn requests_that_stay_fill_up_to_the_weights() {
        let mut plugin = with_weights(&[1, 2, 5]);
        for _ in 0..80 {
            let context = mock::host(|host| host.pick_context());
            let picked = plugin.pick(&context).unwrap() as usize;
            mock::host(|host| host.endpoints[picked].active += 1);
        }
        let active = mock::host(|host| host.endpoints.iter().map(|e| e.active).collect::<Vec<_>>());
        assert_eq!(active, [10, 20, 50]);
    }

    /// The twin: no eligible endpoint has less load, as exact fractions of a common denominator.
    #[test]
    fn nobody_has_less() {
        let mut plugin = WeightedLeastConnections::configure("{}").unwrap();
        mock::walk(&mut plugin, 19, 100_000, |step| {
            let load = |index: u32| {
                let endpoint = &step.host.endpoints[index as usize];
                endpoint.active * (2520 / endpoint.weight) // 2520 = lcm(1, ..., 9)
            };
            let least = step.eligible().into_iter().map(load).min();
            assert_eq!(step.picked.map(load), least);
        });
    }
}
