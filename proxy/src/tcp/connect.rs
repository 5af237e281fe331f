//! From a pick to a connection: who does not answer is passed over for the next pick. The client's
//! bytes wait in its socket meanwhile, so none is lost on the way.

use std::io;
use std::time::Instant;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config;
use crate::endpoint::Active;
use crate::error::is_ours;
use crate::plugin::Choice;
use crate::upstream::NoEndpoint;

#[derive(Debug)]
pub struct Connected {
    pub stream: TcpStream,
    pub active: Active,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    NoEndpoint(#[from] NoEndpoint),
    /// After so many tries, the last of them for this reason.
    #[error("{tries} of its endpoints could not be connected to; {endpoint}: {error}")]
    Exhausted { tries: u32, endpoint: String, error: io::Error },
    /// Out of file descriptors, ports or memory: no endpoint's fault.
    #[error("no connection can be made: {0}")]
    Ours(io::Error),
}

/// `pick` marks whom it answers as tried in the choice.
pub async fn connect(
    upstream: &config::Upstream,
    mut pick: impl FnMut(&mut Choice) -> Result<Active, NoEndpoint>,
) -> Result<Connected, Failure> {
    let mut choice = Choice::default();
    let mut last = None;
    for tries in 1..=upstream.retries.saturating_add(1) {
        let active = match pick(&mut choice) {
            Ok(active) => active,
            Err(reason) => return Err(last.unwrap_or(Failure::NoEndpoint(reason))),
        };
        let endpoint = active.endpoint();
        let begin = Instant::now();
        let error = match timeout(upstream.connect_timeout, TcpStream::connect(endpoint.config.address)).await {
            Ok(Ok(stream)) => {
                endpoint.stats.succeeded(begin.elapsed());
                let _ = stream.set_nodelay(true);
                return Ok(Connected { stream, active });
            }
            Ok(Err(error)) if is_ours(&error) => return Err(Failure::Ours(error)),
            Ok(Err(error)) => error,
            Err(_) => Errno::TIMEDOUT.into(),
        };
        endpoint.stats.failed();
        let endpoint = endpoint.config.name.clone();
        tracing::debug!(upstream = &*upstream.name, endpoint, %error, "endpoint does not answer");
        last = Some(Failure::Exhausted { tries, endpoint, error });
    }
    // The loop ran at least once.
    Err(last.unwrap_or(Failure::NoEndpoint(NoEndpoint::Nobody)))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::super::testing::{endpoint, upstream};
    use super::*;
    use crate::endpoint::Endpoint;

    /// A port where nobody listens: it was just given up.
    async fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    /// One after another, each once.
    fn in_order(endpoints: &[Arc<Endpoint>]) -> impl FnMut(&mut Choice) -> Result<Active, NoEndpoint> {
        |choice| {
            let endpoint = endpoints.get(choice.attempts() as usize).ok_or(NoEndpoint::Nobody)?;
            choice.mark_tried(endpoint.id);
            Ok(Active::new(Arc::clone(endpoint)))
        }
    }

    #[tokio::test]
    async fn who_refuses_is_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoints = [nobody().await, nobody().await, listener.local_addr().unwrap()].map(endpoint);
        let connected = connect(&upstream(2), in_order(&endpoints)).await.unwrap();
        assert_eq!(connected.active.endpoint().id, endpoints[2].id);
        let counts = |of: fn(&Endpoint) -> u32| endpoints.each_ref().map(|endpoint| of(endpoint));
        assert_eq!(counts(|endpoint| endpoint.stats.active()), [0, 0, 1]);
        assert_eq!(counts(|endpoint| endpoint.stats.error_rate().min(1)), [1, 1, 0]);
        drop(connected);
        assert_eq!(endpoints[2].stats.active(), 0);
    }

    #[tokio::test]
    async fn retries_are_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoints = [nobody().await, nobody().await, listener.local_addr().unwrap()].map(endpoint);
        let failure = connect(&upstream(1), in_order(&endpoints)).await.unwrap_err();
        assert!(matches!(failure, Failure::Exhausted { tries: 2, .. }), "{failure}");
    }

    #[tokio::test]
    async fn when_nobody_is_left_the_last_error_is_told() {
        let endpoints = [nobody().await].map(endpoint);
        let failure = connect(&upstream(5), in_order(&endpoints)).await.unwrap_err();
        let expected =
            format!("1 of its endpoints could not be connected to; {}: Connection refused", endpoints[0].config.name);
        assert!(failure.to_string().starts_with(&expected), "{failure}");
        let failure = connect(&upstream(5), in_order(&[])).await.unwrap_err();
        assert_eq!(failure.to_string(), "no endpoint of the upstream can be chosen");
    }

    #[tokio::test]
    async fn who_is_silent_has_the_connect_timeout() {
        // A full backlog: further handshakes are not answered.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let _queued = std::net::TcpStream::connect(address).unwrap();
        let mut slow = upstream(0);
        slow.connect_timeout = Duration::from_millis(50);
        let failure = connect(&slow, in_order(&[endpoint(address)])).await.unwrap_err();
        assert!(matches!(failure, Failure::Exhausted { tries: 1, .. }), "{failure}");
    }
}
