//! `random`: any endpoint, each as likely as its weight says.
//!
//! No settings. The host's randomness is used, which can be seeded to replay decisions.

use jackfield_plugin::{Balancer, EndpointSet, Lottery, PickContext, random, settings};

#[derive(Default)]
pub struct Random {
    healthy: Vec<u32>,
    weights: Vec<u32>,
    lottery: Lottery,
}

impl Balancer for Random {
    fn configure(settings: &str) -> Result<Self, String> {
        settings::none(settings)?;
        Ok(Self::default())
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
        self.weights.clone_from(&endpoints.weights);
        self.lottery = self.lottery_among(&self.healthy);
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        if context.all_of(&self.healthy) {
            return self.lottery.draw(random::next());
        }
        let eligible = context.eligible_positions();
        self.lottery_among(&eligible).draw(random::next())
    }
}

impl Random {
    fn lottery_among(&self, set: &[u32]) -> Lottery {
        let weight = |endpoint: u32| self.weights.get(endpoint as usize).copied().unwrap_or(1);
        Lottery::new(set.iter().map(|&endpoint| (endpoint, weight(endpoint).into())))
    }
}

jackfield_plugin::balancer!(Random);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host};

    #[test]
    fn follows_the_weights_and_again_among_candidates() {
        Host::with_weights(&[1, 2, 3, 10]).install();
        let mut plugin = Random::configure("{}").unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        for (left_out, weights) in [(None, [1, 2, 3, 10]), (Some(3), [1, 2, 3, 0])] {
            if let Some(left_out) = left_out {
                mock::host(|host| host.endpoints[left_out].candidate = false);
            }
            let context = mock::host(|host| host.pick_context());
            let mut counts = [0u64; 4];
            for _ in 0..50_000 {
                counts[plugin.pick(&context).unwrap() as usize] += 1;
            }
            mock::assert_proportions(&counts, &weights);
        }
    }

    /// The twin: a list with each endpoint as often as its weight, indexed by the same random number.
    #[test]
    fn is_a_list_with_repetitions() {
        let mut plugin = Random::configure("{}").unwrap();
        mock::walk(&mut plugin, 29, 100_000, |step| {
            let eligible = step.eligible();
            let weight = |index: u32| step.host.endpoints[index as usize].weight;
            // Equal weights count as one each.
            let equal = eligible.windows(2).all(|pair| weight(pair[0]) == weight(pair[1]));
            let tickets: Vec<u32> = eligible
                .iter()
                .flat_map(|&index| std::iter::repeat_n(index, if equal { 1 } else { weight(index) as usize }))
                .collect();
            let share = (step.random.clone().next() >> 32) as f64 / 4_294_967_296.0;
            let ticket = (share * tickets.len() as f64) as usize;
            assert_eq!(step.picked, tickets.get(ticket).copied());
        });
    }
}
