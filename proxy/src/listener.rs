//! Sockets: bound off the workers, all or nothing; then one accept loop for each worker and
//! listener. The kernel spreads connections over the workers (`SO_REUSEPORT`).

use std::io;
use std::net::SocketAddr;
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
    Ok(sockets)
}

pub fn local_address(socket: &SocketKind) -> io::Result<SocketAddr> {
    match socket {
        SocketKind::Tcp(socket) => socket.local_addr(),
        SocketKind::Udp(socket) => socket.local_addr(),
    }
}

fn open(address: SocketAddr, udp: bool, shared: bool) -> io::Result<SocketKind> {
    const BACKLOG: i32 = 4096;
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
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(SocketKind::Tcp(socket.into()))
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
    tokio::select! {
        biased;
        _ = ended => {}
        result = accept_loop(worker, slot, &socket) => return result,
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

async fn accept_loop(worker: &Rc<Worker>, slot: usize, socket: &TcpListener) -> io::Result<()> {
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
        let Some((_, listener)) = current(worker, slot) else { return Ok(()) };
        let Ok(permit) = Arc::clone(&listener.shared.permits).acquire_owned().await else { return Ok(()) };
        // Once more: another state may have been installed while there was no permit.
        let Some((view, listener)) = current(worker, slot) else { return Ok(()) };
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
