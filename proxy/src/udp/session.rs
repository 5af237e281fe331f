//! One client's datagrams to one endpoint and back.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::socket::Path;
use crate::endpoint::Active;
use crate::plugin::{Choice, Client, Protocol};
use crate::telemetry::OpenConnection;

pub struct Session {
    pub path: Path,
    pub client: Arc<Client>,
    /// Whom the balancer has chosen since the last answer.
    pub choice: RefCell<Choice>,
    /// None once the session has ended.
    link: RefCell<Option<Link>>,
    /// The last datagram of the client, until the endpoint has answered once: for the next
    /// endpoint, should this one not be there. Longer ones are not kept; a client of UDP repeats.
    last: RefCell<Option<Vec<u8>>>,
    /// When the last datagram passed.
    pub moved: Cell<Instant>,
    /// When the last one of the client did.
    asked: Cell<Instant>,
    /// The last word was the client's.
    pub waiting: Cell<bool>,
    /// Bytes of the client.
    pub received: Cell<u64>,
    /// Bytes of the endpoints.
    pub sent: Cell<u64>,
    pub begin: Instant,
    pub upstream: Arc<str>,
    /// Spent by the balancer.
    pub plugin_time: Cell<Duration>,
    /// Counts as active in the listener's metrics.
    pub open: OpenConnection,
    _permit: OwnedSemaphorePermit,
}

/// The way to the endpoint. Whoever takes it away ends the task that reads from it.
pub struct Link {
    pub socket: Rc<UdpSocket>,
    pub active: Active,
    /// An answer has come.
    pub proven: Cell<bool>,
    pub reader: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Session {
    /// Longest datagram that is kept, in bytes: what DNS (EDNS) and QUIC begin with fits.
    const KEPT: usize = 4096;

    pub fn new(path: Path, upstream: Arc<str>, open: OpenConnection, permit: OwnedSemaphorePermit) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            path,
            client: Arc::new(Client::new(path.client, Protocol::Udp, false, None)),
            choice: RefCell::default(),
            link: RefCell::new(None),
            last: RefCell::new(None),
            moved: Cell::new(now),
            asked: Cell::new(now),
            waiting: Cell::new(false),
            received: Cell::default(),
            sent: Cell::default(),
            begin: now,
            upstream,
            plugin_time: Cell::default(),
            open,
            _permit: permit,
        })
    }

    /// The last datagram, if it is kept, goes out on the new link.
    pub fn use_link(&self, link: Link) {
        if let Some(last) = &*self.last.borrow() {
            // A refusal will be told by the socket once more.
            let _ = send(&*link.socket, last, SendFlags::empty());
        }
        self.link.replace(Some(link));
    }

    pub fn unlink(&self) -> Option<Link> {
        self.link.take()
    }

    /// Sends a datagram of the client. An error is the endpoint's (or the way's to it): others
    /// (no room, too long) cost this datagram only, as anywhere on its way.
    pub fn ask(&self, bytes: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        self.moved.set(now);
        self.asked.set(now);
        self.waiting.set(true);
        self.received.set(self.received.get() + bytes.len() as u64);
        let link = self.link.borrow();
        let Some(link) = &*link else { return Ok(()) };
        if !link.proven.get() {
            self.keep(bytes);
        }
        match send(&*link.socket, bytes, SendFlags::empty()) {
            Err(errno) if is_unreachable(errno) => {
                self.keep(bytes);
                Err(errno.into())
            }
            _ => Ok(()),
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let mut last = self.last.borrow_mut();
        if bytes.len() > Self::KEPT {
            *last = None;
            return;
        }
        let kept = last.get_or_insert_default();
        kept.clear();
        kept.extend_from_slice(bytes);
    }

    /// An answer of the endpoint has come. The first one is the proof that somebody is there: it
    /// counts as a success, and from here on all endpoints but this one are untried.
    pub fn answered(&self, length: usize) {
        self.moved.set(Instant::now());
        self.waiting.set(false);
        self.sent.set(self.sent.get() + length as u64);
        if let Some(link) = &*self.link.borrow()
            && !link.proven.replace(true)
        {
            let endpoint = link.active.endpoint();
            endpoint.stats.succeeded(self.asked.get().elapsed());
            let mut choice = Choice::default();
            choice.mark_tried(endpoint.id);
            self.choice.replace(choice);
            self.last.replace(None);
        }
    }
}

/// A socket that hears of nobody but this endpoint, and of its absence (ICMP) as an error.
pub fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::DGRAM.nonblocking().cloexec(),
        Some(socket2::Protocol::UDP),
    )?;
    socket.connect(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// There is a datagram, or an error: an ICMP message alone makes no socket readable.
pub const ANSWER: Interest = Interest::READABLE.add(Interest::ERROR);

pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(recv(socket, buffer, RecvFlags::empty())?.1)
}

/// ICMP said so, or the routing table.
fn is_unreachable(errno: Errno) -> bool {
    matches!(errno, Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NOPROTOOPT)
}
