//! A plugin that says which version it is: tests make further versions by changing the text in the
//! component. Both a balancer (the first eligible endpoint) and an HTTP filter.

use jackfield_plugin::{Balancer, FilterContext, HttpFilter, Phases, PickContext, endpoints, reply, response};

const VERSION: &str = "version-0000";

struct Version;

impl Balancer for Version {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let _ = reply::append_header("x-balancer", std::hint::black_box(VERSION));
        (0..context.endpoints).find(|endpoint| endpoints::eligible(*endpoint))
    }
}

impl HttpFilter for Version {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn phases(&self) -> Phases {
        Phases::RESPONSE
    }

    fn on_response(&mut self, _context: &FilterContext) {
        let _ = response::set_header("x-filter", std::hint::black_box(VERSION));
    }
}

jackfield_plugin::balancer!(Version);
jackfield_plugin::http_filter!(Version);
