//! `endpoints`, and `delegate`: what a balancer may know and whom it may ask.

use crate::endpoint::{EndpointSet, Stats};
use crate::plugin::Decision;
use crate::plugin::balancer::NONE;
use crate::plugin::bindings::jackfield::plugin::{delegate, endpoints};
use crate::plugin::engine::Engine;
use crate::plugin::host::{Host, Phase};

impl Host {
    fn stats(&self, index: u32) -> Option<&Stats> {
        Some(&self.set.as_ref()?.endpoints.get(index as usize)?.stats)
    }

    fn measure(&self, index: u32, of: impl Fn(&Stats) -> u32) -> u32 {
        self.stats(index).map_or(0, of)
    }

    fn load(&self, index: u32) -> (u32, u32) {
        let expiry = self.set.as_ref().map(|set| set.report_expiry);
        self.stats(index).zip(expiry).map_or((NONE, NONE), |(stats, expiry)| stats.load_at(expiry, self.now_ms()))
    }

    fn stats_column(set: &EndpointSet, of: impl Fn(&Stats) -> u32) -> Vec<u32> {
        set.endpoints.iter().map(|endpoint| of(&endpoint.stats)).collect()
    }
}

impl endpoints::Host for Host {
    fn active(&mut self, endpoint: u32) -> u32 {
        self.measure(endpoint, Stats::active)
    }

    fn weight(&mut self, endpoint: u32) -> u32 {
        let set = self.set.as_ref();
        set.and_then(|set| set.endpoints.get(endpoint as usize)).map_or(0, |endpoint| endpoint.config.weight)
    }

    fn latency(&mut self, endpoint: u32) -> u32 {
        let now = self.now_ms();
        self.measure(endpoint, |stats| stats.latency_us_at(now))
    }

    fn error_rate(&mut self, endpoint: u32) -> u32 {
        self.measure(endpoint, Stats::error_rate)
    }

    fn cpu(&mut self, endpoint: u32) -> u32 {
        self.load(endpoint).0
    }

    fn memory(&mut self, endpoint: u32) -> u32 {
        self.load(endpoint).1
    }

    fn eligible(&mut self, endpoint: u32) -> bool {
        self.set.as_ref().is_some_and(|set| self.choice.is_eligible(set, endpoint))
    }

    fn tried(&mut self, endpoint: u32) -> bool {
        self.set.as_ref().is_some_and(|set| self.choice.is_tried(set, endpoint))
    }

    fn candidate(&mut self, endpoint: u32) -> bool {
        self.set.as_ref().is_some_and(|set| self.choice.allows(set, endpoint))
    }

    fn column(&mut self, of: endpoints::Measure) -> Vec<u32> {
        use endpoints::Measure;
        let now = self.now_ms();
        let Some(set) = &self.set else { return Vec::new() };
        match of {
            Measure::Active => Self::stats_column(set, Stats::active),
            Measure::Weight => set.endpoints.iter().map(|endpoint| endpoint.config.weight).collect(),
            Measure::Latency => Self::stats_column(set, |stats| stats.latency_us_at(now)),
            Measure::ErrorRate => Self::stats_column(set, Stats::error_rate),
            Measure::Cpu => Self::stats_column(set, |stats| stats.load_at(set.report_expiry, now).0),
            Measure::Memory => Self::stats_column(set, |stats| stats.load_at(set.report_expiry, now).1),
            Measure::Eligible => {
                (0..set.len() as u32).map(|index| u32::from(self.choice.is_eligible(set, index))).collect()
            }
        }
    }
}

impl Host {
    /// Asks the wrapped balancer, in its own store. The exchange and what is left to choose from
    /// travel on, and come back.
    fn ask_delegate(&mut self) -> u32 {
        if self.phase != Phase::Pick {
            return NONE;
        }
        let (Some(mut delegate), Some(set)) = (self.delegate.take(), self.set.clone()) else { return NONE };
        let mut choice = std::mem::take(&mut self.choice);
        let exchange = self.take_exchange();
        let before = exchange.plugin_time;
        let (exchange, decision) = delegate.pick(exchange, &mut choice, &set);
        let took = exchange.plugin_time.saturating_sub(before);
        if took >= Engine::TICK {
            self.deadline.owe(took);
        }
        self.give_exchange(exchange, Phase::Pick);
        self.choice = choice;
        self.delegate = Some(delegate);
        match decision {
            Decision::Endpoint(index) => index as u32,
            Decision::Nobody | Decision::Failed => NONE,
        }
    }
}

impl delegate::Host for Host {
    fn pick(&mut self) -> u32 {
        self.ask_delegate()
    }

    fn pick_among(&mut self, candidates: Vec<u32>) -> u32 {
        let endpoints = self.set.as_ref().map_or(0, |set| set.len());
        let before = self.choice.narrow(&candidates, endpoints);
        let answer = self.ask_delegate();
        self.choice.widen(before);
        answer
    }
}
