//! Carries a connection's bytes both ways until both sides have ended, one broke, or nothing has
//! moved for too long.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::flow::{Flow, SenderBroke};

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
pub async fn pump(client: &mut TcpStream, endpoint: &mut TcpStream, idle_timeout: Duration) -> Outcome {
    let (up, down) = (Flow::new(), Flow::new());
    let end = {
        let (client_reads, client_writes) = client.split();
        let (endpoint_reads, endpoint_writes) = endpoint.split();
        let up_runs = async { up.run(client_reads, endpoint_writes, &down).await.map_err(client_broke) };
        let down_runs = async { down.run(endpoint_reads, client_writes, &up).await.map_err(endpoint_broke) };
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

fn client_broke(SenderBroke(error): SenderBroke) -> End {
    End::ClientBroke(error)
}

fn endpoint_broke(SenderBroke(error): SenderBroke) -> End {
    End::EndpointBroke(error)
}

fn refused(end: End) -> End {
    if matches!(end, End::Complete) { End::Refused } else { end }
}

/// One sleep for the whole connection: bytes only leave the time at which they moved, and the
/// sleep finds out when it is over how much of it is left.
async fn quiet(up: &Flow, down: &Flow, idle_timeout: Duration) {
    loop {
        let deadline = up.moved.get().max(down.moved.get()) + idle_timeout;
        if deadline <= Instant::now() {
            return;
        }
        sleep_until(deadline).await;
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
