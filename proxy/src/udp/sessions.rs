//! The sessions of one listener on one worker. The kernel hashes by addresses and ports, so a
//! client's datagrams all arrive at the same worker (`SO_REUSEPORT`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::complaints::Complaints;
use super::session::{ANSWER, Link, Session, connect, receive};
use super::socket::{Path, Socket};
use crate::endpoint::Active;
use crate::error::is_ours;
use crate::plugin::{Choice, Client};
use crate::telemetry::{Entry, ListenerMetrics, Subject};
use crate::upstream::NoEndpoint;

/// What sessions ask of the configuration of the moment. A worker answers; in tests a list does.
pub trait Terms: 'static {
    /// None when the listener is gone.
    fn limits(&self) -> Option<Limits>;
    /// Whoever is chosen counts as tried.
    /// Tells the time spent in plugins, too.
    fn pick(&self, client: &Arc<Client>, choice: &mut Choice) -> (Duration, Result<Active, NoEndpoint>);
    /// A session has ended.
    fn record(&self, entry: Entry);
}

pub struct Limits {
    pub idle_timeout: Duration,
    pub upstream: Arc<str>,
    /// Endpoints tried after the first one.
    pub retries: u32,
    /// One for each session.
    pub permits: Arc<Semaphore>,
    pub metrics: Arc<ListenerMetrics>,
}

pub struct Sessions<T> {
    terms: T,
    socket: Socket,
    open: RefCell<HashMap<Path, Rc<Session>>>,
    /// Room for one datagram, whichever way it goes. Never borrowed across an await.
    buffer: RefCell<Box<[u8]>>,
    complaints: Complaints,
}

/// The longest datagram there can be, and some more.
const BUFFER: usize = 64 << 10;
/// Datagrams taken in a row before others get their turn.
const BATCH: usize = 64;

