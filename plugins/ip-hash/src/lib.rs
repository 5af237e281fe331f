//! `ip-hash`: the same client to the same endpoint, without a table and without memory.
//!
//! Rendezvous hashing (Thaler, Ravishankar: Using Name-Based Mappings to Increase Hit Rates, 1998):
//! client and endpoint hashed together give each pair a number, and the client goes to the endpoint
//! with the least. When an endpoint leaves, fails or is tried in vain, only its clients move, each to
//! its own second choice; when it returns they return. All proxies agree, as only ids are hashed.
//!
//! With weights the number is an exponential waiting time, `-ln(1 - hash) / weight`: the first to
//! arrive wins, and each wins in proportion to its weight (Schindelhauer, Schomaker: Weighted
//! Distributed Hash Tables, 2005). A changed weight moves only what it must.
//!
//! No settings. The client's IP address is hashed, without the port.

use jackfield_plugin::endpoints::Measure;
use jackfield_plugin::{Balancer, EndpointSet, PickContext, endpoints, hash, settings};

#[derive(Default)]
pub struct IpHash {
    healthy: Vec<u32>,
    /// The hashed id of each healthy endpoint.
    seeds: Vec<u64>,
    /// One divided by the weight of each; empty when all are equal.
    scales: Vec<f64>,
}

impl Balancer for IpHash {
    fn configure(settings: &str) -> Result<Self, String> {
        settings::none(settings)?;
        Ok(Self::default())
    }

    fn update(&mut self, set: &EndpointSet) {
        self.healthy = set.healthy();
        let seed = |&position: &u32| hash::mix(set.ids[position as usize]);
        self.seeds = self.healthy.iter().map(seed).collect();
        let scale = |&position: &u32| 1.0 / f64::from(set.weight(position));
        self.scales = self.healthy.iter().map(scale).collect();
        if self.scales.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits()) {
            self.scales.clear();
        }
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        if context.all_of(&self.healthy) {
            return self.first(context.client, |_| true);
        }
        if context.eligible == 0 {
            return None;
        }
        let eligible = endpoints::column(Measure::Eligible);
        let is_eligible = |endpoint: u32| eligible.get(endpoint as usize).is_some_and(|&is| is != 0);
        self.first(context.client, is_eligible)
    }
}

impl IpHash {
    fn first(&self, client: u64, may: impl Fn(u32) -> bool) -> Option<u32> {
        let pairs = self.healthy.iter().zip(&self.seeds);
        if self.scales.is_empty() {
            let allowed = pairs.filter(|(endpoint, _)| may(**endpoint));
            let first = allowed.min_by_key(|(_, seed)| hash::mix(client ^ **seed));
            return first.map(|(endpoint, _)| *endpoint);
        }
        let mut first = (f64::INFINITY, None);
        for ((&endpoint, seed), scale) in pairs.zip(&self.scales) {
            let hash = unit(hash::mix(client ^ seed));
            // As -ln(1 - x) is never below x, who is late already needs no logarithm: nearly all.
            if hash * scale < first.0 && may(endpoint) {
                let arrival = -(-hash).ln_1p() * scale;
                if arrival < first.0 {
                    first = (arrival, Some(endpoint));
                }
            }
        }
        first.1
    }
}

/// A number from 0 up to, not including, 1.
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

jackfield_plugin::balancer!(IpHash);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::EndpointState;
    use jackfield_plugin::mock::{self, Host, Random};

    const CLIENTS: usize = 20_000;

    fn plugin_for(host: &Host) -> IpHash {
        host.clone().install();
        let mut plugin = IpHash::configure("{}").unwrap();
        plugin.update(&host.endpoint_set());
        plugin
    }

    /// The id of the endpoint that each of many clients gets.
    fn choices(host: &Host) -> Vec<u64> {
        let mut plugin = plugin_for(host);
        let mut random = Random::new(5);
        let mut context = host.pick_context();
        (0..CLIENTS)
            .map(|_| {
                context.client = random.next();
                host.endpoints[plugin.pick(&context).unwrap() as usize].id
            })
            .collect()
    }

    fn counts(host: &Host) -> Vec<u64> {
        let choices = choices(host);
        let count = |id| choices.iter().filter(|&&chosen| chosen == id).count() as u64;
        host.endpoints.iter().map(|endpoint| count(endpoint.id)).collect()
    }

    #[test]
    fn clients_spread_in_proportion_to_the_weights() {
        mock::assert_proportions(&counts(&Host::with_endpoints(7)), &[1; 7]);
        mock::assert_proportions(&counts(&Host::with_weights(&[1, 2, 3, 10])), &[1, 2, 3, 10]);
    }

    #[test]
    fn when_an_endpoint_goes_only_its_clients_move() {
        for weights in [[1; 8], [1, 2, 3, 4, 5, 6, 7, 8]] {
            let host = Host::with_weights(&weights);
            let before = choices(&host);
            let lost = host.endpoints[5].id;
            let mut without = host.clone();
            without.endpoints.remove(5);
            let mut failed = host.clone();
            failed.endpoints[5].state = EndpointState::Unhealthy;
            let mut tried = host.clone();
            tried.endpoints[5].tried = true;
            for after in [without, failed, tried] {
                for (before, after) in before.iter().zip(choices(&after)) {
                    assert!(*before == after || *before == lost);
                    assert_ne!(after, lost);
                }
            }
        }
    }

    #[test]
    fn a_weight_that_grows_draws_clients_to_itself_only() {
        let before = choices(&Host::with_weights(&[1, 1, 1, 1]));
        let host = Host::with_weights(&[1, 1, 3, 1]);
        for (before, after) in before.iter().zip(choices(&host)) {
            assert!(*before == after || after == host.endpoints[2].id);
        }
    }

    /// The twin: the waiting time of everyone, by the plain formula.
    #[test]
    fn is_the_first_of_exponential_arrivals() {
        let mut plugin = IpHash::configure("{}").unwrap();
        mock::walk(&mut plugin, 13, 100_000, |step| {
            let arrival = |&index: &u32| {
                let endpoint = &step.host.endpoints[index as usize];
                let hash = hash::mix(step.context.client ^ hash::mix(endpoint.id));
                let survives = 1.0 - (hash >> 11) as f64 * 0.5f64.powi(53);
                -survives.ln() / f64::from(endpoint.weight)
            };
            let eligible = step.eligible();
            let first = eligible.iter().min_by(|a, b| arrival(a).total_cmp(&arrival(b)));
            assert_eq!(step.picked.as_ref(), first);
        });
    }
}
