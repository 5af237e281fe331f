//! A client's connection that speaks HTTP/2, by way of hyper.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use tokio::time::{Instant, Sleep};

use super::transport::Transport;
use super::{Answer, Body, Connection};
use crate::body::Client;
use crate::config::HttpListener;
use crate::message::Link;
use crate::worker::{LocalExecutor, Registration};

/// How long a connection without requests may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

pub async fn serve(
    connection: &Rc<Connection>,
    config: &HttpListener,
    link: Link,
    registration: &Registration,
) -> hyper::Result<()> {
    let transport = Transport::new(link, config.idle_timeout);
    let service = service_fn(|request| handle(Rc::clone(connection), request));
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let mut driver = pin!(builder.serve_connection(transport, service));
    let mut idle = Idle { connection, limit: config.idle_timeout, timer: None };
    let mut farewell = None;
    std::future::poll_fn(|context| {
        let result = driver.as_mut().poll(context);
        if result.is_ready() || !(registration.poll_draining(context) || idle.is_over(context)) {
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
            if !connection.is_busy() {
                return Poll::Ready(Ok(()));
            }
            wait.as_mut().reset(Instant::now() + FAREWELL);
        }
        Poll::Pending
    })
    .await
}

async fn handle(connection: Rc<Connection>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let Answer { head, content, record } = super::handle(&connection, parts, Client::Http2(body)).await;
    Ok(Response::from_parts(head, content.into_body(record)))
}

/// Tells when there has been no request for too long. The timer is not moved for each request: it
/// looks when it fires.
struct Idle<'a> {
    connection: &'a Connection,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle<'_> {
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let since = if self.connection.is_busy() { Instant::now() } else { self.connection.idle_since.get().into() };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(since + self.limit)));
        while timer.as_mut().poll(context).is_ready() {
            let until = since + self.limit;
            if until <= Instant::now() {
                return true;
            }
            timer.as_mut().reset(until);
        }
        false
    }
}
