//! Sockets: bound off the workers, all or nothing; then one accept loop for each worker and
//! listener. The kernel spreads connections over the workers (`SO_REUSEPORT`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::http::Accepted;
use crate::message::Stream;
use crate::plugin::{Client, Protocol};
use crate::state::{Listener, Running};
use crate::worker::{Connections, View, Worker};
use crate::{http, tcp, tls, udp};

/// One worker's socket of a listener.
pub struct Socket {
    pub slot: usize,
    pub kind: SocketKind,
}

pub enum SocketKind {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
}

impl SocketKind {
    pub fn is_udp(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// The same socket once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Udp(socket) => Self::Udp(socket.try_clone()?),
        })
    }
}

impl AsFd for SocketKind {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }
}

/// Binds `count` sockets to the same address. With port 0 the first one gets a port, and the
/// others the same. `probe`: fail when another process listens there (which `SO_REUSEPORT` alone
/// would hide).
pub fn bind(address: SocketAddr, udp: bool, count: usize, probe: bool) -> io::Result<Vec<SocketKind>> {
    if probe && address.port() != 0 {
        drop(open(address, udp, false)?);
    }
    let mut sockets = vec![open(address, udp, true)?];
    let bound = local_address(&sockets[0])?;
    while sockets.len() < count {
        sockets.push(open(bound, udp, true)?);
    }
    sockets.iter().try_for_each(listen)?;
    Ok(sockets)
}

/// Like [`bind`], for those who will be [adopted](adopt): a client is still refused.
pub fn reserve(address: SocketAddr, udp: bool, count: usize) -> io::Result<Vec<SocketKind>> {
    drop(open(address, udp, false)?);
    (0..count).map(|_| open(address, udp, true)).collect()
}

/// Makes sockets that were bound elsewhere ours: at least `count`, where more can be had. All of
/// them must be accepted from: the kernel goes on putting connections into each one's queue.
pub fn adopt(mut sockets: Vec<SocketKind>, count: usize) -> io::Result<Vec<SocketKind>> {
    for socket in &sockets {
        match socket {
            SocketKind::Tcp(tcp) => {
                tcp.set_nonblocking(true)?;
                socket2::SockRef::from(tcp).set_tcp_nodelay(true)?;
            }
            SocketKind::Udp(udp) => udp.set_nonblocking(true)?,
        }
        listen(socket)?;
    }
    while let Some(first) = sockets.first().filter(|_| sockets.len() < count) {
        match another(first) {
            Some(another) => sockets.push(another),
            None => break,
        }
    }
    Ok(sockets)
}

/// One more socket of the same address. Where it cannot be bound (the others do not share their
/// port, or belong to root) workers share one: for TCP that costs wakes in vain, for UDP it would
/// tear sessions apart.
fn another(first: &SocketKind) -> Option<SocketKind> {
    let shared = socket2::SockRef::from(first).reuse_port().unwrap_or(false);
    let bound = || {
        let socket = open(local_address(first).ok()?, first.is_udp(), true).ok()?;
        listen(&socket).ok()?;
        Some(socket)
    };
    let cloned = || if first.is_udp() { None } else { first.try_clone().ok() };
    shared.then(bound).flatten().or_else(cloned)
}

pub fn local_address(socket: &SocketKind) -> io::Result<SocketAddr> {
    match socket {
        SocketKind::Tcp(socket) => socket.local_addr(),
        SocketKind::Udp(socket) => socket.local_addr(),
    }
}

