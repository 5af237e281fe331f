//! What is known of endpoints: plain facts and counters, shared by all workers. No sockets here,
//! and no Wasm; the data path writes what it measures, balancers read it.

mod standing;
mod streak;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock;
use crate::config::EndpointConfig;
pub use standing::{Cause, Ejection, Standing};
pub use streak::{Failure, Streaks, Watch};

/// One member of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// A hash of the name: the same across updates, restarts and proxies.
    pub id: u64,
    pub config: EndpointConfig,
    pub stats: Arc<Stats>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    Healthy,
    Unhealthy,
    /// Finishes what it has, should get nothing new.
    Draining,
}

impl EndpointState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
        }
    }
}

/// The endpoints of an upstream at one moment. Immutable: a change makes a new set with the next
/// generation.
#[derive(Debug)]
pub struct EndpointSet {
    pub generation: u64,
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The column of states, as long as `endpoints`.
    pub states: Vec<EndpointState>,
    /// A load report older than this counts as none.
    pub report_expiry: Duration,
    /// From the first to the last. Empty, or one: there is nothing to choose.
    pub tiers: Vec<Tier>,
    /// Weights are so many times the configured ones.
    pub weight_scale: u32,
    healthy: u32,
}

/// Endpoints that serve when those of the tiers before cannot take everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    pub number: u32,
    /// Ascending.
    pub positions: Vec<u32>,
    /// Of the traffic, 0 to 1.
    pub share: f64,
    /// So few are healthy that all are used.
    pub panics: bool,
}

impl EndpointSet {
    pub fn new(
        generation: u64,
        endpoints: Vec<Arc<Endpoint>>,
        states: Vec<EndpointState>,
        report_expiry: Duration,
    ) -> Self {
        debug_assert_eq!(endpoints.len(), states.len());
        let healthy = states.iter().filter(|state| **state == EndpointState::Healthy).count() as u32;
        Self { generation, endpoints, states, report_expiry, tiers: Vec::new(), weight_scale: 1, healthy }
    }

    #[must_use]
    pub fn with_tiers(self, tiers: Vec<Tier>, weight_scale: u32) -> Self {
        Self { tiers, weight_scale, ..self }
    }

    /// Whether nobody could tell it from the other one, of the same members.
    pub fn looks_like(&self, other: &Self) -> bool {
        let weights = |set: &Self| set.endpoints.iter().map(|endpoint| endpoint.config.weight).collect::<Vec<_>>();
        self.states == other.states
            && self.tiers == other.tiers
            && self.weight_scale == other.weight_scale
            && weights(self) == weights(other)
    }

    /// How long it must stand before the next one: balancers read all of it at each update, on the
    /// workers. Nothing for as many as an update takes no time for.
    pub fn least_age(&self) -> Duration {
        const FEW: usize = 256;
        const EACH: Duration = Duration::from_micros(10);
        if self.len() <= FEW { Duration::ZERO } else { EACH * u32::try_from(self.len()).unwrap_or(u32::MAX) }
    }

    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// How many take new work.
    pub fn healthy(&self) -> u32 {
        self.healthy
    }

    pub fn is_healthy(&self, index: usize) -> bool {
        self.states.get(index) == Some(&EndpointState::Healthy)
    }
}

impl Endpoint {
    pub fn new(config: EndpointConfig, stats: Arc<Stats>) -> Self {
        Self { id: stable_hash(config.name.as_bytes()), config, stats }
    }
}

/// FNV-1a with a final avalanche (Murmur3's): the same on every machine, for ids and hash keys.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// What was measured of an endpoint. Survives updates and reloads as long as its name does.
#[derive(Debug, Default)]
pub struct Stats {
    active: AtomicU32,
    latency: PeakEwma,
    /// Moving share of failures, an `f32` in its bits.
    error_rate: AtomicU32,
    report: LoadReport,
    pub requests: AtomicU64,
    pub failures: AtomicU64,
    pub streaks: Streaks,
    /// What was judged from it, and from health checks.
    pub standing: Standing,
}

