//! What speaks against an endpoint. Written on the control side; survives reloads, so that a
//! configuration which changes often does not keep an endpoint up that is down.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub struct Standing {
    /// Verdict of the health checks.
    down: AtomicBool,
    /// How many checks in a row have said otherwise since.
    against: AtomicU32,
    /// Why the last check failed; none when it passed.
    reason: Mutex<Option<String>>,
}

impl Standing {
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Why the last check failed.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the outcome of a check: answers whether the verdict changed. `rise` successes in a row
    /// end a time that `fall` failures in a row began.
    pub fn checked(&self, outcome: Result<(), String>, rise: u32, fall: u32) -> bool {
        let (passed, down) = (outcome.is_ok(), self.is_down());
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
        if passed != down {
            self.against.store(0, Relaxed);
            return false;
        }
        let against = self.against.load(Relaxed) + 1;
        let changes = against >= if down { rise } else { fall };
        self.against.store(if changes { 0 } else { against }, Relaxed);
        if changes {
            self.down.store(!down, Relaxed);
        }
        changes
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
        let changes: Vec<usize> = (0..outcomes.len()).filter(|at| standing.checked(outcome(at), 2, 3)).collect();
        assert_eq!(changes, [5, 9]);
    }
}
