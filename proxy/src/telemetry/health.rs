//! What became of an upstream's endpoints: counted on the control side, seldom.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use crate::endpoint::Cause;

#[derive(Debug, Default)]
pub struct HealthMetrics {
    pub passed: AtomicU64,
    pub failed: AtomicU64,
    /// Out of file descriptors or the like: the endpoint was not asked.
    pub unasked: AtomicU64,
    /// Checks that had to wait for others.
    pub late: AtomicU64,
    /// In the order of [`Cause::ALL`].
    pub ejections: [AtomicU64; Cause::ALL.len()],
    /// Outliers that were left in service, since too many were out already.
    pub spared: AtomicU64,
    /// Tiers of which the log has said that they panic.
    pub panics: Mutex<BTreeSet<u32>>,
}
