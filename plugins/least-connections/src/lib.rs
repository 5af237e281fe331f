//! `least-connections`: the endpoint with the fewest requests (connections, sessions) in flight.
//!
//! What counts is what this proxy has in flight, all workers together, each until the last byte of
//! its body. Endpoints with equally few take turns.
//!
//! No settings. Weights are not looked at: that is `weighted-least-connections`.

use jackfield_plugin::endpoints::Measure;
use jackfield_plugin::{Balancer, EndpointSet, PickContext, endpoints, least, settings};

#[derive(Default)]
pub struct LeastConnections {
    healthy: Vec<u32>,
}

impl Balancer for LeastConnections {
    fn configure(settings: &str) -> Result<Self, String> {
        settings::none(settings)?;
        Ok(Self::default())
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let eligible = context.eligible_among(&self.healthy);
        let active = endpoints::column(Measure::Active);
        least(&eligible, |endpoint| active.get(endpoint as usize).copied())
    }
}

jackfield_plugin::balancer!(LeastConnections);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host};

    #[test]
    fn an_idle_upstream_is_gone_round() {
        Host::with_endpoints(3).install();
        let mut plugin = LeastConnections::configure("{}").unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        let context = mock::host(|host| host.pick_context());
        let picks: Vec<_> = (0..4).map(|_| plugin.pick(&context).unwrap()).collect();
        assert_eq!(picks, [0, 1, 2, 0]);
    }

    /// The twin: the eligible ones sorted by load; the answer is one of the first group.
    #[test]
    fn is_the_head_of_the_sorted_list() {
        let mut plugin = LeastConnections::configure("{}").unwrap();
        mock::walk(&mut plugin, 17, 100_000, |step| {
            let mut loads: Vec<(u32, u32)> =
                step.eligible().into_iter().map(|index| (step.host.endpoints[index as usize].active, index)).collect();
            loads.sort_unstable();
            let fewest = loads.first().map(|load| load.0);
            loads.retain(|load| Some(load.0) == fewest);
            let turn = step.counters[0] as usize % loads.len().max(1);
            assert_eq!(step.picked, loads.get(turn).map(|load| load.1));
        });
    }
}