impl<T: Terms> Sessions<T> {
    pub fn new(terms: T, socket: UdpSocket) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            terms,
            socket: Socket::new(socket)?,
            open: RefCell::default(),
            buffer: RefCell::new(vec![0; BUFFER].into_boxed_slice()),
            complaints: Complaints::default(),
        }))
    }

    /// Until the listener is gone.
    pub async fn serve(self: &Rc<Self>) -> io::Result<()> {
        let mut next_sweep = pin!(sleep(Duration::ZERO));
        while let Some(limits) = self.terms.limits() {
            tokio::select! {
                biased;
                () = &mut next_sweep => {
                    self.sweep(limits.idle_timeout);
                    let pause = (limits.idle_timeout / 4).clamp(Duration::from_millis(20), Duration::from_secs(5));
                    next_sweep.as_mut().reset(Instant::now() + pause);
                }
                ready = self.socket.readable() => {
                    ready?;
                    self.take_batch();
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    /// Takes nothing more from clients, but passes answers on that are still owed, for as long as
    /// clients usually wait for one.
    pub async fn finish(self: &Rc<Self>) {
        const LIMIT: Duration = Duration::from_secs(5);
        let end = Instant::now() + LIMIT;
        loop {
            self.close_where(|session| !session.waiting.get());
            if self.open.borrow().is_empty() || Instant::now() >= end {
                return self.close_where(|_| true);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn take_batch(self: &Rc<Self>) {
        for _ in 0..BATCH {
            let mut buffer = self.buffer.borrow_mut();
            match self.socket.try_receive(&mut buffer) {
                Ok((length, path)) => self.pass_on(path, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It concerns one datagram; a socket that is really broken does not exist for UDP.
                Err(error) => return self.complaints.tell(&format_args!("a datagram cannot be received: {error}")),
            }
        }
    }

    /// THE life of a datagram: find or open its session, send it, and where nobody is there any
    /// more, send it to somebody else.
    fn pass_on(self: &Rc<Self>, path: Path, bytes: &[u8]) {
        let known = self.open.borrow().get(&path).cloned();
        let Some(session) = known.or_else(|| self.open(path)) else { return };
        if let Err(error) = session.ask(bytes) {
            self.fail_over(&session, &error);
        }
    }

    /// A datagram of a new client is dropped where there is no room for its session: a session
    /// that is in use is worth more than a sender whose address may be forged. Idle ones make
    /// room by and by.
    fn open(self: &Rc<Self>, path: Path) -> Option<Rc<Session>> {
        let limits = self.terms.limits()?;
        let Ok(permit) = limits.permits.try_acquire_owned() else {
            limits.metrics.refused.fetch_add(1, Relaxed);
            self.complaints.tell(&"there are as many sessions as there may be");
            return None;
        };
        let session = Session::new(path, limits.upstream, limits.metrics.open(), permit);
        self.open.borrow_mut().insert(path, Rc::clone(&session));
        self.link(&session, limits.retries).then_some(session)
    }

    /// The endpoint is not there, or not any more.
    fn fail_over(self: &Rc<Self>, session: &Rc<Session>, error: &io::Error) {
        let Some(link) = session.unlink() else { return };
        let endpoint = link.active.endpoint();
        endpoint.stats.failed();
        tracing::debug!(client = %session.path.client, endpoint = endpoint.config.name, %error, "endpoint is unreachable");
        drop(link);
        if let Some(limits) = self.terms.limits() {
            self.link(session, limits.retries);
        }
    }

    /// Lets the balancer choose until a way is found; otherwise the session ends. The client's
    /// next datagram then begins a new one, with everybody untried.
    fn link(self: &Rc<Self>, session: &Rc<Session>, retries: u32) -> bool {
        let mut choice = session.choice.borrow_mut();
        while choice.attempts() <= retries {
            let (took, picked) = self.terms.pick(&session.client, &mut choice);
            session.plugin_time.set(session.plugin_time.get() + took);
            let active = match picked {
                Ok(active) => active,
                Err(reason) => {
                    self.complaints.tell(&reason);
                    break;
                }
            };
            match connect(active.endpoint().config.address) {
                Ok(socket) => {
                    session.use_link(self.start(session, socket, active));
                    return true;
                }
                Err(error) => {
                    if !is_ours(&error) {
                        active.endpoint().stats.failed();
                    }
                    self.complaints.tell(&format_args!("{}: {error}", active.endpoint().config.name));
                }
            }
        }
        session.open.metrics().unserved.fetch_add(1, Relaxed);
        self.close(session, Some("no endpoint answers"));
        false
    }

    fn start(self: &Rc<Self>, session: &Rc<Session>, socket: UdpSocket, active: Active) -> Link {
        let socket = Rc::new(socket);
        let answers = Rc::clone(self).answers(Rc::clone(session), Rc::clone(&socket));
        let reader = tokio::task::spawn_local(answers).abort_handle();
        Link { socket, active, proven: false.into(), reader }
    }

    /// Passes the endpoint's answers to the client, until the link is taken away.
    async fn answers(self: Rc<Self>, session: Rc<Session>, socket: Rc<UdpSocket>) {
        loop {
            let passed = socket.async_io(ANSWER, || {
                let mut buffer = self.buffer.borrow_mut();
                let length = receive(&socket, &mut buffer)?;
                session.answered(length);
                if let Err(error) = self.socket.send(&buffer[..length], &session.path) {
                    self.complaints.tell(&format_args!("an answer cannot be sent: {error}"));
                }
                Ok(())
            });
            if let Err(error) = passed.await {
                return self.fail_over(&session, &error);
            }
        }
    }

    /// One walk now and then for all sessions, in place of a timer for each.
    fn sweep(&self, idle_timeout: Duration) {
        let now = Instant::now();
        self.close_where(|session| now.duration_since(session.moved.get()) >= idle_timeout);
    }

    fn close_where(&self, ends: impl Fn(&Session) -> bool) {
        let ended: Vec<_> = self.open.borrow().values().filter(|session| ends(session)).cloned().collect();
        for session in ended {
            self.close(&session, None);
        }
    }

    /// The permit is free, and the endpoint less busy, once the reader has let go of the session.
    fn close(&self, session: &Rc<Session>, error: Option<&'static str>) {
        self.open.borrow_mut().remove(&session.path);
        let link = session.unlink();
        let (received, sent) = (session.received.get(), session.sent.get());
        session.open.metrics().carried(received, sent);
        self.terms.record(Entry {
            at: SystemTime::now(),
            client: session.path.client,
            protocol: "udp",
            subject: Subject::Connection { listener: self.socket.address, sni: None },
            upstream: Some(Arc::clone(&session.upstream)),
            endpoint: link.as_ref().map(|link| Arc::clone(link.active.endpoint())),
            plugin_time: session.plugin_time.get(),
            total_time: session.begin.elapsed(),
            received,
            sent,
            error: error.map(Cow::Borrowed),
        });
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
