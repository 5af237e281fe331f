//! One question to an endpoint, on a connection of its own: it is the endpoint that is asked, and
//! not what a pool remembers of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::net::TcpStream;

use crate::config::{HealthCheck, LoadPoll, Probe};
use crate::endpoint::Endpoint;
use crate::upstream::{Direct, Upstream, reasons};

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

async fn get(
    upstream: &Upstream,
    endpoint: &Endpoint,
    host: Option<&str>,
    path: &str,
) -> Result<(Response<Incoming>, Direct), String> {
    let request = Request::get(path).header(USER_AGENT, "jackfield-health");
    let request = request.header(HOST, host.unwrap_or(&endpoint.config.name));
    let request = request.body(Full::<Bytes>::default()).map_err(|error| error.to_string())?;
    let mut connection = Direct::connect(upstream, endpoint).await?;
    Ok((connection.send(request).await?, connection))
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
