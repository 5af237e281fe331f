//! The metrics that a plugin makes for itself: a few for each use, shared by all workers, found by
//! number without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::bindings::jackfield::plugin::metrics::MetricError;

/// Names that the metrics page has for each use of a plugin, without the `_total` of counters.
const OWN: [&str; 9] = [
    "calls",
    "failures",
    "seconds",
    "quarantined",
    "log_dropped",
    "requests",
    "requests_active",
    "ticks",
    "timer_quarantined",
];
/// What a histogram's name would be confused with: a counter, or a part of another histogram.
const ENDINGS: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];
const LONGEST_NAME: usize = 64;
const MOST_BOUNDS: usize = 32;

/// Those of one use, in the order in which they were made; none ever goes.
#[derive(Debug)]
pub struct Registry {
    metrics: [OnceLock<Box<Metric>>; Self::MOST],
    /// Held while one is made.
    making: Mutex<()>,
}

#[derive(Debug)]
pub struct Metric {
    /// Of a counter: without `_total`.
    name: Box<str>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Counter(AtomicU64),
    Histogram(Histogram),
}

#[derive(Debug)]
struct Histogram {
    bounds: Box<[f64]>,
    /// One more than bounds; not cumulative.
    buckets: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

/// What a metric says now.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    Counter(u64),
    Histogram {
        /// Upper bounds, ascending.
        bounds: Vec<f64>,
        /// Observations up to each bound and, as the last, all of them.
        counts: Vec<u64>,
        sum: f64,
    },
}

impl Default for Registry {
    fn default() -> Self {
        Self { metrics: std::array::from_fn(|_| OnceLock::new()), making: Mutex::default() }
    }
}

impl Registry {
    const MOST: usize = 64;

    pub(crate) fn counter(&self, name: &str) -> Result<u32, MetricError> {
        let name = name.strip_suffix("_total").unwrap_or(name);
        let is_one = |kind: &Kind| matches!(kind, Kind::Counter(_));
        self.find_or_make(name, is_one, || Kind::Counter(AtomicU64::new(0)))
    }

    pub(crate) fn histogram(&self, name: &str, bounds: &[f64]) -> Result<u32, MetricError> {
        let ascending = bounds.iter().all(|bound| bound.is_finite()) && bounds.is_sorted_by(|a, b| a < b);
        if bounds.len() > MOST_BOUNDS || !ascending || ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            return Err(MetricError::Malformed);
        }
        let is_one = |kind: &Kind| matches!(kind, Kind::Histogram(_));
        self.find_or_make(name, is_one, || Kind::Histogram(Histogram::new(bounds)))
    }

    fn find_or_make(
        &self,
        name: &str,
        is_one: impl Fn(&Kind) -> bool,
        make: impl FnOnce() -> Kind,
    ) -> Result<u32, MetricError> {
        if !is_name(name) || OWN.contains(&name) {
            return Err(MetricError::Malformed);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, place) in (0..).zip(&self.metrics) {
            match place.get() {
                Some(metric) if *metric.name == *name => {
                    return if is_one(&metric.kind) { Ok(number) } else { Err(MetricError::Malformed) };
                }
                Some(_) => {}
                None => {
                    // Nobody else fills it: we hold the lock.
                    let _ = place.set(Box::new(Metric { name: name.into(), kind: make() }));
                    return Ok(number);
                }
            }
        }
        Err(MetricError::TooMany)
    }

    fn kind(&self, number: u32) -> Option<&Kind> {
        Some(&self.metrics.get(number as usize)?.get()?.kind)
    }

    pub(crate) fn increment(&self, number: u32, delta: u64) {
        if let Some(Kind::Counter(counter)) = self.kind(number) {
            counter.fetch_add(delta, Relaxed);
        }
    }

    pub(crate) fn observe(&self, number: u32, value: f64) {
        if let Some(Kind::Histogram(histogram)) = self.kind(number)
            && value.is_finite()
        {
            histogram.observe(value);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.iter().map_while(OnceLock::get).map(AsRef::as_ref)
    }
}

impl Metric {
    /// As on the metrics page, behind `jackfield_plugin_`.
    pub fn family(&self) -> String {
        match self.kind {
            Kind::Counter(_) => format!("{}_total", self.name),
            Kind::Histogram(_) => self.name.to_string(),
        }
    }

