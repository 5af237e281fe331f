//! A filter that sends and does not export `replies`. Fixture of the tests.

use jackfield_plugin::http::Request;
use jackfield_plugin::{FilterContext, HttpFilter, Phases};

struct Mute;

impl HttpFilter for Mute {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _context: &FilterContext) {
        drop(Request::get("service", "/").send());
    }
}

jackfield_plugin::http_filter!(Mute);
