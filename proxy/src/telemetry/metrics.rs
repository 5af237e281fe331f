//! Requests counted by status class and time. Sixteen shards, each on cache lines of its own, so
//! that workers don't wait for each other; added up when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in microseconds: half a millisecond to a minute.
pub(super) const BOUNDS_US: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;
/// By first digit of the status; 0 is what has none of the five.
const CLASSES: usize = 6;

#[derive(Debug, Default)]
pub struct RequestMetrics {
    shards: [Shard; Self::SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    classes: [AtomicU64; CLASSES],
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// Sums over all workers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RequestTotals {
    /// Requests by first digit of the status, 1 to 5; the others stand at 0.
    pub classes: [u64; CLASSES],
    pub time: Histogram,
    /// Bytes of request bodies.
    pub received: u64,
    /// Bytes of response bodies.
    pub sent: u64,
}

/// How many observations fell into each bucket (not cumulative), the last one without a bound.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Histogram {
    pub(super) buckets: [u64; BUCKETS],
    pub sum: Duration,
}

impl RequestMetrics {
    const SHARDS: usize = 16;

    /// One request that ended; the bytes are those of the bodies.
    pub fn record(&self, worker: usize, status: u16, took: Duration, received: u64, sent: u64) {
        let shard = &self.shards[worker % Self::SHARDS];
        let class = usize::from(status / 100);
        shard.classes[if class < CLASSES { class } else { 0 }].fetch_add(1, Relaxed);
        let micros = took.as_nanos().div_ceil(1_000) as u64;
        shard.buckets[BOUNDS_US.partition_point(|bound| *bound < micros)].fetch_add(1, Relaxed);
        shard.nanos.fetch_add(took.as_nanos() as u64, Relaxed);
        // Most requests have no body, and an atomic addition is not free.
        if received != 0 {
            shard.received.fetch_add(received, Relaxed);
        }
        if sent != 0 {
            shard.sent.fetch_add(sent, Relaxed);
        }
    }

    pub fn totals(&self) -> RequestTotals {
        let sum =
            |counter: fn(&Shard) -> &AtomicU64| self.shards.iter().map(|shard| counter(shard).load(Relaxed)).sum();
        let column = |counter: &dyn Fn(&Shard) -> u64| self.shards.iter().map(counter).sum();
        RequestTotals {
            classes: std::array::from_fn(|class| column(&|shard: &Shard| shard.classes[class].load(Relaxed))),
            time: Histogram {
                buckets: std::array::from_fn(|at| column(&|shard: &Shard| shard.buckets[at].load(Relaxed))),
                sum: Duration::from_nanos(sum(|shard| &shard.nanos)),
            },
            received: sum(|shard| &shard.received),
            sent: sum(|shard| &shard.sent),
        }
    }
}

impl RequestTotals {
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_are_added_up() {
        let metrics = RequestMetrics::default();
        for worker in 0..40 {
            metrics.record(worker, 200, Duration::from_millis(1), 1, 2);
        }
        metrics.record(0, 503, Duration::from_secs(100), 0, 0);
        metrics.record(0, 999, Duration::ZERO, 0, 0);
        let totals = metrics.totals();
        assert_eq!(totals.classes, [1, 0, 40, 0, 0, 1]);
        assert_eq!((totals.received, totals.sent, totals.requests()), (40, 80, 42));
        assert_eq!(totals.time.sum, Duration::from_millis(40) + Duration::from_secs(100));
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let metrics = RequestMetrics::default();
        let at = |micros| Duration::from_micros(micros);
        for (took, bucket) in
            [(at(500), 0), (at(500) + Duration::from_nanos(1), 1), (at(60_000_000), 15), (at(60_000_001), 16)]
        {
            let before = metrics.totals().time.buckets[bucket];
            metrics.record(0, 200, took, 0, 0);
            assert_eq!(metrics.totals().time.buckets[bucket], before + 1, "{took:?}");
        }
    }
}