impl Stats {
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Decayed to now, in microseconds; 0 while never measured.
    pub fn latency_us(&self) -> u32 {
        self.latency_us_at(clock::millis32())
    }

    /// The same with the clock read before: whoever asks of many endpoints reads it once.
    pub fn latency_us_at(&self, now: u32) -> u32 {
        self.latency.get(now)
    }

    /// In ten-thousandths.
    pub fn error_rate(&self) -> u32 {
        (f32::from_bits(self.error_rate.load(Relaxed)) * 10_000.0) as u32
    }

    /// CPU and memory in ten-thousandths, `u32::MAX` where there is no fresh report.
    pub fn load(&self, expiry: Duration) -> (u32, u32) {
        self.load_at(expiry, clock::millis32())
    }

    /// The same with the clock read before.
    pub fn load_at(&self, expiry: Duration, now: u32) -> (u32, u32) {
        self.report.get(expiry, now)
    }

    /// Takes a report of the endpoint; shares of 1, more than 1 counts as 1.
    pub fn report_load(&self, cpu: Option<f64>, memory: Option<f64>) {
        self.report.set(cpu, memory);
    }

    /// Takes this for what was measured at this moment, in the units in which it is asked for: for
    /// trials of plugins.
    pub fn pretend(&self, active: u32, latency_us: u32, error_rate: u32, now: u32) {
        self.active.store(active, Relaxed);
        self.latency.pretend(latency_us, now);
        // Half of the last digit more: what is asked for is cut off.
        let share = if error_rate == 0 { 0.0 } else { (error_rate as f32 + 0.5) / 10_000.0 };
        self.error_rate.store(share.to_bits(), Relaxed);
    }

    /// The outcome of one try: time to the response head (L7) or to connect (L4).
    pub fn succeeded(&self, took: Duration) {
        self.succeeded_at(took, clock::millis32());
    }

    /// The same with the clock read before.
    pub fn succeeded_at(&self, took: Duration, now: u32) {
        self.requests.fetch_add(1, Relaxed);
        self.latency.observe(took, now);
        self.move_error_rate(0.0);
        self.streaks.end();
    }

    /// Without an answer.
    pub fn failed(&self) {
        self.failed_by(Failure::Gateway);
    }

    pub fn failed_by(&self, failure: Failure) {
        self.requests.fetch_add(1, Relaxed);
        self.failures.fetch_add(1, Relaxed);
        self.move_error_rate(1.0);
        self.streaks.grow(failure);
    }

    /// About the last fifty outcomes count.
    fn move_error_rate(&self, outcome: f32) {
        let old = f32::from_bits(self.error_rate.load(Relaxed));
        let new = old + (outcome - old) * 0.04;
        self.error_rate.store(new.to_bits(), Relaxed);
    }
}

/// Counts an endpoint as active while it lives: until the last byte of the body, the end of the
/// connection or of the session.
#[derive(Debug)]
pub struct Active(Arc<Endpoint>);

impl Active {
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        endpoint.stats.active.fetch_add(1, Relaxed);
        Self(endpoint)
    }

    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.stats.active.fetch_sub(1, Relaxed);
    }
}

/// Peak EWMA as in Finagle's load balancer of that name: a slower answer counts at once, a faster
/// one by and by, and time alone makes an endpoint look better until it is tried again.
/// Microseconds as `f32` bits in the upper half, milliseconds of the clock in the lower. Two
/// workers that write at once may lose one sample; that is cheaper than a loop.
#[derive(Debug, Default)]
struct PeakEwma(AtomicU64);

impl PeakEwma {
    const DECAY_MS: f32 = 10_000.0;

    fn read(&self) -> Option<(f32, u32)> {
        match self.0.load(Relaxed) {
            0 => None,
            packed => Some((f32::from_bits((packed >> 32) as u32), packed as u32)),
        }
    }

