//! A plugin that does on command what a plugin must not do: `{"do": "..."}` says what and when.
//! Fixture of the tests; both a balancer and an HTTP filter.

use jackfield_plugin::{Balancer, EndpointSet, FilterContext, HttpFilter, Phases, PickContext, delegate, endpoints};

/// What it does, as the settings name it.
struct Misbehave(String);

impl Misbehave {
    fn new(settings: &str) -> Result<Self, String> {
        let action = settings.split('"').nth(3).unwrap_or("nothing").to_owned();
        match &*action {
            "refuse" => Err("these settings are refused".to_owned()),
            "loop-in-configure" => endless(),
            "trap-in-configure" => trap(),
            "slow-start" | "slow-start-and-trap" => {
                spin(50_000_000);
                Ok(Self(action))
            }
            _ => Ok(Self(action)),
        }
    }

    /// Answers whether to go on as usual.
    fn act(&self) {
        match &*self.0 {
            "loop" => endless(),
            "recurse" => {
                std::hint::black_box(recurse(1));
            }
            "bomb" => bomb(),
            "trap" | "slow-start-and-trap" => trap(),
            "panic" => panic!("the guest panics on purpose"),
            _ => {}
        }
    }
}

impl Balancer for Misbehave {
    fn configure(settings: &str) -> Result<Self, String> {
        Self::new(settings)
    }

    fn update(&mut self, _endpoints: &EndpointSet) {
        if self.0 == "loop-in-update" {
            endless()
        }
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        self.act();
        match &*self.0 {
            "out-of-range" => Some(context.endpoints + 7),
            "nobody" => None,
            "always-first" => Some(0),
            "delegate" => delegate::pick(),
            "delegate-among-even" => {
                let even: Vec<u32> = (0..context.endpoints).step_by(2).collect();
                delegate::pick_among(&even)
            }
            // Again and again, as if it were to give another answer.
            "delegate-endlessly" => loop {
                std::hint::black_box(delegate::pick());
            },
            _ => (0..context.endpoints).find(|endpoint| endpoints::eligible(*endpoint)),
        }
    }
}

impl HttpFilter for Misbehave {
    fn configure(settings: &str) -> Result<Self, String> {
        Self::new(settings)
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _context: &FilterContext) {
        self.act();
    }
}

fn endless() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn spin(turns: u64) {
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
}

fn trap() -> ! {
    std::process::abort()
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    let deeper = recurse(std::hint::black_box(depth + 1));
    std::hint::black_box(deeper) + depth
}

fn bomb() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        std::hint::black_box(&hoard);
    }
}

jackfield_plugin::balancer!(Misbehave);
jackfield_plugin::http_filter!(Misbehave);
