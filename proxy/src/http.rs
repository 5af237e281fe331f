//! THE life of a request: [`handle`] tells it. What comes before it is the connection's
//! ([`serve`]), what comes after the response's head is the body's, which streams past.

mod ask;
mod bodies;
mod body;
mod content;
mod deadline;
mod filters;
mod forward;
pub mod headers;
mod http1;
mod http2;
mod receive;
mod record;
mod transport;
mod upgrade;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::Method;
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use crate::body::{Client as RequestSource, RequestBody};
use crate::config::{Route, RouteAction, UpstreamIndex, UseIndex};
use crate::error::Fault;
use crate::message::{Link, Stream};
use crate::plugin::{Client, Exchange, Protocol};
use crate::route::Found;
use crate::state::{Http, Listener, Running};
use crate::upstream::orca;
use crate::worker::{Handle, Registration, View, Worker};
use bodies::Bodies;
use body::ResponseBody;
use content::{Content, give_answer, redirect, refuse, respond};
use deadline::Timers;
use filters::{Called, Way};
use forward::{Forward, Response as EndpointResponse, Rest, Sent};
use record::Record;
use upgrade::Tunnel;

type Body = ResponseBody<Box<Record>>;

/// A client's connection, as its requests see it.
pub struct Connection {
    worker: Rc<Worker>,
    /// The listener when the connection began: kept when a reload takes the listener away.
    listener: Arc<Listener>,
    client: Arc<Client>,
    timers: Timers,
    requests: Cell<u32>,
    idle_since: Cell<Instant>,
    /// Interim responses (RFC 9110, section 15.2) on their way to an HTTP/1.1 client.
    interim: RefCell<BytesMut>,
    handle: Rc<Handle>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a client's connection when HTTP begins on it.
pub struct Accepted {
    pub stream: Stream,
    pub client: Client,
    /// What ALPN chose; none when the first bytes must tell.
    pub http2: Option<bool>,
    pub permit: OwnedSemaphorePermit,
}

/// What a request came to.
struct Answer {
    head: http::response::Parts,
    content: Content,
    record: Box<Record>,
}

/// RFC 9113, section 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a client's connection until it ends.
pub async fn serve(worker: &Rc<Worker>, listener: &Arc<Listener>, accepted: Accepted, registration: &Registration) {
    let Running::Http(running) = &listener.service else { return };
    let Accepted { stream, mut client, http2, permit } = accepted;
    let mut link = Link::new(stream);
    let begin = Instant::now();
    let timers = Timers::default();
    let http2 = if let Some(chosen) = http2 {
        chosen
    } else {
        let detected = pin!(detect_http2(&mut link, registration));
        match timers.until(begin + running.config.header_timeout, detected).await {
            Some(Ok(detected)) => detected,
            Some(Err(_)) => return,
            // HTTP/1.1 knows what to say to one who says nothing.
            None => false,
        }
    };
    client.protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
    let connection = Rc::new(Connection {
        worker: Rc::clone(worker),
        listener: Arc::clone(listener),
        client: Arc::new(client),
        timers,
        requests: Cell::new(0),
        idle_since: Cell::new(begin),
        interim: RefCell::default(),
        handle: Rc::clone(registration.handle()),
        _permit: permit,
    });
    if http2 {
        // Large, and most connections are none: not in every connection's task.
        let served = Box::pin(http2::serve(&connection, &running.config, link, registration));
        if let Err(error) = served.await {
            tracing::debug!(client = %connection.client.address, %error, "connection ended");
        }
    } else if let Err(error) = http1::serve(&connection, &running.config, link, registration).await {
        tracing::debug!(client = %connection.client.address, %error, "connection ended");
    }
}

/// Reads until the first bytes tell HTTP/2 with prior knowledge (RFC 9113, section 3.3) from
/// HTTP/1.1.
async fn detect_http2(link: &mut Link, registration: &Registration) -> io::Result<bool> {
    while link.input.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(&link.input) {
        let is_empty = link.input.is_empty();
        let fill = poll_fn(|context| match link.poll_fill_small(context) {
            // What is in the socket already is read before anything is closed.
            Poll::Pending if is_empty && registration.poll_draining(context) => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
            polled => polled,
        });
        if fill.await? == 0 {
            break;
        }
    }
    Ok(link.input.starts_with(HTTP2_PREFACE))
}

impl Connection {
    fn begin_request(&self) {
        self.requests.update(|requests| requests + 1);
    }