    pub fn read(&self) -> Reading {
        match &self.kind {
            Kind::Counter(counter) => Reading::Counter(counter.load(Relaxed)),
            Kind::Histogram(histogram) => histogram.read(),
        }
    }
}

impl Histogram {
    fn new(bounds: &[f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds: bounds.into(), buckets, sum: AtomicU64::new(0) }
    }

    fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let more = |bits| {
            let sum = f64::from_bits(bits) + value;
            Some(sum.clamp(f64::MIN, f64::MAX).to_bits())
        };
        let _ = self.sum.fetch_update(Relaxed, Relaxed, more);
    }

    fn read(&self) -> Reading {
        let mut count = 0;
        let counts = self.buckets.iter().map(|bucket| {
            count += bucket.load(Relaxed);
            count
        });
        Reading::Histogram {
            counts: counts.collect(),
            bounds: self.bounds.to_vec(),
            sum: f64::from_bits(self.sum.load(Relaxed)),
        }
    }
}

fn is_name(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= LONGEST_NAME && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_made_once() {
        let registry = Registry::default();
        assert_eq!(registry.counter("hits"), Ok(0));
        assert_eq!(registry.histogram("size", &[1.0]), Ok(1));
        assert_eq!(registry.counter("hits_total"), Ok(0), "the same on the page");
        assert_eq!(registry.histogram("size", &[1.0, 2.0]), Ok(1), "it keeps its bounds");
        assert_eq!(registry.counter("size"), Err(MetricError::Malformed));
        assert_eq!(registry.histogram("hits", &[]), Err(MetricError::Malformed));
        registry.increment(0, 3);
        registry.increment(1, 3);
        registry.increment(9, 3);
        registry.observe(0, 1.0);
        registry.observe(u32::MAX, 1.0);
        let all: Vec<_> = registry.iter().map(|metric| (metric.family(), metric.read())).collect();
        let empty = Reading::Histogram { bounds: vec![1.0], counts: vec![0, 0], sum: 0.0 };
        assert_eq!(all, [("hits_total".to_owned(), Reading::Counter(3)), ("size".to_owned(), empty)]);
    }

    #[test]
    fn names_and_bounds_are_checked() {
        let registry = Registry::default();
        let long = "a".repeat(65);
        for bad in ["", "A", "1a", "_a", "a-b", "a b", "ä", "a\nb", &long, "calls", "calls_total", "quarantined"] {
            assert_eq!(registry.counter(bad), Err(MetricError::Malformed), "{bad}");
            assert_eq!(registry.histogram(bad, &[1.0]), Err(MetricError::Malformed), "{bad}");
        }
        for bad in ["a_total", "a_bucket", "a_sum", "a_count"] {
            assert_eq!(registry.histogram(bad, &[1.0]), Err(MetricError::Malformed), "{bad}");
        }
        let many: Vec<f64> = (0..33).map(f64::from).collect();
        for bad in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[f64::INFINITY], &[0.0, -0.0], &many] {
            assert_eq!(registry.histogram("a", bad), Err(MetricError::Malformed), "{bad:?}");
        }
        assert_eq!(registry.iter().count(), 0);
    }

    #[test]
    fn there_are_sixty_four_at_most() {
        let registry = Registry::default();
        let made = (0..1_000_000).filter(|number| registry.counter(&format!("m{number}")).is_ok()).count();
        assert_eq!(made, 64);
        assert_eq!(registry.counter("m63"), Ok(63));
        assert_eq!(registry.histogram("other", &[]), Err(MetricError::TooMany));
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_no_number_to_none() {
        let registry = Registry::default();
        let histogram = registry.histogram("size", &[-1.0, 0.0, 10.0]).unwrap();
        for value in [-2.0, -1.0, 0.0, 10.0, 10.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            registry.observe(histogram, value);
        }
        let reading = registry.iter().next().unwrap().read();
        let counts = vec![2, 3, 4, 5];
        let Reading::Histogram { counts: found, sum, .. } = reading else { panic!("{reading:?}") };
        assert_eq!(found, counts);
        assert!((sum - 17.1).abs() < 1e-9, "{sum}");
        (0..3).for_each(|_| registry.observe(histogram, f64::MAX));
        let Reading::Histogram { sum, .. } = registry.iter().next().unwrap().read() else { panic!() };
        assert!(sum.is_finite());
    }
}
