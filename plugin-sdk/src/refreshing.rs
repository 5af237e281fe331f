//! A plugin that is called from time to time, away from all requests.

use std::time::Duration;

/// What a plugin with a timer implements beside its kind (`grants = ["timer"]`). Export it with the
/// kind: `jackfield_plugin::balancer!(Oracle, Refreshing, Replies);`.
///
/// It lives in an instance of its own, which decides nothing: what it finds out it leaves in the
/// shared state for the instances that decide.
pub trait Refreshing: Sized + 'static {
    /// Answers when to be called again: in 100 ms to an hour, counted from when the replies to what it
    /// sent are there. The first call comes at the start.
    fn tick(&mut self) -> Duration;
}

/// As the contract has it.
#[doc(hidden)]
pub fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
