//! One question to an endpoint, on a connection of its own: it is the endpoint that is asked, and
//! not what a pool remembers of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{dialogue, grpc};
use crate::config::{Dialogue, HealthCheck, HttpProbe, LoadPoll, Probe, UpstreamProtocol, split_host_port};
use crate::endpoint::Endpoint;
use crate::error::is_ours;
use crate::message::Stream;
use crate::tls;
use crate::upstream::{Upstream, reasons};

/// A load report is small, and so is what says that all is well; the rest of a body is not read.
const MOST_READ: usize = 64 << 10;

/// Why there is no answer, or not the right one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Endpoint(String),
    /// It could not be asked: that says nothing of it.
    Ours(String),
}

impl From<String> for Problem {
    fn from(reason: String) -> Self {
        Self::Endpoint(reason)
    }
}

/// Whether the endpoint is well, or why not.
pub(super) async fn check(upstream: &Upstream, endpoint: &Endpoint, health: &HealthCheck) -> Result<(), Problem> {
    let work = async {
        match &health.probe {
            Probe::Tcp(said) => talk(Stream::Plain(connect(endpoint).await?), said).await,
            Probe::Tls(said) => talk(dial(upstream, endpoint).await?.0, said).await,
            Probe::Http(probe) => Box::pin(check_http(upstream, endpoint, probe)).await,
            Probe::Grpc { service, host } => Box::pin(check_grpc(upstream, endpoint, service, host.as_deref())).await,
        }
    };
    within(health.timeout, work).await
}

async fn talk(mut stream: Stream, said: &Dialogue) -> Result<(), Problem> {
    if *said == Dialogue::default() { Ok(()) } else { Ok(dialogue::talk(&mut stream, said).await?) }
}

async fn check_http(upstream: &Upstream, endpoint: &Endpoint, probe: &HttpProbe) -> Result<(), Problem> {
    let (stream, http2) = dial(upstream, endpoint).await?;
    let mut question = Question::get(upstream, endpoint, probe.host.as_deref(), &probe.path);
    question.method = probe.method.clone();
    let mut request = question.request(http2)?;
    for (name, value) in &probe.headers {
        request.headers_mut().insert(name, value.clone());
    }
    let (response, _connection) = exchange(stream, http2, request).await?;
    let status = response.status().as_u16();
    if !probe.expect.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
        return Err(format!("status {status}, expected {}", ranges(&probe.expect)).into());
    }
    let Some(pattern) = &probe.body else { return Ok(()) };
    let body = beginning(response.into_body()).await?;
    if pattern.is_in(&body) {
        Ok(())
    } else {
        Err(format!("{pattern} is not in the body `{}`", dialogue::shown(&body)).into())
    }
}

/// As much of a body as is ever looked at.
async fn beginning(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| reasons(&error))?.into_data() {
            let room = MOST_READ - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
            if read.len() == MOST_READ {
                break;
            }
        }
    }
    Ok(read)
}

async fn check_grpc(
    upstream: &Upstream,
    endpoint: &Endpoint,
    service: &str,
    host: Option<&str>,
) -> Result<(), Problem> {
    let (stream, http2) = dial(upstream, endpoint).await?;
    if upstream.tls.is_some() && !http2 {
        return Err("the endpoint does not offer HTTP/2 (ALPN)".to_owned().into());
    }
    let mut question = Question::get(upstream, endpoint, host, grpc::PATH);
    (question.method, question.body) = (Method::POST, grpc::request(service));
    let mut request = question.request(true)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    let (response, _connection) = exchange(stream, true, request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("status {}, expected 200", response.status().as_u16()).into());
    }
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MOST_READ).collect().await.map_err(|error| reasons(&*error))?;
    let trailers = body.trailers().cloned();
    grpc::call(trailers.as_ref().unwrap_or(&head.headers))?;
    Ok(grpc::serving(&body.to_bytes())?)
}

/// CPU and memory, of `{"cpu":0.42,"memory":0.7}`.
pub(super) async fn load(
    upstream: &Upstream,
    endpoint: &Endpoint,
    poll: &LoadPoll,
) -> Result<(Option<f64>, Option<f64>), Problem> {
    let body = within(poll.timeout, async {
        let (stream, http2) = dial(upstream, endpoint).await?;
        let request = Question::get(upstream, endpoint, None, &poll.path).request(http2)?;
        let (response, _connection) = exchange(stream, http2, request).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("status {}, expected 200", response.status().as_u16()).into());
        }
        let body = Limited::new(response.into_body(), MOST_READ).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| reasons(&*error).into())
    });
    Ok(parse_load(&body.await?)?)
}

fn parse_load(body: &[u8]) -> Result<(Option<f64>, Option<f64>), String> {
    let report: serde_json::Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
    let share = |key: &str| report.get(key).and_then(serde_json::Value::as_f64);
    match (share("cpu"), share("memory")) {
        (None, None) => Err("the report holds neither \"cpu\" nor \"memory\" as a number".to_owned()),
        shares => Ok(shares),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}").into()))
}

async fn connect(endpoint: &Endpoint) -> Result<TcpStream, Problem> {
    let stream = TcpStream::connect(endpoint.config.address).await.map_err(|error| match error.to_string() {
        reason if is_ours(&error) => Problem::Ours(reason),
        reason => Problem::Endpoint(reason),
    })?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A connection as the upstream has them, and whether it speaks HTTP/2.
async fn dial(upstream: &Upstream, endpoint: &Endpoint) -> Result<(Stream, bool), Problem> {
    let stream = connect(endpoint).await?;
    let Some(connector) = &upstream.tls else {
        return Ok((Stream::Plain(stream), upstream.config.protocol == UpstreamProtocol::Http2));
    };
    let name = split_host_port(&endpoint.config.name).map_or("", |(name, _)| name);
    let stream = connector.connect(name, stream, false).await.map_err(|error| format!("TLS: {error}"))?;
    let http2 = tls::endpoint_speaks_http2(&stream);
    Ok((Stream::Tls(Box::new(stream.into())), http2))
}

/// What is asked, whichever version of HTTP it is asked in.
struct Question<'a> {
    method: Method,
    scheme: &'static str,
    host: &'a str,
    path: &'a str,
    body: Bytes,
}

impl<'a> Question<'a> {
    fn get(upstream: &Upstream, endpoint: &'a Endpoint, host: Option<&'a str>, path: &'a str) -> Self {
        let scheme = if upstream.tls.is_some() { "https" } else { "http" };
        let host = host.unwrap_or(&endpoint.config.name);
        Self { method: Method::GET, scheme, host, path, body: Bytes::new() }
    }

    fn request(self, http2: bool) -> Result<Request<Full<Bytes>>, String> {
        let Self { method, scheme, host, path, body } = self;
        let uri = if http2 { format!("{scheme}://{host}{path}") } else { path.to_owned() };
        let request = Request::builder().method(method).uri(uri).header(USER_AGENT, "jackfield-health");
        let request = if http2 { request.version(Version::HTTP_2) } else { request.header(HOST, host) };
        request.body(Full::new(body)).map_err(|error| error.to_string())
    }
}

/// Drives a connection while it lives.
type Driver = JoinSet<()>;

async fn exchange(
    stream: Stream,
    http2: bool,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Driver), String> {
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
