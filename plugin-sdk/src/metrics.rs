//! The plugin's own metrics, on the proxy's metrics page as `jackfield_plugin_NAME`, with the labels
//! `plugin` and `place`; a counter's name ends in `_total` there. The use needs the grant `metrics`.
//!
//! ```
//! use jackfield_plugin::metrics::{Counter, Histogram};
//!
//! # #[cfg(not(target_arch = "wasm32"))]
//! # {
//! // In configure:
//! let denied = Counter::new("denied").unwrap();
//! let sizes = Histogram::new("body_bytes", &[1e3, 1e4, 1e5, 1e6]).unwrap();
//! // For a request:
//! denied.increment(1);
//! sizes.observe(4_711.0);
//! # use jackfield_plugin::mock;
//! # assert_eq!(mock::host(|host| host.counter("denied")), Some(1));
//! # assert_eq!(mock::host(|host| host.observations("body_bytes")), Some(vec![4_711.0]));
//! # }
//! ```

pub use crate::bindings::balancer::jackfield::plugin::metrics::MetricError;
use crate::raw;

/// Shared by all workers; it only grows.
#[derive(Clone, Copy, Debug)]
pub struct Counter(u32);

impl Counter {
    /// Best done once, in `configure`; the same name is the same counter. A name is `[a-z][a-z0-9_]*`
    /// of at most 64 letters; a use has at most 64 metrics.
    pub fn new(name: &str) -> Result<Self, MetricError> {
        raw::metrics::counter(name).map(Self)
    }

    #[inline]
    pub fn increment(self, delta: u64) {
        raw::metrics::increment(self.0, delta);
    }
}

/// Counts of observations up to each of some bounds, and their sum.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(u32);

impl Histogram {
    /// Best done once, in `configure`; at most 32 bounds, ascending. One of this name that is there
    /// already keeps the bounds that it has.
    pub fn new(name: &str, bounds: &[f64]) -> Result<Self, MetricError> {
        raw::metrics::histogram(name, bounds).map(Self)
    }

    /// What is no finite number is ignored.
    #[inline]
    pub fn observe(self, value: f64) {
        raw::metrics::observe(self.0, value);
    }
}
