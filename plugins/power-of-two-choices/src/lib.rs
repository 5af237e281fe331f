//! `power-of-two-choices`: two endpoints drawn at random, the less loaded one wins.
//!
//! With n endpoints the fullest is `log log n` above the average, where plain random is
//! `log n / log log n` (Mitzenmacher: The Power of Two Choices in Randomized Load Balancing, 1996).
//! It looks at two endpoints however many there are, and several proxies that decide on their own do
//! not all rush to the same one, as with least-connections.
//!
//! The two are drawn in proportion to their weights, and compared by requests in flight for the
//! weight; at equal load the first drawn wins.
//!
//! No settings.

use jackfield_plugin::{Balancer, EndpointSet, Lottery, PickContext, endpoints, random, settings};

#[derive(Default)]
pub struct PowerOfTwoChoices {
    healthy: Vec<u32>,
    weights: Vec<u32>,
    lottery: Lottery,
}

impl Balancer for PowerOfTwoChoices {
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
            return self.better_of_two(&self.lottery);
        }
        let eligible = context.eligible_positions();
        self.better_of_two(&self.lottery_among(&eligible))
    }
}

impl PowerOfTwoChoices {
    fn lottery_among(&self, set: &[u32]) -> Lottery {
        Lottery::new(set.iter().map(|&endpoint| (endpoint, self.weight(endpoint))))
    }

    fn better_of_two(&self, lottery: &Lottery) -> Option<u32> {
        let (first, second) = lottery.draw_two(random::next())?;
        let Some(second) = second else {
            return Some(first);
        };
        // Crosswise instead of divided: a1 / w1 <= a2 / w2.
        let load = u64::from(endpoints::active(first)) * self.weight(second);
        let other = u64::from(endpoints::active(second)) * self.weight(first);
        Some(if load <= other { first } else { second })
    }

    fn weight(&self, endpoint: u32) -> u64 {
        self.weights.get(endpoint as usize).copied().unwrap_or(1).into()
    }
}

jackfield_plugin::balancer!(PowerOfTwoChoices);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host, Random};

    fn with_weights(weights: &[u32]) -> PowerOfTwoChoices {
        Host::with_weights(weights).install();
        let mut plugin = PowerOfTwoChoices::configure("{}").unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        plugin
    }

    /// Picks for requests that all stay in flight.
    fn pile_up(plugin: &mut PowerOfTwoChoices, requests: usize) -> Vec<u32> {
        let context = mock::host(|host| host.pick_context());
        for _ in 0..requests {
            let picked = plugin.pick(&context).unwrap() as usize;
            mock::host(|host| host.endpoints[picked].active += 1);
        }
        mock::host(|host| host.endpoints.iter().map(|e| e.active).collect())
    }

    #[test]
    fn the_fullest_is_far_below_that_of_plain_random() {
        let n = 500;
        let fullest = pile_up(&mut with_weights(&vec![1; n]), n).into_iter().max();
        let mut random = Random::new(3);
        let mut loads = vec![0; n];
        (0..n).for_each(|_| loads[random.below(n as u64) as usize] += 1);
        assert!(fullest <= Some(3) && loads.iter().max() >= Some(&4));
    }

    #[test]
    fn idle_endpoints_share_by_weight_and_busy_ones_fill_up_to_it() {
        let mut plugin = with_weights(&[1, 2, 5]);
        let context = mock::host(|host| host.pick_context());
        let mut counts = [0u64; 3];
        for _ in 0..50_000 {
            counts[plugin.pick(&context).unwrap() as usize] += 1;
        }
        mock::assert_proportions(&counts, &[1, 2, 5]);
        let active = pile_up(&mut plugin, 8000);
        assert!(active.iter().zip([1000, 2000, 5000]).all(|(a, e)| a.abs_diff(e) < 20), "{active:?}");
    }

    #[test]
    fn asks_for_two_of_a_thousand() {
        let mut plugin = with_weights(&[1; 1000]);
        let context = mock::host(|host| host.pick_context());
        mock::host(|host| host.calls = 0);
        plugin.pick(&context);
        assert_eq!(mock::host(|host| host.calls), 3); // the random number and two loads
    }

    /// The twin: two tickets are taken out of a plain list of tickets.
    #[test]
    fn is_two_tickets_from_a_list() {
        let mut plugin = PowerOfTwoChoices::configure("{}").unwrap();
        mock::walk(&mut plugin, 31, 100_000, |step| {
            let eligible = step.eligible();
            let endpoint = |index: u32| &step.host.endpoints[index as usize];
            let equal = eligible.windows(2).all(|p| endpoint(p[0]).weight == endpoint(p[1]).weight);
            let times = |index| {
                if equal { 1 } else { endpoint(index).weight as usize }
            };
            let mut tickets: Vec<u32> =
                eligible.iter().flat_map(|&index| std::iter::repeat_n(index, times(index))).collect();
            let bits = step.random.clone().next();
            let take = |tickets: &[u32], bits: u64| {
                let place = bits as f64 / 4_294_967_296.0 * tickets.len() as f64;
                tickets.get(place as usize).copied()
            };
            let first = take(&tickets, bits >> 32);
            tickets.retain(|&index| Some(index) != first);
            let second = take(&tickets, bits & 0xffff_ffff);
            let load = |i: u32| f64::from(endpoint(i).active) / f64::from(endpoint(i).weight);
            let better = match (first, second) {
                (Some(first), Some(second)) if load(second) < load(first) - 1e-12 => Some(second),
                (first, _) => first,
            };
            assert_eq!(step.picked, better);
        });
    }
}
