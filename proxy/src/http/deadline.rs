//! Time limits of requests without a timer for each: a connection's requests share timers, and one
//! that was set for an earlier request is moved when it fires, which is seldom.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A connection's timers that no request uses at the moment.
#[derive(Default)]
pub struct Timers(RefCell<Vec<Pin<Box<Sleep>>>>);

impl Timers {
    /// More would only lie around after a burst of HTTP/2 streams.
    const MOST: usize = 16;

    pub fn limit(&self, at: std::time::Instant) -> Limit<'_> {
        Limit { timers: self, timer: None, at: at.into() }
    }

    /// None when `work` was not ready at that time. Pinned already: moving a large future is a copy.
    pub async fn until<T>(&self, at: std::time::Instant, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut limit = self.limit(at);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => limit.poll(context).map(|()| None),
        })
        .await
    }
}

/// One moment that something may not last beyond.
pub struct Limit<'a> {
    timers: &'a Timers,
    timer: Option<Pin<Box<Sleep>>>,
    at: Instant,
}

impl Limit<'_> {
    /// Ready from that moment on.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let used = || self.timers.0.borrow_mut().pop().unwrap_or_else(|| Box::pin(sleep_until(self.at)));
        let timer = self.timer.get_or_insert_with(used);
        if timer.deadline() > self.at {
            timer.as_mut().reset(self.at);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= self.at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.at);
        }
    }
}

impl Drop for Limit<'_> {
    fn drop(&mut self) {
        let mut timers = self.timers.0.borrow_mut();
        if let Some(timer) = self.timer.take()
            && timers.len() < Timers::MOST
        {
            timers.push(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    fn after(limit: Duration) -> std::time::Instant {
        (Instant::now() + limit).into_std()
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_used_again_for_later_and_for_sooner_limits() {
        let timers = Timers::default();
        let second = Duration::from_secs(1);
        for limit in [10, 60, 5, 5, 100, 1] {
            let done = timers.until(after(second * limit), pin!(tokio::time::sleep(second / 2))).await;
            assert_eq!(done, Some(()));
            let begin = Instant::now();
            let late = timers.until(after(second * limit), pin!(std::future::pending::<()>())).await;
            assert_eq!(late, None);
            let took = begin.elapsed();
            assert!(took >= second * limit && took < second * limit + second / 2, "{limit}: {took:?}");
        }
        assert_eq!(timers.0.borrow().len(), 1);
    }
}
