//! A filter that says in the log what the request's query says; for each request on `/flood/` a
//! thousand times. Fixture of the tests.

use jackfield_plugin::{FilterContext, HttpFilter, Phases, log, request};

struct Chatter;

impl HttpFilter for Chatter {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _context: &FilterContext) {
        let words = request::query().unwrap_or_default();
        match request::path().as_deref() {
            Some("/flood/") => (0..1_000).for_each(|_| log::error(&words)),
            // The operator sees none of it, so it is nobody's turn.
            Some("/debug/") => (0..1_000).for_each(|_| log::debug(&words)),
            _ => log::info(&words),
        }
    }
}

jackfield_plugin::http_filter!(Chatter);
