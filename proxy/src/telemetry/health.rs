//! What became of an upstream's endpoints: counted on the control side, seldom.

use std::sync::atomic::AtomicU64;

#[derive(Debug, Default)]
pub struct HealthMetrics {
    pub passed: AtomicU64,
    pub failed: AtomicU64,
    /// Checks that had to wait for others.
    pub late: AtomicU64,
}
