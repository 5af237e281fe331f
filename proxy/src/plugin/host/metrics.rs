//! `metrics`: a plugin's own counters and histograms.

use super::Host;
use crate::plugin::bindings::jackfield::plugin::metrics::{self, MetricError};

impl metrics::Host for Host {
    fn counter(&mut self, name: String) -> Result<u32, MetricError> {
        self.usage.shared.metrics.counter(&name)
    }

    fn histogram(&mut self, name: String, bounds: Vec<f64>) -> Result<u32, MetricError> {
        self.usage.shared.metrics.histogram(&name, &bounds)
    }

    fn increment(&mut self, counter: u32, delta: u64) {
        self.usage.shared.metrics.increment(counter, delta);
    }

    fn observe(&mut self, histogram: u32, value: f64) {
        self.usage.shared.metrics.observe(histogram, value);
    }
}
