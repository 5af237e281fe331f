//! Sending a request to an endpoint: pick, connect, send, and the next pick when that fails for a
//! request that may be repeated.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri, Version, response};

use super::Connection;
use super::headers::belongs_to_the_proxy;
use crate::body::RequestBody;
use crate::clock;
use crate::config::UpstreamProtocol;
use crate::endpoint::Failure;
use crate::error::Fault;
use crate::message::{self, Link};
use crate::plugin::{Choice, Exchange, Protocol};
use crate::upstream::http1::{self, Outgoing, Transfer};
use crate::upstream::{Download, DownloadError, Http2, Lease, Local, Picked, Purpose, orca};

/// The head of a response, and what follows it.
pub struct Sent {
    pub response: Response,
    pub picked: Picked,
}

pub struct Response {
    pub head: response::Parts,
    pub rest: Rest,
}

pub enum Rest {
    Body(Download),
    /// After 101.
    Tunnel(Box<Link>),
}

/// One request's way to an endpoint.
pub struct Forward<'a> {
    pub connection: &'a Rc<Connection>,
    pub local: &'a Local,
    pub upgrade: Option<&'a HeaderValue>,
    /// Keep the head of the request for the filters on the response.
    pub keep_head: bool,
    /// Whether interim responses are the client's.
    pub passes_interim: bool,
    /// When the head of the response must be there.
    pub deadline: Instant,
}

/// What is left of a request after a failed try: enough to try again, or nothing.
struct Failed {
    fault: Fault,
    body: Option<RequestBody>,
    /// A stale connection is no reason to leave the endpoint.
    stale: bool,
}

