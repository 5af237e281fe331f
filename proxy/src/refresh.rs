//! Plugins with a timer: a task for each use, on the control runtime, never on a worker. A call runs on
//! a thread that may wait, so that a slow plugin holds up nothing but itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep_until, timeout};

use crate::config::UseIndex;
use crate::endpoint::{Active, Endpoint};
use crate::plugin::{Ask, NoReply, Refresher, Replied, Reply};
use crate::state::State;
use crate::upstream::{Direct, Upstream, orca};

/// Timers run while this lives; a reload drops it with the state that it belongs to.
#[derive(Debug)]
#[must_use = "timers end when this is dropped"]
pub struct Timers(Vec<AbortHandle>);

/// Starts the timers of all uses on the current runtime. Where the state before had the same use, its
/// next call comes when it would have come.
pub fn start(state: &Arc<State>) -> Timers {
    let has_timer = |index: &UseIndex| state.usages[*index].has_timer();
    let start = |index| tokio::spawn(run(Arc::clone(state), index)).abort_handle();
    Timers((0..state.usages.len()).filter(has_timer).map(start).collect())
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// After a failure it is called again as soon as it would have been, but at the latest then.
const LONGEST_RETRY: Duration = Duration::from_secs(1);

async fn run(state: Arc<State>, index: UseIndex) {
    let usage = &state.usages[index];
    let upstream = state.balanced_by(index);
    let mut service = Service { state: &state, refresher: Refresher::new(usage), turn: 0 };
    let mut interval = Duration::from_millis(100);
    loop {
        if let Some(due) = usage.shared.timer.due() {
            sleep_until(due.into()).await;
        }
        // A reload in the middle of this call is no reason to make it twice.
        usage.shared.timer.set_due(Some(Instant::now() + interval));
        let set = upstream.map(|upstream| upstream.set());
        let Some((back, ticked)) = blocking(service.refresher, move |refresher| refresher.tick(set.as_ref())).await
        else {
            return;
        };
        service.refresher = back;
        let pause = match ticked {
            Some((next, asks)) => {
                interval = next;
                let Some((back, went_well)) = service.settle(asks).await else { return };
                service = back;
                if went_well { interval } else { interval.min(LONGEST_RETRY) }
            }
            None => interval.min(LONGEST_RETRY),
        };
        usage.shared.timer.set_due(Some(Instant::now() + pause));
    }
}

/// None when the process ends.
async fn blocking<T: Send + 'static>(
    mut refresher: Refresher,
    call: impl FnOnce(&mut Refresher) -> T + Send + 'static,
) -> Option<(Refresher, T)> {
    let work = tokio::task::spawn_blocking(move || {
        let answer = call(&mut refresher);
        (refresher, answer)
    });
    work.await.ok()
}

/// One use, and where what it asks for is sent from.
struct Service<'a> {
    state: &'a Arc<State>,
    refresher: Refresher,
    /// Endpoints are asked in turn.
    turn: usize,
}

impl Service<'_> {
    /// Until nothing is outstanding. Answers whether it went well.
    async fn settle(mut self, mut asks: Vec<Ask>) -> Option<(Self, bool)> {
        let mut questions = JoinSet::new();
        loop {
            for ask in asks {
                questions.spawn(question(Arc::clone(&self.state.upstreams[ask.upstream]), ask, self.turn));
                self.turn += 1;
            }
            let Some(replied) = questions.join_next().await else { return Some((self, true)) };
            let replied = replied.ok()?;
            let (back, more) = blocking(self.refresher, |refresher| refresher.on_reply(replied)).await?;
            self.refresher = back;
            match more {
                Some(more) => asks = more,
                None => return Some((self, false)),
            }
        }
    }
}

async fn question(upstream: Arc<Upstream>, ask: Ask, turn: usize) -> Replied {
    let Ask { request, body, timeout: limit, mut pending, .. } = ask;
    let request = Request::from_parts(request, Full::new(body));
    let whole = async {
        let (response, _connection) = send(&upstream, &request, turn).await?;
        let (mut head, body) = response.into_parts();
        if upstream.config.load.orca {
            head.headers.remove(&orca::HEADER);
        }
        pending.hold_head(&head.headers)?;
        let body = pending.collect(body).await?;
        Ok(Reply::new(head, body))
    };
    let reply = timeout(limit, whole).await.unwrap_or(Err(NoReply::Timeout));
    pending.end(reply)
}

/// Whoever cannot be connected is no reason to give up: the next healthy endpoint is asked.
async fn send(
    upstream: &Upstream,
    request: &Request<Full<Bytes>>,
    turn: usize,
) -> Result<(Response<Incoming>, (Direct, Active)), NoReply> {
    let set = upstream.set();
    let healthy: Vec<&Arc<Endpoint>> =
        (0..set.len()).filter(|index| set.is_healthy(*index)).map(|index| &set.endpoints[index]).collect();
    let tries = healthy.len().min(upstream.config.retries as usize + 1);
    for endpoint in healthy.iter().cycle().skip(turn % healthy.len().max(1)).take(tries) {
        let active = Active::new(Arc::clone(endpoint));
        let begin = Instant::now();
        let connected = timeout(upstream.config.connect_timeout, Direct::connect(upstream, endpoint)).await;
        let Ok(Ok(mut connection)) = connected else {
            endpoint.stats.failed();
            continue;
        };
        let name = endpoint.config.name.as_str();
        let response = connection.send(request.clone()).await.map_err(|reason| {
            endpoint.stats.failed();
            tracing::debug!(endpoint = name, reason, "no reply for a plugin's timer");
            NoReply::Unreachable
        })?;
        match response.status() {
            status if status >= StatusCode::INTERNAL_SERVER_ERROR => endpoint.stats.failed(),
            _ => endpoint.stats.succeeded(begin.elapsed()),
        }
        return Ok((response, (connection, active)));
    }
    Err(NoReply::Unreachable)
}
