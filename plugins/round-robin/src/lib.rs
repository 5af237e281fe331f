//! `round-robin`: one endpoint after the other.
//!
//! The turn is a counter that all workers share, so a client who sends one request after another
//! sees the endpoints in order, whichever worker answers. A choice that is narrowed (an endpoint was
//! tried in vain, or a balancer above left some out) goes round among the rest by a turn of its own.
//!
//! No settings. Weights are not looked at: that is `weighted-round-robin`.

use jackfield_plugin::{Balancer, EndpointSet, PickContext, counters, settings};

pub struct RoundRobin {
    healthy: Vec<u32>,
}

impl Balancer for RoundRobin {
    fn configure(settings: &str) -> Result<Self, String> {
        settings::none(settings)?;
        Ok(Self { healthy: Vec::new() })
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        if context.all_of(&self.healthy) {
            return next(&self.healthy, 0);
        }
        let eligible = context.eligible_positions();
        next(&eligible, counters::slot_of(&eligible))
    }
}

/// Whose turn it is among these by a shared counter.
fn next(endpoints: &[u32], counter: u32) -> Option<u32> {
    if endpoints.is_empty() {
        return None;
    }
    let turn = counters::add(counter, 1) % endpoints.len() as u64;
    endpoints.get(turn as usize).copied()
}

jackfield_plugin::balancer!(RoundRobin);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host};

    fn pick(plugin: &mut RoundRobin) -> Option<u32> {
        let context = mock::host(|host| host.pick_context());
        plugin.pick(&context)
    }

    fn with_three() -> RoundRobin {
        Host::with_endpoints(3).install();
        let mut plugin = RoundRobin::configure("{}").unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        plugin
    }

    #[test]
    fn goes_round_whichever_worker_asks() {
        let mut workers = [with_three(), with_three()];
        let picks: Vec<_> = (0..6).map(|i| pick(&mut workers[i % 2]).unwrap()).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn two_candidate_sets_that_take_turns_are_both_spread() {
        let mut plugin = with_three();
        let mut counts = [[0; 3]; 2];
        for turn in 0..400 {
            let left_out = if turn % 2 == 0 { 2 } else { 0 };
            mock::host(|host| {
                for (index, endpoint) in host.endpoints.iter_mut().enumerate() {
                    endpoint.candidate = index != left_out;
                }
            });
            counts[turn % 2][pick(&mut plugin).unwrap() as usize] += 1;
        }
        assert_eq!(counts, [[100, 100, 0], [0, 100, 100]]);
    }

    #[test]
    fn each_retry_goes_to_another_until_none_is_left() {
        let mut plugin = with_three();
        for _ in 0..3 {
            let picked = pick(&mut plugin).unwrap() as usize;
            mock::host(|host| {
                assert!(!host.endpoints[picked].tried);
                host.endpoints[picked].tried = true;
            });
        }
        assert_eq!(pick(&mut plugin), None);
    }

    /// The twin: a queue, whose head is taken and put at the end.
    #[test]
    fn is_a_queue() {
        let mut plugin = RoundRobin::configure("{}").unwrap();
        let mut queue = std::collections::VecDeque::new();
        mock::walk(&mut plugin, 7, 100_000, |step| {
            let healthy = step.healthy();
            if step.updated {
                let turn = step.counters[0] as usize % healthy.len().max(1);
                queue = healthy.iter().copied().collect();
                queue.rotate_left(turn);
            }
            if step.context.eligible as usize == healthy.len() {
                assert_eq!(step.picked, queue.front().copied());
                if !queue.is_empty() {
                    queue.rotate_left(1);
                }
            }
        });
    }
}