impl Forward<'_> {
    /// The exchange comes back in any case.
    pub async fn send(
        &self,
        mut exchange: Box<Exchange>,
        mut body: RequestBody,
    ) -> (Box<Exchange>, Result<Sent, Fault>) {
        let mut choice = Choice::default();
        let mut last = None;
        loop {
            // What an earlier pick left for the response spoke of an endpoint that failed.
            exchange.reply.clear();
            let (back, picked) = self.local.pick(exchange, &mut choice);
            exchange = back;
            let picked = match picked {
                Ok(picked) => picked,
                Err(none) => return (exchange, Err(last.unwrap_or(Fault::NoEndpoint(none)))),
            };
            let begin = Instant::now();
            let upload = body.watch();
            // An endpoint that waits for the rest of the body is not the one that is late.
            let is_awaited = || upload.as_ref().is_some_and(|body| body.is_awaited());
            let late = || if is_awaited() { Fault::SlowBody } else { Fault::Timeout };
            let timeout = || Failed { fault: late(), body: None, stale: false };
            let done = {
                let work = pin!(self.try_endpoint(&mut exchange, &picked, body));
                self.connection.timers.until(self.deadline, work).await
            };
            match done.unwrap_or_else(|| Err(timeout())) {
                Ok(response) => {
                    self.measure(&picked, &response.head, begin);
                    return (exchange, Ok(Sent { response, picked }));
                }
                Err(mut failed) => {
                    if let Some(fault) = upload.as_ref().and_then(|body| body.fault()) {
                        // HTTP/2 tells of a reset only, not whose doing it was.
                        failed = Failed { fault, body: None, stale: false };
                    }
                    if failed.fault.is_upstreams() {
                        picked.active.endpoint().stats.failed();
                    }
                    tracing::debug!(endpoint = picked.active.endpoint().config.name, fault = %failed.fault, "try failed");
                    let Some(again) = failed.body.filter(|_| choice.attempts() <= self.local.upstream.config.retries)
                    else {
                        return (exchange, Err(failed.fault));
                    };
                    body = again;
                    last = Some(failed.fault);
                }
            }
        }
    }

    /// On a kept-alive connection first. One that the endpoint has just closed is no failure: a new
    /// connection tells whether the endpoint is there.
    async fn try_endpoint(
        &self,
        exchange: &mut Exchange,
        picked: &Picked,
        mut body: RequestBody,
    ) -> Result<Response, Failed> {
        // Only HTTP/1.1 has upgrades; who speaks only HTTP/2 gets the request without.
        let may_upgrade = self.upgrade.is_some() && self.local.upstream.config.protocol != UpstreamProtocol::Http2;
        let purpose = if may_upgrade { Purpose::Upgrade } else { Purpose::Request };
        if let Some(lease) = picked.pool.checkout(purpose) {
            match self.send_once(exchange, picked, lease, body).await {
                Err(Failed { body: Some(again), stale: true, .. }) => body = again,
                result => return result,
            }
        }
        // Seldom, and large with its TLS: not in every connection's task.
        match Box::pin(picked.pool.connect(picked.active.endpoint(), &self.local.upstream, purpose)).await {
            Ok(lease) => self.send_once(exchange, picked, lease, body).await,
            Err(error) => Err(Failed { fault: Fault::Connect(error), body: Some(body), stale: false }),
        }
    }

    async fn send_once(
        &self,
        exchange: &mut Exchange,
        picked: &Picked,
        lease: Lease,
        body: RequestBody,
    ) -> Result<Response, Failed> {
        let Some(parts) = exchange.request.take() else {
            return Err(Failed { fault: Fault::BadRequest("no request"), body: None, stale: false });
        };
        let may_repeat = is_idempotent(&parts.method) && self.upgrade.is_none();
        let again = if may_repeat { body.again() } else { None };
        match lease {
            Lease::Http1 { connection, reused } => {
                let outgoing =
                    Outgoing { parts: &parts, host: &picked.active.endpoint().config.name, upgrade: self.upgrade };
                let transfer = Transfer::begin(connection, &outgoing, body);
                let speaks_interim = parts.version == Version::HTTP_11;
                exchange.request = Some(parts);
                self.send_http1(transfer, picked, speaks_interim, again, reused).await
            }
            Lease::Http2 { connection, in_flight, reused } => {
                // Headers are copied only for whoever may need them again.
                exchange.request = (again.is_some() || self.keep_head).then(|| parts.clone());
                let sent = self.send_http2(connection, self.over_http2(parts, body, picked), in_flight).await;
                sent.map_err(|(error, unsent)| {
                    let (fault, stale) = match unsent {
                        None if error.is_user() => (Fault::BrokenBody, false),
                        _ => (Fault::BrokenOff(DownloadError::Http2(error)), reused),
                    };
                    let body = match unsent {
                        Some(request) => {
                            let (parts, body) = request.into_parts();
                            exchange.request.get_or_insert_with(|| restored(parts));
                            Some(body)
                        }
                        None => again.filter(|_| fault.is_upstreams()),
                    };
                    Failed { fault, body, stale }
                })
            }
        }
    }

    async fn send_http1(
        &self,
        mut transfer: Transfer,
        picked: &Picked,
        speaks_interim: bool,
        again: Option<RequestBody>,
        reused: bool,
    ) -> Result<Response, Failed> {
        loop {
            let head = match poll_fn(|context| transfer.poll_head(context)).await {
                Ok(head) => head,
                Err(http1::Error::RequestBody(_) | http1::Error::RequestLength) => {
                    return Err(Failed { fault: Fault::BrokenBody, body: None, stale: false });
                }
                Err(http1::Error::Response(error)) => {
                    let stale = reused && !transfer.is_answered();
                    return Err(Failed { fault: Fault::BrokenOff(error.into()), body: again, stale });
                }
            };
            if !head.is_interim() {
                let rest = if head.parts.status == http::StatusCode::SWITCHING_PROTOCOLS {
                    if !transfer.is_sent() {
                        let error = message::Error::Malformed("101 before the end of the request");
                        return Err(Failed { fault: Fault::BrokenOff(error.into()), body: None, stale: false });
                    }
                    Rest::Tunnel(transfer.into_tunnel())
                } else {
                    let max_idle = self.local.upstream.config.max_idle;
                    let pool = Rc::clone(&picked.pool);
                    Rest::Body(Download::Http1(http1::Download::new(transfer, &head, pool, max_idle)))
                };
                return Ok(Response { head: head.parts, rest });
            }
            // 100 the client has from us, HTTP/1.0 knows none of them, and to HTTP/2 hyper sends none.
            let is_wanted = speaks_interim && self.passes_interim && self.connection.client.protocol == Protocol::Http1;
            if is_wanted && head.parts.status != http::StatusCode::CONTINUE {
                self.connection.send_interim(&interim_bytes(head.parts.status, &head.parts.headers));
            }
        }
    }

    async fn send_http2(
        &self,
        mut connection: Http2,
        request: Request<RequestBody>,
        in_flight: Rc<()>,
    ) -> Result<Response, (hyper::Error, Option<Request<RequestBody>>)> {
        match connection.try_send_request(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                Ok(Response { head, rest: Rest::Body(Download::Http2 { body, in_flight }) })
            }
            Err(mut error) => {
                let unsent = error.take_message();
                Err((error.into_error(), unsent))
            }
        }
    }

    /// The request as HTTP/2 wants it: the host is the target's authority.
    fn over_http2(&self, mut parts: Parts, body: RequestBody, picked: &Picked) -> Request<RequestBody> {
        parts.version = Version::HTTP_2;
        let host = parts.headers.remove(HOST).filter(|host| !host.is_empty());
        let host = host.map_or_else(
            || Bytes::copy_from_slice(picked.active.endpoint().config.name.as_bytes()),
            |host| Bytes::copy_from_slice(host.as_bytes()),
        );
        if let Ok(authority) = http::uri::Authority::from_maybe_shared(host) {
            let mut uri = std::mem::take(&mut parts.uri).into_parts();
            let is_secure = self.local.upstream.tls.is_some();
            uri.scheme = Some(if is_secure { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
            uri.authority = Some(authority);
            parts.uri = Uri::from_parts(uri).unwrap_or_default();
        }
        Request::from_parts(parts, body)
    }

    fn measure(&self, picked: &Picked, head: &response::Parts, begin: Instant) {
        let stats = &picked.active.endpoint().stats;
        if head.status.is_server_error() {
            stats.failed_by(Failure::of_status(head.status.as_u16()));
        } else {
            let now = Instant::now();
            stats.succeeded_at(now.duration_since(begin), clock::millis32_at(now));
        }
        if self.local.upstream.config.load.orca {
            for report in head.headers.get_all(&orca::HEADER) {
                if let Some((cpu, memory)) = orca::parse(report.as_bytes()) {
                    stats.report_load(cpu, memory);
                }
            }
        }
    }
}

/// RFC 9110, section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

/// A request that came back unsent, in the form in which it was received.
fn restored(mut parts: Parts) -> Parts {
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(HOST, host);
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        uri.scheme = None;
        uri.authority = None;
        parts.uri = Uri::from_parts(uri).unwrap_or_default();
    }
    parts
}

fn interim_bytes(status: http::StatusCode, headers: &HeaderMap) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_slice(format!("HTTP/1.1 {} {}\r\n", status.as_u16(), reason(status)).as_bytes());
    for (name, value) in headers.iter().filter(|(name, _)| !belongs_to_the_proxy(name)) {
        message::put_line(&mut bytes, name.as_str(), value.as_bytes());
    }
    bytes.put_slice(b"\r\n");
    bytes
}

fn reason(status: http::StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Interim")
}
