//! A balancer with a timer, which tells the upstream `oracle` which endpoints it knows. It chooses the
//! first. Fixture of the tests.

use std::time::Duration;

use jackfield_plugin::http::{NoReply, Reply, Request, Ticket};
use jackfield_plugin::{Balancer, EndpointSet, PickContext, Refreshing, Replies};

#[derive(Default)]
struct Oracle {
    known: Vec<String>,
}

impl Balancer for Oracle {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        let pairs = endpoints.addresses.iter().zip(&endpoints.states);
        self.known = pairs.map(|(address, state)| format!("{address}-{state:?}")).collect();
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        (0..context.endpoints).next()
    }
}

impl Refreshing for Oracle {
    fn tick(&mut self) -> Duration {
        let sent = Request::get("oracle", &format!("/known?{}", self.known.join(","))).send();
        assert!(sent.is_ok(), "{sent:?}");
        Duration::from_millis(100)
    }
}

impl Replies for Oracle {
    fn on_reply(&mut self, _ticket: Ticket, _reply: Result<Reply, NoReply>) {}
}

jackfield_plugin::balancer!(Oracle, Refreshing, Replies);
