//! Whether a use of a plugin is fit to be called.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::clock;

/// Five failures in a row, or twenty within ten seconds, put a use into quarantine: one second at first,
/// twice as long each time, at most a minute. A failed call that took long (one that overran its
/// deadline, or filled its memory) has kept its worker from all others: two of them are enough, and
/// the quarantine is so long that such calls take half a percent of the worker's time. The first call
/// after a quarantine is a trial: when it fails the next quarantine begins.
#[derive(Debug, Default)]
pub struct Health {
    in_a_row: AtomicU32,
    window_start: AtomicU32,
    window_failures: AtomicU32,
    last_failure: AtomicU32,
    /// The clock's milliseconds; 0 is never.
    quarantined_at: AtomicU32,
    quarantine_ms: AtomicU32,
    told: AtomicBool,
}

pub(super) enum News {
    None,
    First,
    Quarantined(Duration),
}

impl Health {
    const IN_A_ROW: u32 = 5;
    /// A failed call that took so long counts as more than one.
    const LONG: Duration = Duration::from_millis(20);
    const OF_A_LONG_ONE: u32 = 3;
    /// How many times as long as the failed call the quarantine is at least.
    const PAUSE_FOR_TIME: u32 = 200;
    const IN_WINDOW: u32 = 20;
    const WINDOW_MS: u32 = 10_000;
    const FIRST_PAUSE_MS: u32 = 1_000;
    const LONGEST_PAUSE_MS: u32 = 60_000;

    pub fn is_quarantined(&self) -> bool {
        let at = self.quarantined_at.load(Relaxed);
        if at == 0 {
            return false;
        }
        let over = clock::millis32().wrapping_sub(at) >= self.quarantine_ms.load(Relaxed);
        if over {
            self.quarantined_at.store(0, Relaxed);
        }
        !over
    }

    /// Another version of the plugin, or another way to use it, begins without a past.
    pub(super) fn forget(&self) {
        for number in [&self.in_a_row, &self.window_failures, &self.quarantined_at, &self.quarantine_ms] {
            number.store(0, Relaxed);
        }
        self.told.store(false, Relaxed);
    }

    pub(super) fn succeeded(&self) {
        if self.in_a_row.load(Relaxed) != 0 {
            self.in_a_row.store(0, Relaxed);
        }
    }

    /// `took`: for how long the failed call kept its worker.
    pub(super) fn failed(&self, took: Duration) -> News {
        let weight = if took < Self::LONG { 1 } else { Self::OF_A_LONG_ONE };
        let now = clock::millis32();
        if now.wrapping_sub(self.window_start.load(Relaxed)) > Self::WINDOW_MS {
            self.window_start.store(now, Relaxed);
            self.window_failures.store(0, Relaxed);
        }
        let quiet = now.wrapping_sub(self.last_failure.swap(now, Relaxed));
        if quiet > Self::WINDOW_MS.saturating_add(self.quarantine_ms.load(Relaxed)) {
            // Ten quiet seconds out of quarantine: this failure is news, the next quarantine short again.
            self.quarantine_ms.store(0, Relaxed);
            self.told.store(false, Relaxed);
        }
        let in_a_row = self.in_a_row.fetch_add(weight, Relaxed) + weight;
        let in_window = self.window_failures.fetch_add(1, Relaxed) + 1;
        if in_a_row >= Self::IN_A_ROW || in_window >= Self::IN_WINDOW {
            return self.quarantine(now, took.saturating_mul(Self::PAUSE_FOR_TIME));
        }
        if self.told.swap(true, Relaxed) { News::None } else { News::First }
    }

    fn quarantine(&self, now: u32, least: Duration) -> News {
        self.in_a_row.store(Self::IN_A_ROW - 1, Relaxed);
        self.window_failures.store(1, Relaxed);
        if self.quarantined_at.swap(now, Relaxed) != 0 {
            return News::None;
        }
        let least = (least.as_millis() as u32).clamp(Self::FIRST_PAUSE_MS, Self::LONGEST_PAUSE_MS);
        let pause = (self.quarantine_ms.load(Relaxed) * 2).clamp(least, Self::LONGEST_PAUSE_MS);
        self.quarantine_ms.store(pause, Relaxed);
        News::Quarantined(Duration::from_millis(u64::from(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_quarantined_after(health: &Health, failures: u32) -> bool {
        for _ in 0..failures {
            health.failed(Duration::ZERO);
        }
        health.is_quarantined()
    }

    /// As if its time were over.
    fn end_quarantine(health: &Health) {
        health.quarantine_ms.store(0, Relaxed);
        assert!(!health.is_quarantined());
    }

    #[test]
    fn five_failures_in_a_row_are_too_many() {
        let health = Health::default();
        assert!(!is_quarantined_after(&health, 4));
        health.succeeded();
        assert!(!is_quarantined_after(&health, 4));
        assert!(is_quarantined_after(&health, 1));
    }

    #[test]
    fn so_are_twenty_among_successes() {
        let health = Health::default();
        for _ in 0..19 {
            assert!(!is_quarantined_after(&health, 1));
            health.succeeded();
        }
        assert!(is_quarantined_after(&health, 1));
    }

    #[test]
    fn so_are_two_that_took_long() {
        let health = Health::default();
        let deadline = Duration::from_millis(50);
        health.failed(deadline);
        assert!(!health.is_quarantined());
        health.failed(deadline);
        assert!(health.is_quarantined());
        assert_eq!(health.quarantine_ms.load(Relaxed), 10_000, "half a percent of the time at most");
    }

    #[test]
    fn after_a_quarantine_one_failure_begins_the_next_and_one_success_clears() {
        let health = Health::default();
        assert!(is_quarantined_after(&health, 5));
        end_quarantine(&health);
        assert!(is_quarantined_after(&health, 1));
        end_quarantine(&health);
        health.succeeded();
        assert!(!is_quarantined_after(&health, 4));
    }
}