    /// The last byte of its response is written, or it was given up.
    fn end_request(&self, now: Instant) {
        self.requests.update(|requests| requests.saturating_sub(1));
        self.idle_since.set(now);
    }

    /// A request is under way.
    fn is_busy(&self) -> bool {
        self.requests.get() > 0
    }

    /// An answer to what never became a request.
    fn count_refusal(&self, fault: &Fault) {
        tracing::debug!(client = %self.client.address, %fault, "no request");
        let metrics = &self.worker.telemetry.local;
        metrics.record(self.worker.index, fault.status().as_u16(), Duration::ZERO, 0, 0);
    }

    /// Goes out before anything of the final response.
    fn send_interim(&self, bytes: &[u8]) {
        const MAX_BYTES: usize = 64 << 10;
        let mut interim = self.interim.borrow_mut();
        if interim.len() + bytes.len() <= MAX_BYTES {
            interim.extend_from_slice(bytes);
        }
    }

    fn take_interim(&self, output: &mut BytesMut) {
        let mut interim = self.interim.borrow_mut();
        if !interim.is_empty() {
            output.extend_from_slice(&interim);
            interim.clear();
        }
    }
}

async fn handle(connection: &Rc<Connection>, request: Parts, body: RequestSource) -> Answer {
    let mut record = Record::begin(connection, &request);
    let for_head = request.method == Method::HEAD;
    let (mut head, mut content) = match live(connection, &mut record, request, body).await {
        Ok(lived) => lived,
        Err(fault) => {
            record.reason = Some(fault.to_string());
            refuse(connection, &fault)
        }
    };
    record.status = head.status;
    content.fit(for_head, &mut head);
    Answer { head, content, record }
}

/// THE life of a request, from its head to the head of its response.
async fn live(connection: &Rc<Connection>, record: &mut Record, mut request: Parts, body: RequestSource) -> Lived {
    // A request ends on what it began with: later reloads do not touch it.
    let view = connection.handle.kept_view().or_else(|| connection.worker.view()).ok_or(Fault::NotServing)?;
    let listener = view.state.listener(connection.listener.slot).ok_or(Fault::NotServing)?;
    let Running::Http(http) = &listener.service else { return Err(Fault::NotServing) };

    let for_head = request.method == Method::HEAD;
    let upgrade_to = receive::receive(&mut request, http1::max_target(&http.config))?;
    let exchange = Exchange::new(Arc::clone(&connection.client), Some(request));

    let exchange = match filters::on_request(&view, &http.config.filters, exchange, record)? {
        Called::All(exchange) => exchange,
        Called::Until(waiting) => waiting.settle(Way { connection, view: &view, limit: None }, record).await?,
    };
    let found = find_route(http, &exchange)?;
    let route = &http.config.routes[found.index];
    let limit = Some(route.timeout);
    let exchange = match filters::on_request(&view, &route.filters, exchange, record)? {
        Called::All(exchange) => exchange,
        Called::Until(waiting) => waiting.settle(Way { connection, view: &view, limit }, record).await?,
    };

    let mut body = record.request_body(body);
    let bodies = view.has_body_filters.then(|| Bodies {
        connection,
        view: &view,
        uses: [&http.config.filters, &route.filters],
        deadline: record.began() + route.timeout,
    });
    let exchange = match &bodies {
        Some(bodies) if exchange.answer.is_none() => {
            // Boxed: large, and for most requests there is none.
            let (exchange, seen) = Box::pin(bodies.on_request(exchange, body, record)).await?;
            body = seen;
            exchange
        }
        _ => exchange,
    };

    let (exchange, content) = match exchange.answer {
        Some(_) => give_answer(exchange),
        None => match &route.action {
            RouteAction::Forward { upstream, .. } => {
                let upstream = exchange.upstream.unwrap_or(*upstream);
                let exchange = rewrite(http, found, exchange)?;
                let job = Job { connection, view: &view, http, route, upstream, upgrade_to };
                job.forward(exchange, body, record).await?
            }
            RouteAction::Redirect { status, .. } => redirect(http, found, *status, exchange),
            RouteAction::Respond { status, headers, body } => {
                let headers = headers.iter().cloned().collect();
                respond(exchange, *status, headers, Content::Own(body.clone().into()))
            }
        },
    };

    let exchange = match filters::on_response(&view, &route.filters, exchange, record)? {
        Called::All(exchange) => exchange,
        Called::Until(waiting) => waiting.settle(Way { connection, view: &view, limit }, record).await?,
    };
    let exchange = match filters::on_response(&view, &http.config.filters, exchange, record)? {
        Called::All(exchange) => exchange,
        Called::Until(waiting) => waiting.settle(Way { connection, view: &view, limit }, record).await?,
    };
    let (exchange, content) = match &bodies {
        Some(bodies) => Box::pin(bodies.on_response(exchange, content, for_head, record)).await?,
        None => (exchange, content),
    };
    finish(exchange, content)
}

type Lived = Result<(http::response::Parts, Content), Fault>;

/// Forwarding, with all that it needs to know.
struct Job<'a> {
    connection: &'a Rc<Connection>,
    view: &'a View,
    http: &'a Http,
    route: &'a Route,
    upstream: UpstreamIndex,
    upgrade_to: Option<HeaderValue>,
}

