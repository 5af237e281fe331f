//! When a call has run long enough. The engine's clock counts wall time; on a busy machine most of
//! that may be other threads'. So a deadline comes in two halves: when the first is over the thread's
//! CPU time is noted, and when the second is over the call is stopped if this thread has really run
//! meanwhile, and goes on for what it did not get if it was kept waiting. Nothing is measured in a
//! call that ends in its first half.

use std::time::Duration;

use super::engine::Engine;

#[derive(Debug, Default)]
pub struct Deadline {
    /// Of the whole call, in ticks of the engine's clock.
    limit: u64,
    /// What the thread must use up before it is stopped; none in the first half.
    span: Option<Span>,
    /// Ticks given beyond the limit because the thread was kept waiting.
    waited: u64,
    owed: Duration,
    delegations: u32,
}

#[derive(Debug)]
struct Span {
    /// The thread's CPU time at its begin.
    began: Duration,
    ticks: u64,
}

impl Deadline {
    /// A thread that gets less than a twentieth of a core is no use to any request.
    const MOST_WAITING: u64 = 19;
    /// A wrapper that asks a slow delegate again and again must come to an end too.
    const MOST_DELEGATIONS: u32 = 4;

    /// In ticks, as [`Engine::ticks`] makes them.
    pub fn of(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// After so many ticks [`Self::expired`] is to be asked.
    pub fn first_half(&self) -> u64 {
        self.limit / 2
    }

    /// A wrapped balancer has a deadline of its own, and its time is not the wrapper's fault.
    pub fn owe(&mut self, took: Duration) {
        self.owed += took;
    }

    /// How many ticks the call may go on, or none. `cpu` is the CPU time of the thread.
    pub fn expired(&mut self, cpu: Duration) -> Option<u64> {
        if let Some(ticks) = self.take_owed() {
            // What the delegate used is not held against this one.
            self.span = self.span.take().map(|_| Span { began: cpu, ticks });
            return Some(ticks);
        }
        let Some(span) = &self.span else {
            let ticks = self.limit - self.first_half();
            self.span = Some(Span { began: cpu, ticks });
            return Some(ticks);
        };
        let more = span.missing(cpu)?.min(self.limit * Self::MOST_WAITING - self.waited);
        self.waited += more;
        (more > 0).then_some(more)
    }

    /// What is owed is granted once; more than its own limit no call needs.
    fn take_owed(&mut self) -> Option<u64> {
        let owed = std::mem::take(&mut self.owed);
        if owed.is_zero() || self.delegations == Self::MOST_DELEGATIONS {
            return None;
        }
        self.delegations += 1;
        Some(Engine::ticks(owed).min(self.limit))
    }
}

impl Span {
    /// The ticks that the thread did not get, or none when it got most of them.
    fn missing(&self, cpu: Duration) -> Option<u64> {
        let given = Engine::TICK.as_nanos() as u64 * self.ticks;
        let used = cpu.saturating_sub(self.began).as_nanos() as u64;
        (used < given / 4 * 3).then(|| (given - used).div_ceil(Engine::TICK.as_nanos() as u64))
    }
}

/// The CPU time that this thread has used. A system call.
pub fn thread_cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a deadline of 50 ms is to the engine: five ticks, and one for that which has begun.
    const LIMIT: u64 = 6;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Runs until it is stopped on a thread that gets `share` percent of a core: ticks in all.
    fn runaway(share: u64, mut deadline: Deadline) -> u64 {
        let mut ticks = deadline.first_half();
        while let Some(more) = deadline.expired(ms(ticks * 10 * share / 100)) {
            ticks += more;
        }
        ticks
    }

    #[test]
    fn a_runaway_on_a_quiet_machine_is_stopped_at_its_deadline() {
        assert_eq!(runaway(100, Deadline::of(LIMIT)), LIMIT);
        assert_eq!(runaway(80, Deadline::of(LIMIT)), LIMIT);
        assert_eq!(runaway(100, Deadline::of(Engine::ticks(ms(1)))), 2);
        assert_eq!(runaway(100, Deadline::of(Engine::ticks(Duration::from_secs(5)))), 501);
    }

    #[test]
    fn a_thread_that_gets_little_is_given_time_in_proportion() {
        for (share, least, most) in [(50, 7, 12), (10, 20, 60), (5, 40, 120)] {
            let ticks = runaway(share, Deadline::of(LIMIT));
            assert!((least..=most).contains(&ticks), "{share} %: {ticks}");
        }
    }

    #[test]
    fn a_thread_that_gets_nothing_is_stopped_at_twenty_times_its_deadline() {
        assert_eq!(runaway(0, Deadline::of(LIMIT)), 20 * LIMIT);
    }

    /// Preempted once for a second, then it gets all that it needs.
    #[test]
    fn a_call_that_was_kept_waiting_once_goes_on() {
        let mut deadline = Deadline::of(LIMIT);
        assert_eq!(deadline.expired(ms(7)), Some(3));
        assert_eq!(deadline.expired(ms(8)), Some(3));
        assert_eq!(deadline.expired(ms(38)), None);
    }

    #[test]
    fn a_delegates_time_is_not_its_wrappers() {
        let mut deadline = Deadline::of(LIMIT);
        deadline.owe(ms(40));
        assert_eq!(deadline.expired(ms(40)), Some(5), "what is owed");
        assert_eq!(deadline.expired(ms(90)), Some(3), "its own second half");
        deadline.owe(ms(2_000));
        assert_eq!(deadline.expired(ms(2_120)), Some(LIMIT), "owed again, and its own time begins anew");
        assert_eq!(deadline.expired(ms(2_180)), None);
    }

    #[test]
    fn a_wrapper_that_asks_again_and_again_comes_to_an_end() {
        let mut deadline = Deadline::of(LIMIT);
        let (mut cpu, mut grants) = (0, 0);
        loop {
            deadline.owe(ms(60));
            cpu += 60;
            if deadline.expired(ms(cpu)).is_none() {
                break;
            }
            grants += 1;
        }
        assert_eq!(grants, 5);
    }
}
