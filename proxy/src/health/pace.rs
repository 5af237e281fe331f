//! How fast checks are made: ten thousand endpoints must neither be asked all at once nor take the
//! file descriptors that clients need.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Those that are up never wait for those that are down, which take the whole timeout each.
struct Permits {
    up: Semaphore,
    down: Semaphore,
}

static PERMITS: LazyLock<Permits> = LazyLock::new(|| {
    let each = most_at_once() / 2;
    Permits { up: Semaphore::new(each), down: Semaphore::new(each) }
});

/// A check is one connection: an eighth of the process's descriptors, within reason.
fn most_at_once() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 8).unwrap_or(usize::MAX).clamp(32, 1024)
}

/// To make one check. `late` counts those that have to wait.
pub(super) async fn permit(down: bool, late: &AtomicU64) -> Option<SemaphorePermit<'static>> {
    let permits = if down { &PERMITS.down } else { &PERMITS.up };
    if let Ok(permit) = permits.try_acquire() {
        return Some(permit);
    }
    late.fetch_add(1, Relaxed);
    permits.acquire().await.ok()
}

/// When the first check of the endpoint in this position of so many is due: few are asked at once,
/// many one after another, within half an interval.
pub(super) fn start_of(position: usize, count: usize, interval: Duration) -> Duration {
    const APART: Duration = Duration::from_millis(1);
    let step = APART.min(interval / 2 / u32::try_from(count.max(1)).unwrap_or(u32::MAX));
    step * u32::try_from(position).unwrap_or(u32::MAX)
}

/// Up to this share more or less, so that the checks of many proxies don't come all at once.
pub(super) fn jittered(interval: Duration, share: f64) -> Duration {
    interval.mul_f64(1.0 - share) + random_part(interval, 2.0 * share)
}

/// Something from nothing to this share of a length.
pub(super) fn random_part(length: Duration, share: f64) -> Duration {
    use std::hash::BuildHasher;
    let random = std::hash::RandomState::new().hash_one(0) >> 11;
    length.mul_f64(share * (random as f64 / (1_u64 << 53) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share() {
        let interval = Duration::from_secs(10);
        for _ in 0..100 {
            let jittered = jittered(interval, 0.1);
            assert!((Duration::from_secs(9)..=Duration::from_secs(11)).contains(&jittered), "{jittered:?}");
        }
        assert_eq!(super::jittered(interval, 0.0), interval);
    }

    #[test]
    fn many_begin_one_after_another() {
        let starts = |count| (0..count).map(move |position| start_of(position, count, Duration::from_secs(5)));
        assert_eq!(starts(3).collect::<Vec<_>>(), [0, 1, 2].map(Duration::from_millis));
        assert!(starts(10_000).is_sorted());
        let last = starts(10_000).next_back().unwrap();
        assert!((Duration::from_secs(2)..Duration::from_millis(2500)).contains(&last), "{last:?}");
    }
}
