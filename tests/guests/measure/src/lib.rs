//! A filter with metrics of its own: every request is counted, and its query observed as a number. On
//! `/measure/million` it makes more of them than there can be. Fixture of the tests.

use jackfield_plugin::metrics::{Counter, Histogram};
use jackfield_plugin::{FilterContext, HttpFilter, Phases, request, request_edit};

struct Measure {
    requests: Counter,
    numbers: Histogram,
}

impl HttpFilter for Measure {
    fn configure(_settings: &str) -> Result<Self, String> {
        let words = |error: jackfield_plugin::metrics::MetricError| error.message().to_owned();
        for taken in ["calls", "failures_total", "quarantined", "Upper", ""] {
            if Counter::new(taken).is_ok() {
                return Err(format!("{taken} is taken"));
            }
        }
        Ok(Self {
            requests: Counter::new("seen").map_err(words)?,
            numbers: Histogram::new("numbers", &[1.0, 10.0]).map_err(words)?,
        })
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _context: &FilterContext) {
        self.requests.increment(1);
        if let Some(number) = request::query().and_then(|query| query.parse().ok()) {
            self.numbers.observe(number);
        }
        match request::path().as_deref() {
            Some("/measure/million") => {
                let made = (0..1_000_000).filter(|number| Counter::new(&format!("made_{number}")).is_ok()).count();
                let _ = request_edit::set_header("x-made", &made.to_string());
            }
            Some("/measure/thousand") => {
                let made = (0..1_000).filter(|number| Counter::new(&format!("made_{number}")).is_ok()).count();
                let _ = request_edit::set_header("x-made", &made.to_string());
            }
            _ => {}
        }
    }
}

jackfield_plugin::http_filter!(Measure);
