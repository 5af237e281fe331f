//! Coarse and fine time since the process began.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Since the first call.
pub fn elapsed() -> Duration {
    START.elapsed()
}

/// A moment on the scale of [`elapsed`].
pub fn since_start(moment: Instant) -> Duration {
    moment.saturating_duration_since(*START)
}

/// Milliseconds in 32 bits: wraps after 49 days, so compare with `wrapping_sub` only. Never 0.
pub fn millis32() -> u32 {
    millis32_of(elapsed())
}

/// The same at a moment.
pub fn millis32_at(moment: Instant) -> u32 {
    millis32_of(since_start(moment))
}

pub fn millis32_of(elapsed: Duration) -> u32 {
    (elapsed.as_millis() as u32).max(1)
}
