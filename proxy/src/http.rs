//! THE life of a request: [`handle`] tells it. What comes before it is the connection's
//! ([`serve`]), what comes after the response's head is the body's, which streams past.

mod body;
mod content;
mod deadline;
mod filters;
mod forward;
mod head;
pub mod headers;
mod receive;
mod record;
mod transport;
mod upgrade;
mod wire;

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use tokio::sync::OwnedSemaphorePermit;

use crate::config::{Route, RouteAction, UpstreamIndex, UseIndex};
use crate::error::Fault;
use crate::plugin::{Client, Exchange, Protocol};
use crate::route::Found;
use crate::state::{Http, Listener, Running};
use crate::upstream::orca;
use crate::worker::{Handle, LocalExecutor, Registration, View, Worker};
use body::ResponseBody;
use content::{Content, give_answer, redirect, refuse, respond};
use deadline::Timers;
use forward::{Forward, Response as EndpointResponse, Rest, Sent};
use record::Record;
pub use transport::{Stream, Transport};
use upgrade::Tunnel;
pub use wire::Wire;

type Body = ResponseBody<Box<Record>>;

/// A client's connection.
pub struct Connection {
    worker: Rc<Worker>,
    /// The listener when the connection began: kept when a reload takes the listener away.
    listener: Arc<Listener>,
    client: Arc<Client>,
    wire: Arc<Wire>,
    timers: Timers,
    handle: Rc<Handle>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a client's connection when HTTP begins on it.
pub struct Accepted<T> {
    pub stream: T,
    pub client: Client,
    /// What ALPN chose; none when the first bytes must tell.
    pub http2: Option<bool>,
    pub permit: OwnedSemaphorePermit,
}

/// Serves a client's connection until it ends.
pub async fn serve<T: Stream>(
    worker: &Rc<Worker>,
    listener: &Arc<Listener>,
    accepted: Accepted<T>,
    registration: &Registration,
) {
    let Running::Http(running) = &listener.service else { return };
    let wire = Wire::new(&running.config);
    let mut transport = Transport::new(accepted.stream, Arc::clone(&wire));
    let http2 = if let Some(chosen) = accepted.http2 {
        chosen
    } else {
        let detected = tokio::select! {
            // What is in the socket already is read before anything is closed.
            biased;
            detected = transport.detect_http2() => detected,
            () = registration.draining() => return,
        };
        let Ok(detected) = detected else {
            std::future::poll_fn(|context| {
                transport.refuse_slow(context);
                Poll::Ready(())
            })
            .await;
            return;
        };
        detected
    };
    let mut client = accepted.client;
    client.protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
    let connection = Rc::new(Connection {
        worker: Rc::clone(worker),
        listener: Arc::clone(listener),
        client: Arc::new(client),
        wire,
        timers: Timers::default(),
        handle: Rc::clone(registration.handle()),
        _permit: accepted.permit,
    });
    let result = if http2 {
        serve_http2(&connection, running, transport, registration).await
    } else {
        serve_http1(&connection, running, transport, registration).await
    };
    if let Err(error) = result {
        tracing::debug!(client = %connection.client.address, %error, "connection ended");
    }
}

async fn serve_http1<T: Stream>(
    connection: &Rc<Connection>,
    running: &Http,
    transport: Transport<T>,
    registration: &Registration,
) -> hyper::Result<()> {
    let service = service_fn(|request| handle(Rc::clone(connection), request));
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(running.config.max_header_bytes)
        .max_buf_size(running.config.max_header_bytes.max(64 << 10));
    let mut driver = pin!(builder.serve_connection(transport, service).with_upgrades());
    let mut asked = false;
    std::future::poll_fn(|context| {
        let result = driver.as_mut().poll(context);
        // A request that has begun to come is served before the connection closes.
        if result.is_ready() || asked || !registration.poll_draining(context) || connection.wire.has_begun() {
            return result;
        }
        asked = true;
        driver.as_mut().graceful_shutdown();
        driver.as_mut().poll(context)
    })
    .await
}

async fn serve_http2<T: Stream>(
    connection: &Rc<Connection>,
    running: &Http,
    transport: Transport<T>,
    registration: &Registration,
) -> hyper::Result<()> {
    transport.mark_http2();
    let service = service_fn(|request| handle(Rc::clone(connection), request));
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .max_header_list_size(u32::try_from(running.config.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let mut driver = pin!(builder.serve_connection(transport, service));
    let mut farewell = None;
    std::future::poll_fn(|context| {
        let result = driver.as_mut().poll(context);
        if result.is_ready() || !(registration.poll_draining(context) || connection.wire.is_expired()) {
            return result;
        }
        let wait = farewell.get_or_insert_with(|| {
            driver.as_mut().graceful_shutdown();
            Box::pin(tokio::time::sleep(FAREWELL))
        });
        if let Poll::Ready(done) = driver.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        // The goodbye waits for the client's word; one that says nothing is left after a while.
        while wait.as_mut().poll(context).is_ready() {
            if !connection.wire.is_busy() {
                return Poll::Ready(Ok(()));
            }
            wait.as_mut().reset(tokio::time::Instant::now() + FAREWELL);
        }
        Poll::Pending
    })
    .await
}

/// How long an HTTP/2 connection without requests may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

async fn handle(connection: Rc<Connection>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut record = Record::begin(&connection, &request);
    let for_head = request.method() == Method::HEAD;
    let (mut head, mut content) = match live(&connection, &mut record, request).await {
        Ok(lived) => lived,
        Err(fault) => {
            record.reason = Some(fault.to_string());
            refuse(&connection, &fault)
        }
    };
    record.status = head.status;
    connection.wire.seal_interim();
    content.fit(for_head, &mut head);
    Ok(Response::from_parts(head, content.into_body(&connection, record)))
}

/// THE life of a request, from its head to the head of its response.
async fn live(connection: &Rc<Connection>, record: &mut Record, mut request: Request<Incoming>) -> Lived {
    // A request ends on what it began with: later reloads do not touch it.
    let view = connection.handle.kept_view().or_else(|| connection.worker.view()).ok_or(Fault::NotServing)?;
    let listener = view.state.listener(connection.listener.slot).ok_or(Fault::NotServing)?;
    let Running::Http(http) = &listener.service else { return Err(Fault::NotServing) };

    let client_upgrade = upgrade::wanted(&mut request);
    let (mut parts, body) = request.into_parts();
    let upgrade_to = receive::receive(&mut parts, &connection.wire)?;
    let exchange = Exchange::new(Arc::clone(&connection.client), Some(parts));

    let exchange = filters::on_request(&view, &http.config.filters, exchange, record)?;
    let found = find_route(http, &exchange)?;
    let route = &http.config.routes[found.index];
    let exchange = filters::on_request(&view, &route.filters, exchange, record)?;

    let (exchange, content) = match exchange.answer {
        Some(_) => give_answer(exchange),
        None => match &route.action {
            RouteAction::Forward { upstream, .. } => {
                let upstream = exchange.upstream.unwrap_or(*upstream);
                let exchange = rewrite(http, found, exchange)?;
                let job = Job { connection, view: &view, http, route, upstream, upgrade_to, client_upgrade };
                job.forward(exchange, body, record).await?
            }
            RouteAction::Redirect { status, .. } => redirect(http, found, *status, exchange),
            RouteAction::Respond { status, headers, body } => {
                let headers = headers.iter().cloned().collect();
                respond(exchange, *status, headers, Content::Own(body.clone().into()))
            }
        },
    };

    let exchange = filters::on_response(&view, &route.filters, exchange, record)?;
    let exchange = filters::on_response(&view, &http.config.filters, exchange, record)?;
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
    client_upgrade: Option<hyper::upgrade::OnUpgrade>,
}

impl Job<'_> {
    async fn forward(
        self,
        exchange: Box<Exchange>,
        body: Incoming,
        record: &mut Record,
    ) -> Result<(Box<Exchange>, Content), Fault> {
        let local = self.view.upstreams.get(self.upstream).ok_or(Fault::NoRoute)?;
        record.upstream = Some(Arc::clone(&local.upstream));
        let mut filters = self.route.filters.iter().chain(&self.http.config.filters);
        let wants_response =
            |index: &UseIndex| self.view.filter(*index).is_some_and(|filter| filter.borrow().wants_response());
        let keep_head = filters.any(wants_response);
        let forward = Forward {
            connection: self.connection,
            local,
            upgrade: self.upgrade_to.as_ref(),
            keep_head,
            deadline: record.began() + self.route.timeout,
        };
        let (mut exchange, sent) = forward.send(exchange, record.request_body(body)).await;
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
            Rest::Tunnel(came, endpoint) => {
                let asked = self.client_upgrade.filter(|_| self.upgrade_to.is_some());
                let client = asked.ok_or(Fault::SwitchedUnasked)?;
                upgrade::announce(&mut head.headers, upgraded_to);
                Content::Tunnel(Tunnel { client, came, endpoint, active: picked.active })
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
