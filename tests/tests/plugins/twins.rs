//! Each default balancer as the component that it is, in the real host, through random changes of
//! all that it is given: it chooses whom it may, whenever there is one, and never fails. (What it
//! chooses is compared with a plain twin in its own crate.)

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jackfield::config::PluginKind;
use jackfield::endpoint::{Active, Endpoint, EndpointSet, EndpointState};
use jackfield::plugin::{Balancer, Choice, Decision, Exchange};
use jackfield_tests::host::{Host, endpoint, exchange, guest};

const STEPS: usize = 2000;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// An upstream to which things happen.
struct World {
    random: Random,
    members: Vec<(Arc<Endpoint>, EndpointState)>,
    active: Vec<Active>,
    set: Arc<EndpointSet>,
    born: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let set = Arc::new(EndpointSet::new(0, Vec::new(), Vec::new(), Duration::from_secs(10)));
        let mut world = Self { random: Random(seed), members: Vec::new(), active: Vec::new(), set, born: 0 };
        world.change();
        world
    }

    fn change(&mut self) {
        for _ in 0..=self.random.below(3) {
            let place = self.random.below(self.members.len().max(1));
            match self.random.below(4) {
                0 if self.members.len() < 12 => {
                    self.born += 1;
                    let weight = 1 + self.random.below(5) as u32;
                    self.members.insert(place, (endpoint(self.born, weight), EndpointState::Healthy));
                }
                1 if !self.members.is_empty() => drop(self.members.remove(place)),
                _ if !self.members.is_empty() => {
                    let states = [EndpointState::Healthy, EndpointState::Unhealthy, EndpointState::Draining];
                    self.members[place].1 = states[self.random.below(6).saturating_sub(3)];
                }
                _ => {}
            }
        }
        let (endpoints, states) = self.members.iter().cloned().unzip();
        let next = self.set.generation + 1;
        self.set = Arc::new(EndpointSet::new(next, endpoints, states, Duration::from_secs(10)));
    }

    fn measure(&mut self) {
        if let Some(endpoint) = self.set.endpoints.get(self.random.below(self.set.len().max(1))) {
            match self.random.below(4) {
                0 => endpoint.stats.succeeded(Duration::from_micros(self.random.below(100_000) as u64)),
                1 => endpoint.stats.failed(),
                2 => endpoint.stats.report_load(Some(self.random.below(100) as f64 / 100.0), None),
                _ => self.active.push(Active::new(Arc::clone(endpoint))),
            }
        }
        if self.active.len() > 40 {
            self.active.swap_remove(self.random.below(40));
        }
    }

    fn exchange(&mut self) -> Box<Exchange> {
        exchange(Ipv4Addr::from_bits(0xc000_0200 + self.random.below(256) as u32))
    }
}

/// One request: tries until there is nobody left, as a request whose endpoints all fail would.
#[track_caller]
fn try_all(name: &str, world: &mut World, balancer: &mut Balancer) {
    let (mut exchange, mut choice) = (world.exchange(), Choice::default());
    let most = world.random.below(4);
    for _ in 0..=most {
        let eligible: Vec<u32> = choice.eligible(&world.set).collect();
        let (back, decision) = balancer.pick(exchange, &mut choice, &world.set);
        exchange = back;
        match decision {
            Decision::Endpoint(index) => {
                assert!(eligible.contains(&(index as u32)), "{name} chose {index} of {eligible:?}");
                choice.mark_tried(world.set.endpoints[index].id);
            }
            Decision::Nobody => assert!(eligible.is_empty(), "{name} chose nobody of {eligible:?}"),
            Decision::Failed => panic!("{name} failed"),
        }
    }
}

#[test]
fn every_default_balancer_chooses_whom_it_may() {
    let host = Host::new();
    for (seed, name) in host.balancers().enumerate() {
        let mut world = World::new(seed as u64 + 1);
        let usage = host.usage(name, PluginKind::Balancer);
        let mut balancer = Balancer::start(&usage, 0, &world.set).unwrap();
        for _ in 0..STEPS {
            if world.random.below(20) == 0 {
                world.change();
            }
            world.measure();
            try_all(name, &mut world, &mut balancer);
        }
        assert_eq!(usage.shared.totals.failures(), 0, "{name}");
        assert!(usage.shared.totals.calls() >= STEPS as u64, "{name}: {usage:?}");
    }
}

/// A wrapper that leaves every second endpoint out.
#[test]
fn every_default_balancer_keeps_to_the_candidates() {
    let host = Host::new();
    for (seed, name) in host.balancers().enumerate() {
        let mut world = World::new(seed as u64 + 100);
        let inner = host.usage(name, PluginKind::Balancer);
        let outer = host.usage_of(
            &guest("misbehave"),
            PluginKind::Balancer,
            r#"{"do": "delegate-among-even"}"#,
            Some(Arc::clone(&inner)),
        );
        let mut balancer = Balancer::start(&outer, 0, &world.set).unwrap();
        for _ in 0..STEPS / 4 {
            if world.random.below(20) == 0 {
                world.change();
            }
            world.measure();
            let even: Vec<usize> = (0..world.set.len()).filter(|i| i % 2 == 0 && world.set.is_healthy(*i)).collect();
            let (_, decision) = balancer.pick(world.exchange(), &mut Choice::default(), &world.set);
            match decision {
                Decision::Endpoint(index) => assert!(even.contains(&index), "{name} chose {index} of {even:?}"),
                Decision::Nobody => assert_eq!(even, [0; 0], "{name}"),
                Decision::Failed => panic!("{name} failed"),
            }
        }
        assert_eq!((inner.shared.totals.failures(), outer.shared.totals.failures()), (0, 0), "{name}");
    }
}