fn open(address: SocketAddr, udp: bool, shared: bool) -> io::Result<SocketKind> {
    let (kind, protocol) =
        if udp { (Type::DGRAM, socket2::Protocol::UDP) } else { (Type::STREAM, socket2::Protocol::TCP) };
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(shared)?;
    if !udp {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if udp {
        return Ok(SocketKind::Udp(socket.into()));
    }
    // Connections inherit it: one call here instead of one for each of them.
    socket.set_tcp_nodelay(true)?;
    Ok(SocketKind::Tcp(socket.into()))
}

fn listen(socket: &SocketKind) -> io::Result<()> {
    const BACKLOG: i32 = 4096;
    if socket.is_udp() { Ok(()) } else { socket2::SockRef::from(socket).listen(BACKLOG) }
}

/// Serves one listener on one worker until `ended`.
pub async fn serve(worker: Rc<Worker>, socket: Socket, mut ended: oneshot::Receiver<()>) {
    let slot = socket.slot;
    let result = match socket.kind {
        SocketKind::Tcp(listener) => accept_until(&worker, slot, listener, &mut ended).await,
        SocketKind::Udp(socket) => udp::serve(&worker, slot, socket, &mut ended).await,
    };
    if let Err(error) = result {
        tracing::error!(slot, %error, "listener ended");
    }
}

async fn accept_until(
    worker: &Rc<Worker>,
    slot: usize,
    socket: std::net::TcpListener,
    ended: &mut oneshot::Receiver<()>,
) -> io::Result<()> {
    let socket = TcpListener::from_std(socket)?;
    let mut waiting = None;
    tokio::select! {
        biased;
        _ = ended => {}
        result = accept_loop(worker, slot, &socket, &mut waiting) => return result,
    }
    if let Some(waiting) = waiting {
        tokio::task::spawn_local(waiting.start_last(Rc::clone(worker)));
    }
    if worker.is_handed_over() {
        return Ok(());
    }
    // Whoever is in the queue has connected in good faith.
    let queued = || std::future::poll_fn(|context| Poll::Ready(socket.poll_accept(context)));
    while let Poll::Ready(Ok((stream, peer))) = queued().await {
        let Some((view, listener)) = current(worker, slot) else { break };
        let Ok(permit) = Arc::clone(&listener.shared.permits).try_acquire_owned() else { break };
        start(worker, view, listener, stream, peer, permit);
    }
    Ok(())
}

/// View and listener of one state: an upstream's index means nothing in another one.
fn current(worker: &Worker, slot: usize) -> Option<(Rc<View>, Arc<Listener>)> {
    let view = worker.view()?;
    let listener = view.state.listener(slot).cloned()?;
    Some((view, listener))
}

/// A connection that was accepted when there were as many as there may be.
struct Waiting {
    view: Rc<View>,
    listener: Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
}

impl Waiting {
    /// Nobody else can accept it again. It counts as open, so that the worker does not end before.
    async fn start_last(self, worker: Rc<Worker>) {
        let registration = Connections::register(&worker, self.listener.slot);
        let permits = Arc::clone(&self.listener.shared.permits);
        if let Ok(permit) = permits.acquire_owned().await {
            start(&worker, self.view, self.listener, self.stream, self.peer, permit);
            // Its own registration is made when its task begins, which it does before this.
            tokio::task::yield_now().await;
        }
        drop(registration);
    }
}

/// `waiting`: what it holds when it is broken off.
async fn accept_loop(
    worker: &Rc<Worker>,
    slot: usize,
    socket: &TcpListener,
    waiting: &mut Option<Waiting>,
) -> io::Result<()> {
    let mut pause = Duration::ZERO;
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // One bad accept (no file descriptor left, a client that is gone) ends nothing.
                pause = (pause * 2).clamp(Duration::from_millis(1), Duration::from_secs(1));
                tracing::warn!(slot, %error, "accept failed");
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        pause = Duration::ZERO;
        let Some((view, listener)) = current(worker, slot) else { return Ok(()) };
        let permits = Arc::clone(&listener.shared.permits);
        *waiting = Some(Waiting { view, listener, stream, peer });
        let Ok(permit) = permits.acquire_owned().await else { return Ok(()) };
        let Some(Waiting { view, listener, stream, peer }) = waiting.take() else { return Ok(()) };
        // Another state may have been installed while there was no permit.
        let (view, listener) = current(worker, slot).unwrap_or((view, listener));
        start(worker, view, listener, stream, peer, permit);
    }
}

/// The life of a connection is a task. One for each protocol: a task takes the room of the largest
/// thing that it may become, and what HTTP needs is four times as much as bytes that pass through.
fn start(
    worker: &Rc<Worker>,
    view: Rc<View>,
    listener: Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let worker = Rc::clone(worker);
    match &listener.service {
        // Each request takes the view of its own moment.
        // In a box: tokio moves a task's future several times, and this one is large.
        Running::Http(_) => {
            drop(tokio::task::spawn_local(Box::pin(http_connection(worker, listener, stream, peer, permit))));
        }
        Running::Tcp(_) => {
            drop(tokio::task::spawn_local(tcp_connection(worker, view, listener, stream, peer, permit)));
        }
        Running::Udp(_) => {}
    }
}

/// TLS is done here, in the connection's own task.
async fn http_connection(
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let Running::Http(running) = &listener.service else { return };
    let registration = Connections::register(&worker, listener.slot);
    let open = listener.shared.metrics.open();
    match &running.tls {
        None => {
            let client = Client::new(peer, Protocol::Http1, false, None);
            let accepted = Accepted { stream: Stream::Plain(stream), client, http2: None, permit };
            http::serve(&worker, &listener, accepted, &registration).await;
        }
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                let client = Client::new(peer, Protocol::Http1, true, tls::server_name(&stream));
                let http2 = Some(tls::speaks_http2(&stream));
                let stream = Stream::Tls(Box::new(stream.into()));
                http::serve(&worker, &listener, Accepted { stream, client, http2, permit }, &registration).await;
            }
            Err(error) => {
                open.metrics().tls_failures.fetch_add(1, Relaxed);
                tracing::debug!(%peer, %error, "TLS handshake failed");
            }
        },
    }
}

async fn tcp_connection(
    worker: Rc<Worker>,
    view: Rc<View>,
    listener: Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
    _permit: OwnedSemaphorePermit,
) {
    let Running::Tcp(config) = &listener.service else { return };
    let _registration = Connections::register(&worker, listener.slot);
    let _open = listener.shared.metrics.open();
    tcp::serve(&worker, view, &listener, config, stream, peer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_do_not_wait_to_fill_a_segment() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), false, 1, true).unwrap();
        let [SocketKind::Tcp(socket)] = <[_; 1]>::try_from(sockets).ok().unwrap() else { panic!("no TCP socket") };
        let socket = TcpListener::from_std(socket).unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap());
        let (_client, accepted) = tokio::join!(client, socket.accept());
        assert!(accepted.unwrap().0.nodelay().unwrap());
    }
}
