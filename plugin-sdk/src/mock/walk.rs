//! Drives a balancer through random changes of everything that it is given.

use super::{Endpoint, Host, Random};
use crate::{Balancer, EndpointState, PickContext};

/// One decision of the walk.
#[derive(Debug)]
pub struct Step<'a> {
    /// The host as the plugin saw it, but for `random` and `counters`, which it may have moved.
    pub host: &'a Host,
    /// What they were before the pick.
    pub random: Random,
    pub counters: [u64; 16],
    /// Whether there was an `update` since the step before.
    pub updated: bool,
    pub context: PickContext,
    pub picked: Option<u32>,
}

impl Step<'_> {
    /// The positions of the eligible endpoints.
    pub fn eligible(&self) -> Vec<u32> {
        let endpoints = (0u32..).zip(&self.host.endpoints);
        endpoints.filter(|(_, endpoint)| endpoint.eligible()).map(|(index, _)| index).collect()
    }

    /// The positions of the healthy endpoints, tried or not.
    pub fn healthy(&self) -> Vec<u32> {
        let healthy = |e: &Endpoint| e.state == EndpointState::Healthy;
        let endpoints = (0u32..).zip(&self.host.endpoints);
        endpoints.filter(|(_, endpoint)| healthy(endpoint)).map(|(index, _)| index).collect()
    }
}

/// Lets `balancer` decide `steps` times on a new mock host, while endpoints come, go, fail, drain,
/// recover, change weight and load, are tried, and are left out by a balancer above. After each
/// decision `check` compares it with what a plain twin says. That the answer is eligible, and that
/// there is one whenever there can be one, is checked here.
pub fn walk(balancer: &mut impl Balancer, seed: u64, steps: usize, mut check: impl FnMut(&Step)) {
    let mut random = Random::new(seed);
    let mut host = Host::with_endpoints(3);
    let mut updated = true;
    for _ in 0..steps {
        host.client = [10, 0, random.below(256) as u8, random.below(256) as u8].into();
        updated |= change_membership(&mut host, &mut random);
        change_load(&mut host, &mut random);
        change_tried(&mut host, &mut random);
        if updated {
            host.generation += 1;
            balancer.update(&host.endpoint_set());
        }
        let context = host.pick_context();
        let (before, counters) = (host.random.clone(), host.counters);
        host.install();
        let picked = balancer.pick(&context);
        host = super::host(std::mem::take);
        let step = Step { host: &host, random: before, counters, updated, context, picked };
        assert_allowed(&step);
        check(&step);
        updated = false;
    }
}

#[track_caller]
fn assert_allowed(step: &Step) {
    match step.picked {
        None => assert_eq!(step.context.eligible, 0, "none picked: {step:?}"),
        Some(picked) => {
            let endpoint = &step.host.endpoints[picked as usize];
            assert!(endpoint.eligible(), "picked one that is not eligible: {step:?}");
        }
    }
}

/// Now and then; tells whether it did.
fn change_membership(host: &mut Host, random: &mut Random) -> bool {
    let n = host.endpoints.len() as u64;
    match random.below(64) {
        0 if n < 12 => {
            let mut new = Endpoint::new(random.next());
            new.weight = 1 + random.below(5) as u32;
            host.endpoints.insert(random.below(n + 1) as usize, new);
        }
        1 if n > 0 => drop(host.endpoints.remove(random.below(n) as usize)),
        2..=5 if n > 0 => {
            let states =
                [EndpointState::Healthy, EndpointState::Healthy, EndpointState::Unhealthy, EndpointState::Draining];
            host.endpoints[random.below(n) as usize].state = states[random.below(4) as usize];
        }
        6 if n > 0 => {
            host.endpoints[random.below(n) as usize].weight = 1 + random.below(9) as u32;
        }
        _ => return false,
    }
    true
}

fn change_load(host: &mut Host, random: &mut Random) {
    for endpoint in &mut host.endpoints {
        match random.below(16) {
            0..=3 => endpoint.active += 1,
            4..=7 => endpoint.active = endpoint.active.saturating_sub(1),
            8 => endpoint.latency = random.below(100_000) as u32,
            9 => endpoint.cpu = (random.below(4) > 0).then(|| random.below(10_001) as u32),
            10 => endpoint.memory = (random.below(4) > 0).then(|| random.below(10_001) as u32),
            _ => {}
        }
    }
}

/// Most decisions are first tries among all; a quarter is narrowed by tries or from above.
fn change_tried(host: &mut Host, random: &mut Random) {
    let kind = random.below(8);
    for endpoint in &mut host.endpoints {
        endpoint.tried = kind == 0 && random.below(3) == 0;
        endpoint.candidate = kind != 1 || random.below(2) == 0;
    }
}
