//! Random lives of an instance: what may come to a plugin in a proxy, and the odder the better.
//! Endpoints are such as a configuration may have, messages such as the proxy lets through.

use std::sync::Arc;

use super::dice::Dice;
use super::message;
use super::words::Words;
use crate::config::{CaseEndpoint, PluginKind, RequestGiven, Step};
use crate::endpoint::EndpointState;

const MOST_STEPS: usize = 48;
const MOST_ENDPOINTS: usize = 200;

pub fn script(dice: &mut Dice, kind: PluginKind, words: &Words) -> Vec<Step> {
    let steps = 1 + dice.size(MOST_STEPS - 1);
    match kind {
        PluginKind::HttpFilter => (0..steps).map(|_| exchange(dice, words)).collect(),
        PluginKind::Balancer => picks(dice, steps, words),
    }
}

fn exchange(dice: &mut Dice, words: &Words) -> Step {
    let request = message::request(dice, words, false);
    let response = dice.percent(85).then(|| message::response(dice, words));
    Step { endpoints: Arc::default(), tried: Vec::new(), candidates: None, request, response }
}

fn picks(dice: &mut Dice, steps: usize, words: &Words) -> Vec<Step> {
    let mut list: Vec<Step> = Vec::with_capacity(steps);
    let mut endpoints = endpoints(dice, words);
    for _ in 0..steps {
        if dice.percent(20) {
            endpoints = change(dice, &endpoints, words);
        }
        let request = message::request(dice, words, true);
        list.push(pick(dice, &list, &endpoints, request));
    }
    list
}

fn pick(dice: &mut Dice, before: &[Step], endpoints: &Arc<[CaseEndpoint]>, request: RequestGiven) -> Step {
    let share = *dice.one(&[0, 0, 0, 0, 0, 5, 30, 70, 100]);
    let mut tried = some(dice, endpoints, share);
    if let Some(earlier) = before.last().filter(|_| dice.percent(5)) {
        // Tried before an update that took it away.
        tried.extend(earlier.endpoints.first().map(|endpoint| endpoint.address.clone()));
        tried.sort();
        tried.dedup();
    }
    let candidates = dice.percent(20).then(|| {
        let share = *dice.one(&[0, 20, 50, 80, 100]);
        some(dice, endpoints, share)
    });
    Step { endpoints: Arc::clone(endpoints), tried, candidates, request, response: None }
}

fn some(dice: &mut Dice, endpoints: &[CaseEndpoint], percent: usize) -> Vec<String> {
    endpoints.iter().filter(|_| dice.percent(percent)).map(|endpoint| endpoint.address.clone()).collect()
}

fn endpoints(dice: &mut Dice, words: &Words) -> Arc<[CaseEndpoint]> {
    let count = if dice.percent(5) { MOST_ENDPOINTS } else { dice.size(MOST_ENDPOINTS) };
    // A row of steps through a prime number of names: no name comes twice, and two sets share some.
    let (start, stride) = (dice.below(PRIME), 1 + dice.below(PRIME - 1));
    let style = Style::of(dice);
    (0..count).map(|number| endpoint(dice, (start + number * stride) % PRIME, &style, words)).collect()
}

const PRIME: usize = 401;

/// Other endpoints, some others, or the same ones in another state or order.
fn change(dice: &mut Dice, before: &Arc<[CaseEndpoint]>, words: &Words) -> Arc<[CaseEndpoint]> {
    let mut list = before.to_vec();
    match dice.below(5) {
        0 => return endpoints(dice, words),
        1 => list.retain(|_| dice.percent(50)),
        2 => list.reverse(),
        3 => {
            let more = endpoints(dice, words);
            let is_new = |endpoint: &&CaseEndpoint| before.iter().all(|known| known.address != endpoint.address);
            list.extend(more.iter().filter(is_new).take(MOST_ENDPOINTS - before.len()).cloned());
        }
        _ => {
            let style = Style::of(dice);
            for endpoint in &mut list {
                style.dress(dice, endpoint, words);
            }
        }
    }
    list.into()
}

/// What the endpoints of one set have in common: odd ones among plain ones, all odd, all plain.
struct Style {
    /// None: any.
    state: Option<EndpointState>,
    weight: usize,
    percent_labelled: usize,
    percent_measured: usize,
}

const STATES: [EndpointState; 3] = [EndpointState::Healthy, EndpointState::Unhealthy, EndpointState::Draining];

impl Style {
    fn of(dice: &mut Dice) -> Self {
        Self {
            state: match dice.below(20) {
                0..=12 => Some(EndpointState::Healthy),
                13 => Some(EndpointState::Unhealthy),
                14 => Some(EndpointState::Draining),
                _ => None,
            },
            weight: *dice.one(&[1, 1, 3, 100, 65_535]),
            percent_labelled: *dice.one(&[0, 0, 50, 100]),
            percent_measured: *dice.one(&[0, 50, 100]),
        }
    }

    fn dress(&self, dice: &mut Dice, endpoint: &mut CaseEndpoint, words: &Words) {
        endpoint.state = self.state.unwrap_or_else(|| *dice.one(&STATES));
        endpoint.weight = if dice.percent(10) { self.weight as u32 } else { dice.between(1, self.weight) as u32 };
        if dice.percent(self.percent_labelled) {
            endpoint.labels = words.pairs(dice, 12);
        }
        if dice.percent(self.percent_measured) {
            endpoint.active = *dice.one(&[0, 1, 7, 1000, u32::MAX]);
            endpoint.latency_us = *dice.one(&[0, 1, 800, 30_000, 16_000_000]);
            endpoint.error_rate = *dice.one(&[0, 1, 2_500, 10_000]);
            endpoint.cpu = *dice.one(&[None, Some(0), Some(4_200), Some(10_000)]);
            endpoint.memory = *dice.one(&[None, Some(0), Some(9_999), Some(10_000)]);
        }
    }
}

fn endpoint(dice: &mut Dice, number: usize, style: &Style, words: &Words) -> CaseEndpoint {
    let mut endpoint = CaseEndpoint::new(address(number));
    style.dress(dice, &mut endpoint, words);
    endpoint
}

/// One name for each number, in all the forms that a configuration takes.
fn address(number: usize) -> String {
    match number % 7 {
        0..=2 => format!("10.0.{}.{}:{}", number / 256, number % 256, 80 + number),
        3 => format!("[2001:db8::{number:x}]:65535"),
        4 => format!("Backend-{number}.INTERNAL:1"),
        5 => format!("{}.{number}x:80", ["a".repeat(63), "b_".repeat(30) + "c", "d".repeat(63)].join(".")),
        _ => format!("xn--{number}-3ya:443"),
    }
}
