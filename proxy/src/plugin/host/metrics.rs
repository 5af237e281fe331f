//! `metrics`: a plugin's own counters and histograms.

use super::Host;
use crate::plugin::bindings::jackfield::plugin::metrics::{self, MetricError};

impl metrics::Host for Host {
    fn counter(&mut self, _name: String) -> Result<u32, MetricError> {
        Err(MetricError::TooMany)
    }

    fn histogram(&mut self, _name: String, _bounds: Vec<f64>) -> Result<u32, MetricError> {
        Err(MetricError::TooMany)
    }

    fn increment(&mut self, _counter: u32, _delta: u64) {}

    fn observe(&mut self, _histogram: u32, _value: f64) {}
}
