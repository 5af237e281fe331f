//! What speaks against an endpoint. Written on the control side; survives reloads, so that a
//! configuration which changes often does not keep an endpoint up that is down.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Standing {
    /// Verdict of the health checks.
    down: AtomicBool,
    /// How many checks in a row have said otherwise since.
    against: AtomicU32,
    /// Why the last check failed; none when it passed.
    reason: Mutex<Option<String>>,
    ejection: Mutex<Option<Ejection>>,
    /// Ejections lately: each makes the next one longer, each quiet interval takes one off.
    ejections: AtomicU32,
    /// Since when its weight ramps up, or has.
    returned: Mutex<Option<Instant>>,
}

/// An endpoint is out because of what the traffic found.
#[derive(Debug, Clone, Copy)]
pub struct Ejection {
    pub cause: Cause,
    pub until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Consecutive5xx,
    ConsecutiveGateway,
    SuccessRate,
}

impl Cause {
    pub const ALL: [Self; 3] = [Self::Consecutive5xx, Self::ConsecutiveGateway, Self::SuccessRate];

    pub fn name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive-5xx",
            Self::ConsecutiveGateway => "consecutive-gateway",
            Self::SuccessRate => "success-rate",
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standing {
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Why the last check failed.
    pub fn reason(&self) -> Option<String> {
        lock(&self.reason).clone()
    }

    /// Takes the outcome of a check: answers whether the endpoint is down from now on, where that
    /// changes. `rise` successes in a row end a time that `fall` failures in a row began.
    pub fn checked(&self, outcome: Result<(), String>, rise: u32, fall: u32) -> Option<bool> {
        let (passed, down) = (outcome.is_ok(), self.is_down());
        *lock(&self.reason) = outcome.err();
        if passed != down {
            self.against.store(0, Relaxed);
            return None;
        }
        let against = self.against.load(Relaxed) + 1;
        let changes = against >= if down { rise } else { fall };
        self.against.store(if changes { 0 } else { against }, Relaxed);
        changes.then_some(!down)
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Relaxed);
        self.set_returned(false);
    }

    pub fn ejection(&self) -> Option<Ejection> {
        *lock(&self.ejection)
    }

    /// `length` is told the number of this ejection, from 1.
    pub fn eject(&self, cause: Cause, length: impl FnOnce(u32) -> Duration) -> Ejection {
        let times = self.ejections.load(Relaxed).saturating_add(1);
        self.ejections.store(times, Relaxed);
        let ejection = Ejection { cause, until: Instant::now() + length(times) };
        *lock(&self.ejection) = Some(ejection);
        self.set_returned(false);
        ejection
    }

    pub fn readmit(&self) {
        *lock(&self.ejection) = None;
    }

    /// Since when it serves again; none when it always has, or for long.
    pub fn returned(&self) -> Option<Instant> {
        *lock(&self.returned)
    }

    /// Just now, or long ago.
    pub fn set_returned(&self, now: bool) {
        *lock(&self.returned) = now.then(Instant::now);
    }

    /// An interval went by without an ejection.
    pub fn forgive(&self) {
        self.ejections.store(self.ejections.load(Relaxed).saturating_sub(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_changes_after_enough_in_a_row() {
        let standing = Standing::default();
        let outcomes = [false, false, true, false, false, false, true, false, true, true, true];
        let outcome = |at: &usize| if outcomes[*at] { Ok(()) } else { Err("no".to_owned()) };
        let check = |at: usize| {
            let down = standing.checked(outcome(&at), 2, 3)?;
            standing.set_down(down);
            Some((at, down))
        };
        assert_eq!((0..outcomes.len()).filter_map(check).collect::<Vec<_>>(), [(5, true), (9, false)]);
    }
}
