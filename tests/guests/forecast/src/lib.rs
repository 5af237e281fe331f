//! A balancer that does what an oracle says: its timer asks the upstream `oracle` for an address and
//! keeps it in the store `advice`; picks only look there. Fixture of the tests.

use std::time::Duration;

use jackfield_plugin::http::{NoReply, Reply, Request, Ticket};
use jackfield_plugin::state::Store;
use jackfield_plugin::{Balancer, EndpointSet, PickContext, Refreshing, Replies};

struct Forecast {
    advice: Store,
    addresses: Vec<String>,
}

impl Balancer for Forecast {
    fn configure(_settings: &str) -> Result<Self, String> {
        let advice = Store::open("advice").map_err(|error| format!("{error:?}"))?;
        Ok(Self { advice, addresses: Vec::new() })
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.addresses.clone_from(&endpoints.addresses);
    }

    fn pick(&mut self, _context: &PickContext) -> Option<u32> {
        let best = self.advice.get_text("best");
        let advised = self.addresses.iter().position(|address| Some(address) == best.as_ref());
        Some(advised.unwrap_or_default() as u32)
    }
}

impl Refreshing for Forecast {
    fn tick(&mut self) -> Duration {
        let _ = Request::get("oracle", "/best").send();
        Duration::from_millis(100)
    }
}

impl Replies for Forecast {
    fn on_reply(&mut self, _ticket: Ticket, reply: Result<Reply, NoReply>) {
        if let Some(reply) = reply.ok().filter(Reply::is_ok) {
            let _ = self.advice.set("best", reply.body, None);
        }
    }
}

jackfield_plugin::balancer!(Forecast, Refreshing, Replies);
