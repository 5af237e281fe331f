//! Slow start: while endpoints ramp up, a new set of weights now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::endpoint::Endpoint;
use crate::upstream::Upstream;

/// Every set is an update of every balancer, on every worker: so many for one ramp.
const SETS: u32 = 30;
/// And no more often than this.
const LEAST_STEP: Duration = Duration::from_millis(200);

pub(super) fn start(upstream: &Arc<Upstream>) -> Option<AbortHandle> {
    let window = upstream.config.slow_start?;
    let upstream = Arc::clone(upstream);
    let step = (window / SETS).max(LEAST_STEP);
    let follow = async move {
        loop {
            if is_anybody_ramping(&upstream, window) {
                sleep(step).await;
            } else {
                upstream.ramping.notified().await;
            }
            upstream.refresh();
        }
    };
    Some(tokio::spawn(follow).abort_handle())
}

/// Those who have arrived are told of, and forgotten.
fn is_anybody_ramping(upstream: &Upstream, window: Duration) -> bool {
    let mut ramping = false;
    for endpoint in &upstream.set().endpoints {
        let Some(since) = endpoint.stats.standing.returned() else { continue };
        if Instant::now().saturating_duration_since(since) < window {
            ramping = true;
        } else {
            endpoint.stats.standing.set_returned(false);
            arrived(upstream, endpoint);
        }
    }
    ramping
}

fn arrived(upstream: &Upstream, endpoint: &Endpoint) {
    let (upstream, endpoint) = (&*upstream.config.name, endpoint.config.name.as_str());
    tracing::info!(upstream, endpoint, "endpoint has its full weight again");
}
