//! Failures in a row. The data path counts them, for endpoints that are watched only; the control
//! side judges.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

/// How a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered, or somebody on the way did: no connection, no head of a response in time,
    /// 502, 503, 504.
    Gateway,
    /// The endpoint answered with another 5xx.
    Answer,
}

impl Failure {
    pub fn of_status(status: u16) -> Self {
        if matches!(status, 502..=504) { Self::Gateway } else { Self::Answer }
    }
}

/// From how many failures on an endpoint is suspected (0: never), and who wants to know.
#[derive(Debug)]
pub struct Watch {
    pub any: u32,
    pub gateway: u32,
    pub suspects: Arc<Notify>,
}

#[derive(Debug, Default)]
pub struct Streaks {
    /// Failures of any kind in a row in the upper half, of the gateway's kind in the lower.
    counts: AtomicU64,
    watch: ArcSwapOption<Watch>,
}

impl Streaks {
    pub fn watch(&self, watch: Option<Arc<Watch>>) {
        self.watch.store(watch);
    }

    /// A load and a branch where nothing failed lately.
    pub fn end(&self) {
        if self.counts.load(Relaxed) != 0 {
            self.counts.store(0, Relaxed);
        }
    }

    pub(super) fn grow(&self, failure: Failure) {
        let watch = self.watch.load();
        let Some(watch) = &*watch else { return };
        let next = |counts: u64| match failure {
            Failure::Gateway => counts.wrapping_add((1 << 32) + 1),
            Failure::Answer => (counts >> 32).wrapping_add(1) << 32,
        };
        let before = self.counts.fetch_update(Relaxed, Relaxed, |counts| Some(next(counts)));
        let (any, gateway) = halves(next(before.unwrap_or_default()));
        // Once for so many, and not for each further one, should it not be ejected.
        let full = |count: u32, limit: u32| limit > 0 && count > 0 && count.is_multiple_of(limit);
        if full(any, watch.any) || full(gateway, watch.gateway) {
            watch.suspects.notify_one();
        }
    }

    /// Failures in a row of any kind, and of the gateway's kind.
    pub fn counts(&self) -> (u32, u32) {
        halves(self.counts.load(Relaxed))
    }
}

fn halves(counts: u64) -> (u32, u32) {
    ((counts >> 32) as u32, counts as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_are_counted_apart_and_successes_end_both() {
        let streaks = Streaks::default();
        streaks.grow(Failure::Gateway);
        assert_eq!(streaks.counts(), (0, 0), "nobody watches");
        streaks.watch(Some(Arc::new(Watch { any: 5, gateway: 3, suspects: Arc::default() })));
        streaks.grow(Failure::Gateway);
        streaks.grow(Failure::Gateway);
        assert_eq!(streaks.counts(), (2, 2));
        streaks.grow(Failure::of_status(500));
        assert_eq!(streaks.counts(), (3, 0));
        streaks.grow(Failure::of_status(503));
        assert_eq!(streaks.counts(), (4, 1));
        streaks.end();
        assert_eq!(streaks.counts(), (0, 0));
    }
}