    fn observe(&self, took: Duration, now: u32) {
        let sample = (took.as_micros() as f32).max(1.0);
        let value = match self.read() {
            Some((old, then)) if sample < old => {
                // Another worker may have written since the clock was read.
                let elapsed = now.wrapping_sub(then).cast_signed().max(0);
                let weight = Self::weight(elapsed.cast_unsigned());
                old * weight + sample * (1.0 - weight)
            }
            _ => sample,
        };
        self.0.store(u64::from(value.to_bits()) << 32 | u64::from(now), Relaxed);
    }

    fn pretend(&self, latency_us: u32, now: u32) {
        let packed = u64::from((latency_us as f32).to_bits()) << 32 | u64::from(now);
        self.0.store(if latency_us == 0 { 0 } else { packed }, Relaxed);
    }

    fn get(&self, now: u32) -> u32 {
        self.read().map_or(0, |(value, then)| (value * Self::weight(now.wrapping_sub(then))).max(1.0) as u32)
    }

    fn weight(elapsed_ms: u32) -> f32 {
        (-(elapsed_ms as f32) / Self::DECAY_MS).exp()
    }
}

/// CPU and memory (16 bits each, `0xffff` is none) and the clock's milliseconds.
#[derive(Debug)]
struct LoadReport(AtomicU64);

impl Default for LoadReport {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl LoadReport {
    const NONE: u64 = 0xffff;

    fn set(&self, cpu: Option<f64>, memory: Option<f64>) {
        let share = |share: Option<f64>| match share {
            Some(share) if share.is_finite() && share >= 0.0 => (share.min(1.0) * 10_000.0) as u64,
            _ => Self::NONE,
        };
        let packed = share(cpu) << 48 | share(memory) << 32 | u64::from(clock::millis32());
        self.0.store(packed, Relaxed);
    }

    fn get(&self, expiry: Duration, now: u32) -> (u32, u32) {
        let packed = self.0.load(Relaxed);
        if packed == u64::MAX {
            return (u32::MAX, u32::MAX);
        }
        let age = now.wrapping_sub(packed as u32);
        if u128::from(age) > expiry.as_millis() {
            return (u32::MAX, u32::MAX);
        }
        let share = |bits: u64| if bits == Self::NONE { u32::MAX } else { bits as u32 };
        (share(packed >> 48), share(packed >> 32 & 0xffff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_decays() {
        let stats = Stats::default();
        assert_eq!(stats.latency_us(), 0);
        stats.succeeded(Duration::from_millis(1));
        stats.succeeded(Duration::from_millis(100));
        assert!(stats.latency_us() > 90_000);
        stats.succeeded(Duration::from_millis(1));
        assert!(stats.latency_us() > 90_000, "one fast answer does not hide a peak");
    }

    #[test]
    fn reports_hold_shares_and_expire() {
        let stats = Stats::default();
        assert_eq!(stats.load(Duration::from_secs(10)), (u32::MAX, u32::MAX));
        stats.report_load(Some(0.42), None);
        assert_eq!(stats.load(Duration::from_secs(10)), (4200, u32::MAX));
        stats.report_load(Some(1.7), Some(f64::NAN));
        assert_eq!(stats.load(Duration::from_secs(10)), (10_000, u32::MAX));
    }

    #[test]
    fn what_is_pretended_is_what_is_read() {
        let stats = Stats::default();
        let now = clock::millis32();
        for number in [0, 1, 7, 1200, 9_999, 10_000, 16_000_000] {
            stats.pretend(number, number, number.min(10_000), now);
            assert_eq!((stats.active(), stats.latency_us_at(now)), (number, number));
            assert_eq!(stats.error_rate(), number.min(10_000));
        }
    }

    #[test]
    fn ids_do_not_change_between_releases() {
        assert_eq!(stable_hash(b"127.0.0.1:5001"), 0xa11b_017f_c002_6663);
    }
}
