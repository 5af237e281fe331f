//! Sending a request to an endpoint: pick, connect, send, and the next pick when that fails for a
//! request that may be repeated.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::header::{HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, Uri, Version};
use hyper::body::{Body, Incoming};
use tokio::time::timeout_at;

use super::Connection;
use crate::body::RequestBody;
use crate::endpoint::Endpoint;
use crate::error::Fault;
use crate::plugin::{Choice, Exchange, Protocol};
use crate::upstream::{Lease, Local, Picked, Purpose, Return, SendFailure, orca};

/// The head of a response, and what must be kept until its last byte.
pub struct Sent {
    pub response: Response<Incoming>,
    pub picked: Picked,
    pub lease: Return,
}

/// One request's way to an endpoint.
pub struct Forward<'a> {
    pub connection: &'a Rc<Connection>,
    pub local: &'a Local,
    pub upgrade: Option<&'a HeaderValue>,
    /// Keep the head of the request for the filters on the response.
    pub keep_head: bool,
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
            let work = self.try_endpoint(&mut exchange, &picked, body);
            // An endpoint that waits for the rest of the body is not the one that is late.
            let late = || if upload.is_some_and(|body| !body.has_ended()) { Fault::SlowBody } else { Fault::Timeout };
            let timeout = || Failed { fault: late(), body: None, stale: false };
            match timeout_at(self.deadline.into(), work).await.unwrap_or_else(|_| Err(timeout())) {
                Ok((response, lease)) => {
                    self.measure(&picked, &response, begin);
                    return (exchange, Ok(Sent { response, picked, lease }));
                }
                Err(failed) => {
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
    ) -> Result<(Response<Incoming>, Return), Failed> {
        let purpose = if self.upgrade.is_some() { Purpose::Upgrade } else { Purpose::Request };
        if let Some(lease) = picked.pool.checkout(purpose).await {
            match self.send_once(exchange, picked, lease, body).await {
                Err(Failed { body: Some(again), stale: true, .. }) => body = again,
                result => return result,
            }
        }
        match picked.pool.connect(picked.active.endpoint(), &self.local.upstream, purpose).await {
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
    ) -> Result<(Response<Incoming>, Return), Failed> {
        let Some(mut parts) = exchange.request.take() else {
            return Err(Failed { fault: Fault::BadRequest("no request"), body: None, stale: false });
        };
        let repeatable = body.is_none() && is_idempotent(&parts.method) && self.upgrade.is_none();
        // Headers are copied only for whoever may need them again.
        let copy = (repeatable || self.keep_head).then(|| parts.clone());
        name_endpoint(&mut parts, picked.active.endpoint());
        let request = self.outgoing(parts, body, lease.is_http2());
        let sent = self.with_interim(lease.send(request)).await;
        exchange.request = copy;
        match sent {
            Ok(sent) => Ok(sent),
            Err(SendFailure { error, unsent: Some(request), reused }) => {
                let (parts, body) = request.into_parts();
                exchange.request.get_or_insert_with(|| restored(parts));
                Err(Failed { fault: Fault::BrokenOff(error), body: Some(body), stale: reused })
            }
            Err(SendFailure { error, unsent: None, .. }) if error.is_user() => {
                Err(Failed { fault: Fault::BrokenBody, body: None, stale: false })
            }
            Err(SendFailure { error, unsent: None, reused }) => {
                let body = repeatable.then(RequestBody::default);
                Err(Failed { fault: Fault::BrokenOff(error), body, stale: reused })
            }
        }
    }

    /// The request as this endpoint's protocol wants it.
    fn outgoing(&self, mut parts: Parts, body: RequestBody, http2: bool) -> Request<RequestBody> {
        if http2 {
            parts.version = Version::HTTP_2;
            if let Some(host) = parts.headers.remove(HOST)
                && let Ok(authority) =
                    http::uri::Authority::from_maybe_shared(bytes::Bytes::copy_from_slice(host.as_bytes()))
            {
                let mut uri = std::mem::take(&mut parts.uri).into_parts();
                uri.scheme = Some(if self.local.upstream.tls.is_some() {
                    http::uri::Scheme::HTTPS
                } else {
                    http::uri::Scheme::HTTP
                });
                uri.authority = Some(authority);
                parts.uri = Uri::from_parts(uri).unwrap_or_default();
            }
            return Request::from_parts(parts, body);
        }
        let interim = self.connection.client.protocol == Protocol::Http1 && parts.version == Version::HTTP_11;
        parts.version = Version::HTTP_11;
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            // hyper assumes no body for GET and the like unless it is told.
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if let Some(protocol) = self.upgrade {
            parts.headers.insert(UPGRADE, protocol.clone());
            parts.headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        let mut request = Request::from_parts(parts, body);
        if interim {
            self.pass_interim(&mut request);
        }
        request
    }

    /// 103 and other interim responses go to the client as they come; 100 is hyper's own business.
    fn pass_interim(&self, request: &mut Request<RequestBody>) {
        let wire = Arc::clone(&self.connection.wire);
        hyper::ext::on_informational(request, move |response| {
            if response.status() != http::StatusCode::CONTINUE {
                wire.send_interim(&interim_bytes(response.status(), response.headers()));
            }
        });
    }

    /// While waiting for the final response, an interim one wakes this connection's task.
    async fn with_interim<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            let result = work.as_mut().poll(context);
            if result.is_pending() && self.connection.client.protocol == Protocol::Http1 {
                self.connection.wire.watch_interim(context.waker());
            }
            match result {
                Poll::Ready(done) => Poll::Ready(done),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn measure(&self, picked: &Picked, response: &Response<Incoming>, begin: Instant) {
        let stats = &picked.active.endpoint().stats;
        if response.status().is_server_error() {
            stats.failed();
        } else {
            stats.succeeded(begin.elapsed());
        }
        if self.local.upstream.config.load.orca {
            for report in response.headers().get_all(&orca::HEADER) {
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

/// HTTP/1.0 needs no Host, and HTTP/1.1 may have an empty one; endpoints want a name.
fn name_endpoint(parts: &mut Parts, endpoint: &Endpoint) {
    let is_named = parts.headers.get(HOST).is_some_and(|host| !host.is_empty());
    if !is_named && let Ok(name) = HeaderValue::from_str(&endpoint.config.name) {
        parts.headers.insert(HOST, name);
    }
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
    for name in [&TRANSFER_ENCODING, &UPGRADE, &http::header::CONNECTION] {
        parts.headers.remove(name);
    }
    parts.extensions.clear();
    parts
}

fn interim_bytes(status: http::StatusCode, headers: &http::HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("Interim");
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| !super::headers::belongs_to_the_proxy(name)) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
