//! One question to an endpoint, on a connection of its own: it is the endpoint that is asked, and
//! not what a pool remembers of it.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::{HealthCheck, LoadPoll, Probe, UpstreamProtocol, split_host_port};
use crate::endpoint::Endpoint;
use crate::tls;
use crate::upstream::Upstream;

/// A load report is small; what is larger is none.
const MAX_REPORT: usize = 64 << 10;

/// Whether the endpoint is well, or why not.
pub(super) async fn check(upstream: &Upstream, endpoint: &Endpoint, health: &HealthCheck) -> Result<(), String> {
    match &health.probe {
        Probe::Tcp => {
            let connected = TcpStream::connect(endpoint.config.address);
            within(health.timeout, async { connected.await.map(drop).map_err(|error| error.to_string()) }).await
        }
        Probe::Http { path, host, expect } => {
            let (response, _connection) =
                within(health.timeout, get(upstream, endpoint, host.as_deref(), path)).await?;
            let status = response.status();
            let expected = expect.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16()));
            if expected { Ok(()) } else { Err(format!("status {}, expected {}", status.as_u16(), ranges(expect))) }
        }
    }
}

/// CPU and memory, of `{"cpu":0.42,"memory":0.7}`.
pub(super) async fn load(
    upstream: &Upstream,
    endpoint: &Endpoint,
    poll: &LoadPoll,
) -> Result<(Option<f64>, Option<f64>), String> {
    let body = within(poll.timeout, async {
        let (response, _connection) = get(upstream, endpoint, None, &poll.path).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("status {}, expected 200", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_REPORT).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| reasons(&*error))
    });
    parse_load(&body.await?)
}

fn parse_load(body: &[u8]) -> Result<(Option<f64>, Option<f64>), String> {
    let report: serde_json::Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
    let share = |key: &str| report.get(key).and_then(serde_json::Value::as_f64);
    match (share("cpu"), share("memory")) {
        (None, None) => Err("the report holds neither \"cpu\" nor \"memory\" as a number".to_owned()),
        shares => Ok(shares),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

/// Drives a connection while it lives.
type Driver = JoinSet<()>;

async fn get(
    upstream: &Upstream,
    endpoint: &Endpoint,
    host: Option<&str>,
    path: &str,
) -> Result<(Response<Incoming>, Driver), String> {
    let host = host.unwrap_or(&endpoint.config.name);
    let stream = TcpStream::connect(endpoint.config.address).await.map_err(|error| error.to_string())?;
    let wants_http2 = upstream.config.protocol == UpstreamProtocol::Http2;
    let Some(connector) = &upstream.tls else {
        return Box::pin(exchange(stream, wants_http2, "http", host, path)).await;
    };
    let name = split_host_port(&endpoint.config.name).map_or("", |(name, _)| name);
    let stream = connector.connect(name, stream, false).await.map_err(|error: io::Error| format!("TLS: {error}"))?;
    let http2 = tls::endpoint_speaks_http2(&stream);
    // Boxed: most of it is HTTP/2, which few tasks need.
    Box::pin(exchange(stream, http2, "https", host, path)).await
}

async fn exchange<T>(
    stream: T,
    http2: bool,
    scheme: &str,
    host: &str,
    path: &str,
) -> Result<(Response<Incoming>, Driver), String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::get(if http2 { format!("{scheme}://{host}{path}") } else { path.to_owned() });
    let request = request.header(USER_AGENT, "jackfield-health");
    let request = if http2 { request.version(Version::HTTP_2) } else { request.header(HOST, host) };
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let mut driver = Driver::new();
    let response = if http2 {
        let handshake = http2::handshake(TokioExecutor::new(), io);
        let (mut sender, connection) = handshake.await.map_err(|error| reasons(&error))?;
        driver.spawn(async { drop(connection.await) });
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(io).await.map_err(|error| reasons(&error))?;
        driver.spawn(async { drop(connection.await) });
        sender.send_request(request).await
    };
    response.map(|response| (response, driver)).map_err(|error| reasons(&error))
}

/// An error and what lies behind it.
fn reasons(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn ranges(expect: &[(u16, u16)]) -> String {
    let one = |(from, to): &(u16, u16)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    expect.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_holds_at_least_one_number() {
        assert_eq!(parse_load(br#"{"cpu":0.42,"memory":0.7,"more":[]}"#), Ok((Some(0.42), Some(0.7))));
        assert_eq!(parse_load(br#"{"memory":1}"#), Ok((None, Some(1.0))));
        for nonsense in ["", "[]", "{}", "0.4", "{\"cpu\":\"0.4\"}", "{\"cpu\":"] {
            assert!(parse_load(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn ranges_read_as_they_are_written() {
        assert_eq!(ranges(&[(200, 299), (404, 404)]), "200-299, 404");
    }
}
