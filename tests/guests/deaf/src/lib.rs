//! A plugin that asks, and would never hear the answer: it exports no `replies`. Fixture of the tests.

use jackfield_plugin::bindings::balancer::jackfield::plugin::http;
use jackfield_plugin::{Balancer, PickContext};

struct Deaf;

impl Balancer for Deaf {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn pick(&mut self, _context: &PickContext) -> Option<u32> {
        let question = http::Outgoing {
            upstream: "api".to_owned(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: 1_000,
        };
        http::send(&question).ok()
    }
}

jackfield_plugin::balancer!(Deaf);
