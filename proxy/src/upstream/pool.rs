//! One worker's connections to one endpoint: idle HTTP/1.1 connections, newest first, and HTTP/2
//! connections that many requests share.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::Upstream;
use crate::body::RequestBody;
use crate::config::{UpstreamProtocol, split_host_port};
use crate::endpoint::Endpoint;
use crate::message::{Link, Stream};
use crate::tls;
use crate::worker::LocalExecutor;

type Http1 = Box<Link>;
pub type Http2 = http2::SendRequest<RequestBody>;

#[derive(Default)]
pub struct Pool {
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Shared>>,
}

struct Idle {
    connection: Http1,
    since: Instant,
}

struct Shared {
    connection: Http2,
    /// Requests in flight, counted by the clones of this.
    in_flight: Rc<()>,
    used: Instant,
}

/// What a connection is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Request,
    /// Only HTTP/1.1 has upgrades.
    Upgrade,
}

/// A connection that may take one request now.
pub enum Lease {
    Http1 { connection: Http1, reused: bool },
    Http2 { connection: Http2, in_flight: Rc<()>, reused: bool },
}

impl Pool {
    /// RFC 9113 recommends that endpoints allow at least 100 streams.
    const STREAMS_PER_CONNECTION: usize = 100;
    /// While requests are in flight.
    const PING_INTERVAL: Duration = Duration::from_secs(10);
    const PING_TIMEOUT: Duration = Duration::from_secs(10);

    /// An idle connection, or none.
    pub fn checkout(&self, purpose: Purpose) -> Option<Lease> {
        if purpose == Purpose::Request
            && let Some(lease) = self.checkout_shared()
        {
            return Some(lease);
        }
        let mut idle = self.idle.borrow_mut();
        loop {
            let mut connection = idle.pop()?.connection;
            if connection.is_quiet() {
                return Some(Lease::Http1 { connection, reused: true });
            }
        }
    }

    fn checkout_shared(&self) -> Option<Lease> {
        let mut shared = self.shared.borrow_mut();
        if shared.is_empty() {
            return None;
        }
        shared.retain(|shared| !shared.connection.is_closed());
        let found = shared.iter_mut().find(|shared| shared.has_room())?;
        found.used = Instant::now();
        let (connection, in_flight) = (found.connection.clone(), Rc::clone(&found.in_flight));
        Some(Lease::Http2 { connection, in_flight, reused: true })
    }

    /// A new connection, within the upstream's connect timeout, TLS included.
    pub async fn connect(&self, endpoint: &Endpoint, upstream: &Upstream, purpose: Purpose) -> io::Result<Lease> {
        let limit = upstream.config.connect_timeout;
        match tokio::time::timeout(limit, self.handshake(endpoint, upstream, purpose)).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"))),
        }
    }

    async fn handshake(&self, endpoint: &Endpoint, upstream: &Upstream, purpose: Purpose) -> io::Result<Lease> {
        let stream = TcpStream::connect(endpoint.config.address).await?;
        stream.set_nodelay(true)?;
        let plain_http2 = upstream.config.protocol == UpstreamProtocol::Http2;
        let Some(connector) = &upstream.tls else {
            let stream = Stream::Plain(stream);
            return if plain_http2 { self.http2(stream).await } else { Ok(Lease::http1(stream)) };
        };
        let host = split_host_port(&endpoint.config.name).map_or("", |(host, _)| host);
        let stream = connector.connect(host, stream, purpose == Purpose::Upgrade).await?;
        let speaks_http2 = tls::endpoint_speaks_http2(&stream);
        let stream = Stream::Tls(Box::new(stream.into()));
        if speaks_http2 {
            self.http2(stream).await
        } else if plain_http2 {
            Err(io::Error::other("the endpoint does not offer HTTP/2 (ALPN)"))
        } else {
            Ok(Lease::http1(stream))
        }
    }

    async fn http2(&self, stream: Stream) -> io::Result<Lease> {
        let handshake = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            // A host that vanished without a word is noticed, and not by every request anew.
            .timer(TokioTimer::new())
            .keep_alive_interval(Self::PING_INTERVAL)
            .keep_alive_timeout(Self::PING_TIMEOUT)
            .handshake(TokioIo::new(stream));
        let (connection, driver) = handshake.await.map_err(io::Error::other)?;
        tokio::task::spawn_local(driver);
        let in_flight = Rc::new(());
        let shared = Shared { connection: connection.clone(), in_flight: Rc::clone(&in_flight), used: Instant::now() };
        self.shared.borrow_mut().push(shared);
        Ok(Lease::Http2 { connection, in_flight, reused: false })
    }

    /// After the last byte of the response.
    pub fn give_back(&self, mut connection: Http1, max_idle: usize) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < max_idle && connection.is_quiet() {
            connection.shrink(Link::LEAST_ROOM);
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    pub(super) fn sweep(&self, keep_alive: Duration) {
        self.idle.borrow_mut().retain_mut(|idle| idle.connection.is_quiet() && idle.since.elapsed() < keep_alive);
        let in_use = |shared: &Shared| Rc::strong_count(&shared.in_flight) > 1 || shared.used.elapsed() < keep_alive;
        self.shared.borrow_mut().retain(|shared| !shared.connection.is_closed() && in_use(shared));
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        // One of the counts is our own.
        Rc::strong_count(&self.in_flight) <= Pool::STREAMS_PER_CONNECTION
    }
}

impl Lease {
    fn http1(stream: Stream) -> Self {
        Self::Http1 { connection: Box::new(Link::new(stream)), reused: false }
    }
}
