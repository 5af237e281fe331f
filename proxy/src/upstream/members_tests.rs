//! The tables of Envoy's documentation, and the weights of a ramp.

use super::*;
use crate::config::Outlier;
use crate::endpoint::Cause;
use crate::tcp::testing;

/// For each tier: how many endpoints, and how many of them are healthy.
fn tiers(tiers: &[(u32, u32)], panic_threshold: f64) -> EndpointSet {
    let numbers = tiers.iter().zip(0..).flat_map(|((count, _), tier)| (0..*count).map(move |_| tier));
    let endpoint = |(position, tier): (u16, u32)| {
        let endpoint = testing::endpoint(([127, 0, 0, 1], 1 + position).into());
        config::EndpointConfig { tier, ..endpoint.config.clone() }
    };
    let endpoints: Vec<_> = (0..).zip(numbers).map(endpoint).collect();
    let outlier = Outlier {
        consecutive_5xx: 5,
        consecutive_gateway: 5,
        success_rate: None,
        interval: Duration::from_secs(1),
        ejection_time: Duration::from_mins(1),
        max_ejection_time: Duration::from_mins(1),
        max_ejected: 1.0,
        jitter: 0.0,
    };
    let config = config::Upstream { endpoints, panic_threshold, outlier: Some(outlier), ..testing::upstream(0) };
    let members: Vec<_> =
        config.endpoints.iter().map(|endpoint| Arc::new(Endpoint::new(endpoint.clone(), Arc::default()))).collect();
    for (tier, (_, healthy)) in (0..).zip(tiers) {
        for endpoint in members.iter().filter(|endpoint| endpoint.config.tier == tier).skip(*healthy as usize) {
            endpoint.stats.standing.eject(Cause::SuccessRate, |_| Duration::from_mins(1));
        }
    }
    set_of(1, &members, &config, Instant::now())
}

/// Of a hundred endpoints in each tier so many are healthy: the percentages of the traffic.
fn shares(healthy: &[u32]) -> Vec<f64> {
    let all: Vec<(u32, u32)> = healthy.iter().map(|healthy| (100, *healthy)).collect();
    tiers(&all, 0.0).tiers.iter().map(|tier| (tier.share * 100.0).round()).collect()
}

#[test]
fn traffic_spills_as_envoy_documents_it() {
    assert_eq!(shares(&[100, 100]), [100.0, 0.0]);
    assert_eq!(shares(&[72, 100]), [100.0, 0.0]);
    assert_eq!(shares(&[71, 100]), [99.0, 1.0]);
    assert_eq!(shares(&[50, 100]), [70.0, 30.0]);
    assert_eq!(shares(&[25, 100]), [35.0, 65.0]);
    assert_eq!(shares(&[0, 100]), [0.0, 100.0]);
    assert_eq!(shares(&[25, 25]), [50.0, 50.0]);
    assert_eq!(shares(&[50, 50, 100]), [70.0, 30.0, 0.0]);
    assert_eq!(shares(&[25, 25, 100]), [35.0, 35.0, 30.0]);
    assert_eq!(shares(&[25, 25, 20]), [36.0, 36.0, 29.0]);
    assert_eq!(shares(&[0, 0]), [0.0, 0.0]);
}

fn panics(tiers: &EndpointSet) -> Vec<bool> {
    tiers.tiers.iter().map(|tier| tier.panics).collect()
}

#[test]
fn below_the_threshold_all_are_used() {
    let set = tiers(&[(4, 1)], 0.5);
    assert_eq!((panics(&set), set.healthy()), (vec![true], 4));
    let set = tiers(&[(4, 2)], 0.5);
    assert_eq!((panics(&set), set.healthy()), (vec![false], 2));
    assert_eq!(panics(&tiers(&[(4, 0)], 0.0)), [false], "0 is never");
}

/// What the next tier can take is no reason to use the sick of this one.
#[test]
fn tiers_panic_when_together_they_cannot_take_everything() {
    let set = tiers(&[(10, 1), (10, 10)], 0.5);
    assert_eq!((panics(&set), set.healthy()), (vec![false, false], 11));
    let set = tiers(&[(10, 1), (10, 5)], 0.5);
    assert_eq!((panics(&set), set.healthy()), (vec![true, false], 15));
    let set = tiers(&[(30, 0), (10, 0)], 0.5);
    assert_eq!((panics(&set), set.healthy()), (vec![true, true], 40));
    let shares: Vec<f64> = set.tiers.iter().map(|tier| tier.share).collect();
    assert_eq!(shares, [0.75, 0.25], "by endpoints, when nobody is healthy");
}

#[test]
fn weights_ramp_up_in_steps() {
    let window = Duration::from_secs(100);
    let endpoints = [1, 3].map(|weight| {
        let endpoint = testing::endpoint(([127, 0, 0, 1], weight as u16).into());
        config::EndpointConfig { weight, ..endpoint.config.clone() }
    });
    let config = config::Upstream { endpoints: endpoints.to_vec(), slow_start: Some(window), ..testing::upstream(0) };
    let members = endpoints.map(|endpoint| Arc::new(Endpoint::new(endpoint, Arc::default())));
    members[1].stats.standing.set_returned(true);
    let returned = members[1].stats.standing.returned().unwrap();
    let weights = |passed| {
        let set = set_of(1, &members, &config, returned + Duration::from_secs(passed));
        let weights: Vec<u32> = set.endpoints.iter().map(|endpoint| endpoint.config.weight).collect();
        (set.weight_scale, weights)
    };
    assert_eq!(weights(0), (20, vec![20, 6]));
    assert_eq!(weights(10), (20, vec![20, 6]));
    assert_eq!(weights(50), (20, vec![20, 30]));
    assert_eq!(weights(99), (20, vec![20, 59]));
    assert_eq!(weights(100), (1, vec![1, 3]));
}

/// A tier that comes back takes its traffic back by and by.
#[test]
fn a_ramp_counts_as_less_capacity() {
    let endpoints = [0, 1].map(|tier| {
        let endpoint = testing::endpoint(([127, 0, 0, 1], 1 + tier as u16).into());
        config::EndpointConfig { tier, ..endpoint.config.clone() }
    });
    let window = Duration::from_secs(100);
    let config = config::Upstream { endpoints: endpoints.to_vec(), slow_start: Some(window), ..testing::upstream(0) };
    let members = endpoints.map(|endpoint| Arc::new(Endpoint::new(endpoint, Arc::default())));
    members[0].stats.standing.set_returned(true);
    let returned = members[0].stats.standing.returned().unwrap();
    let share = |passed| set_of(1, &members, &config, returned + Duration::from_secs(passed)).tiers[0].share;
    for (passed, expected) in [(0, 0.14), (50, 0.7), (72, 1.0), (100, 1.0)] {
        assert!((share(passed) - expected).abs() < 1e-9, "{} after {passed} s", share(passed));
    }
}
