//! A request with the header `x-canary` goes to the endpoints that are labelled `canary`, every other
//! to the rest. Among them the wrapped balancer chooses (`then`), or without one they take turns.

use jackfield_plugin::{Balancer, EndpointSet, PickContext, delegate, endpoints, request};

#[derive(Default)]
struct CanaryByHeader {
    canaries: Vec<u32>,
    others: Vec<u32>,
    turn: usize,
}

impl Balancer for CanaryByHeader {
    fn configure(settings: &str) -> Result<Self, String> {
        if settings == "{}" { Ok(Self::default()) } else { Err("canary-by-header has no settings".to_owned()) }
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        let is_canary = |&position: &u32| endpoints.labels[position as usize].iter().any(|(name, _)| name == "canary");
        (self.canaries, self.others) = (0..endpoints.len() as u32).partition(is_canary);
    }

    fn pick(&mut self, _: &PickContext) -> Option<u32> {
        self.turn = self.turn.wrapping_add(1);
        let is_canary = request::header_hash("x-canary").is_some();
        let (wanted, rest) = if is_canary { (&self.canaries, &self.others) } else { (&self.others, &self.canaries) };
        self.choose(wanted).or_else(|| self.choose(rest))
    }
}

impl CanaryByHeader {
    fn choose(&self, group: &[u32]) -> Option<u32> {
        let mut in_turn = (0..group.len()).map(|step| group[self.turn.wrapping_add(step) % group.len()]);
        delegate::pick_among(group).or_else(|| in_turn.find(|&endpoint| endpoints::eligible(endpoint)))
    }
}

jackfield_plugin::balancer!(CanaryByHeader);