impl Job<'_> {
    async fn forward(
        self,
        exchange: Box<Exchange>,
        body: RequestBody,
        record: &mut Record,
    ) -> Result<(Box<Exchange>, Content), Fault> {
        let local = self.view.upstreams.get(self.upstream).ok_or(Fault::NoRoute)?;
        record.upstream = Some(Arc::clone(&local.upstream));
        let mut filters = self.route.filters.iter().chain(&self.http.config.filters);
        let sees_response =
            |index: &UseIndex| self.view.filter(*index).is_some_and(|filter| filter.borrow().sees_response());
        let keep_head = filters.any(sees_response);
        let forward = Forward {
            connection: self.connection,
            local,
            upgrade: self.upgrade_to.as_ref(),
            keep_head,
            passes_interim: true,
            deadline: record.began() + self.route.timeout,
        };
        let (mut exchange, sent) = forward.send(exchange, body).await;
        record.follow(&exchange);
        let Sent { response: EndpointResponse { mut head, rest }, picked } = sent?;

        let upgraded_to = headers::strip_hop_by_hop(&mut head.headers);
        if local.upstream.config.load.orca {
            head.headers.remove(&orca::HEADER);
        }
        record.endpoint = Some(Arc::clone(picked.active.endpoint()));
        let content = match rest {
            Rest::Body(body) => {
                record.active = Some(picked.active);
                Content::Stream(body)
            }
            Rest::Tunnel(_) if self.upgrade_to.is_none() => return Err(Fault::SwitchedUnasked),
            Rest::Tunnel(endpoint) => {
                upgrade::announce(&mut head.headers, upgraded_to);
                Content::Tunnel(Tunnel { endpoint, active: picked.active })
            }
        };
        exchange.response = Some(head);
        Ok((exchange, content))
    }
}

fn find_route(http: &Http, exchange: &Exchange) -> Result<Found, Fault> {
    let parts = exchange.request.as_ref().ok_or(Fault::NoRoute)?;
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    http.router.find(host, parts).ok_or(Fault::NoRoute)
}

fn rewrite(http: &Http, found: Found, mut exchange: Box<Exchange>) -> Result<Box<Exchange>, Fault> {
    if let (Some(rewriter), Some(parts)) = (&http.rewriters[found.index], &mut exchange.request) {
        let path = rewriter.rewrite(&parts.uri, found.matched).map_err(|_| Fault::Rewrite)?;
        parts.uri = path.into();
    }
    Ok(exchange)
}

/// Adds what balancers left for the response.
fn finish(mut exchange: Box<Exchange>, content: Content) -> Lived {
    let mut head = exchange.response.take().ok_or(Fault::NotServing)?;
    for (name, value) in exchange.reply.drain(..) {
        head.headers.append(name, value);
    }
    head.version = http::Version::HTTP_11;
    Ok((head, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand connections that wait take ten thousand times this.
    #[test]
    fn a_connection_takes_little_memory() {
        let size = size_of_future(serve);
        assert!(size <= 6 << 10, "{size} bytes");
    }
}
