//! Endpoints take turns, at first those with a label: `{"prefer": "LABEL"}`.

wit_bindgen::generate!({ path: "wit", world: "balancer" });

use std::cell::RefCell;

use exports::jackfield::plugin::balancing::{EndpointSet, Guest, PickContext};
use jackfield::plugin::endpoints;

const NONE: u32 = u32::MAX;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    prefer: Option<String>,
}

#[derive(Default)]
struct Balancer {
    prefer: Option<String>,
    preferred: Vec<u32>,
    others: Vec<u32>,
    turn: usize,
}

// Calls never overlap: this is a plain global variable.
thread_local!(static BALANCER: RefCell<Balancer> = RefCell::default());

struct Plugin;

impl Guest for Plugin {
    fn configure(settings: String) -> Result<(), String> {
        let settings: Settings = serde_json::from_str(&settings)
            .map_err(|_| r#"{{name}} has one setting: {"prefer": "LABEL"}"#.to_owned())?;
        BALANCER.with_borrow_mut(|balancer| balancer.prefer = settings.prefer);
        Ok(())
    }

    fn update(endpoints: EndpointSet) {
        BALANCER.with_borrow_mut(|balancer| balancer.update(&endpoints));
    }

    fn pick(_: PickContext) -> u32 {
        BALANCER.with_borrow_mut(|balancer| balancer.pick()).unwrap_or(NONE)
    }
}

impl Balancer {
    fn update(&mut self, endpoints: &EndpointSet) {
        let is_preferred = |&position: &u32| {
            let mut labels = endpoints.labels[position as usize].iter();
            labels.any(|(label, _)| Some(label) == self.prefer.as_ref())
        };
        (self.preferred, self.others) = (0..endpoints.labels.len() as u32).partition(is_preferred);
    }

    fn pick(&mut self) -> Option<u32> {
        let turn = self.turn;
        self.turn = turn.wrapping_add(1);
        in_turn(&self.preferred, turn).or_else(|| in_turn(&self.others, turn))
    }
}

fn in_turn(group: &[u32], turn: usize) -> Option<u32> {
    let eligible: Vec<u32> = group.iter().copied().filter(|&endpoint| endpoints::eligible(endpoint)).collect();
    eligible.get(turn.checked_rem(eligible.len())?).copied()
}

export!(Plugin);
