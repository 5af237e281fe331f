//! Carries a connection's bytes both ways until both sides have ended, one broke, or nothing has
//! moved for too long.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::flow::Flow;

/// What came of a connection.
#[derive(Debug)]
pub struct Outcome {
    /// Bytes, client to endpoint.
    pub sent: u64,
    /// Bytes, endpoint to client.
    pub received: u64,
    pub end: End,
}

#[derive(Debug, thiserror::Error)]
pub enum End {
    #[error("both sides ended")]
    Complete,
    #[error("nothing moved for the idle timeout")]
    Idle,
    #[error("the client's connection broke: {0}")]
    ClientBroke(io::Error),
    #[error("the endpoint's connection broke: {0}")]
    EndpointBroke(io::Error),
    #[error("a side closed before it had taken all")]
    Refused,
}

/// Leaves both sockets for the caller to drop. Where bytes were lost they are set to be reset,
/// so that nobody takes a part for the whole.
pub async fn pump(client: &TcpStream, endpoint: &TcpStream, idle_timeout: Duration) -> Outcome {
    let (up, down) = (Flow::default(), Flow::default());
    let end = {
        let up_runs = async { up.run(client, endpoint, &down).await.map_err(End::ClientBroke) };
        let down_runs = async { down.run(endpoint, client, &up).await.map_err(End::EndpointBroke) };
        tokio::select! {
            biased;
            both = async { tokio::try_join!(up_runs, down_runs) } => both.map_or_else(|end| end, |_| End::Complete),
            () = quiet(&up, &down, idle_timeout) => End::Idle,
        }
    };
    let end = if up.refused.get() || down.refused.get() { refused(end) } else { end };
    let whole = |flow: &Flow| flow.received == flow.delivered;
    if !matches!(end, End::Complete | End::Idle) || !whole(&up) || !whole(&down) {
        let _ = client.set_zero_linger();
        let _ = endpoint.set_zero_linger();
    }
    Outcome { sent: up.delivered.get(), received: down.delivered.get(), end }
}

fn refused(end: End) -> End {
    if matches!(end, End::Complete) { End::Refused } else { end }
}

/// Looks now and then whether anything has moved, so that bytes which move need not look at the
/// clock. Silence is noticed an eighth of the timeout late at most.
async fn quiet(up: &Flow, down: &Flow, idle_timeout: Duration) {
    const LOOKS: u32 = 8;
    let (mut before, mut same) = (0, 0);
    while same < LOOKS {
        sleep(idle_timeout / LOOKS).await;
        let now = [up, down].map(|flow| flow.received.get() + flow.delivered.get()).iter().sum();
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
