//! Sets of endpoints that are not made at the moment of a change: while endpoints ramp up, one now
//! and then; and where very many endpoints change one after another, one for all of them.

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

pub(super) fn start(upstream: &Arc<Upstream>) -> AbortHandle {
    let upstream = Arc::clone(upstream);
    let window = upstream.config.slow_start.unwrap_or_default();
    let step = (window / SETS).max(LEAST_STEP);
    let follow = async move {
        loop {
            if is_anybody_ramping(&upstream, window) {
                let _ = tokio::time::timeout(step, upstream.stale.notified()).await;
            } else {
                upstream.stale.notified().await;
            }
            sleep(upstream.set().least_age()).await;
            upstream.refresh();
        }
    };
    tokio::spawn(follow).abort_handle()
}

/// Those who have arrived are told of, and forgotten.
fn is_anybody_ramping(upstream: &Upstream, window: Duration) -> bool {
    let mut ramping = false;
    if window.is_zero() {
        return ramping;
    }
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
