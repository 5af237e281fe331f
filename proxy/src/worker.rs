//! A worker: one thread, one single-threaded runtime, its own sockets, its own instances of every
//! plugin use. A connection lives and dies here; nothing on the data path leaves the thread.

mod connections;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::config::UseIndex;
use crate::listener::{self, Socket};
use crate::plugin::{Balancer, Filter};
use crate::state::State;
use crate::telemetry::{AccessLogger, Telemetry};
use crate::upstream::Local;
pub use connections::{Connections, Handle, Registration};

/// What a worker needs to take a new state over. Made elsewhere: starting plugins may take long.
pub struct Parts {
    pub state: Arc<State>,
    /// One for each upstream.
    pub balancers: Vec<Balancer>,
    /// By position of the use; none where the use is a balancer.
    pub filters: Vec<Option<Filter>>,
    /// Sockets that the worker has not got yet.
    pub sockets: Vec<Socket>,
}

pub enum Command {
    /// Take the new state over, then answer.
    Install(Box<Parts>, oneshot::Sender<()>),
    /// Accept from these, too.
    Listen(Vec<Socket>),
    /// Accept nothing more, let what runs finish, then answer. Handed over: what waits in the
    /// sockets is for another process.
    Drain { handed_over: bool, done: oneshot::Sender<()> },
}

/// A state as one worker sees it.
pub struct View {
    pub state: Arc<State>,
    pub upstreams: Vec<Local>,
    /// Borrowed for the time of a call only, never across an await.
    pub filters: Vec<Option<RefCell<Filter>>>,
    /// Some filter wants to see bodies.
    pub has_body_filters: bool,
}

impl View {
    pub fn filter(&self, index: UseIndex) -> Option<&RefCell<Filter>> {
        self.filters.get(index)?.as_ref()
    }
}

/// How long an idle connection may still be used when it should end.
const LAST_WORD: Duration = Duration::from_secs(1);

pub struct Worker {
    pub index: usize,
    pub access: Option<AccessLogger>,
    pub telemetry: Arc<Telemetry>,
    view: RefCell<Option<Rc<View>>>,
    connections: Connections,
    /// Accept loops by listener slot; dropping the sender ends the loop.
    accepting: RefCell<HashMap<usize, Vec<oneshot::Sender<()>>>>,
    draining: Cell<bool>,
    /// Idle connections are not waited for any more.
    closing: Cell<bool>,
    handed_over: Cell<bool>,
}

impl Worker {
    pub fn new(index: usize, access: Option<AccessLogger>, telemetry: Arc<Telemetry>) -> Rc<Self> {
        Rc::new(Self {
            index,
            access,
            telemetry,
            view: RefCell::new(None),
            connections: Connections::default(),
            accepting: RefCell::default(),
            draining: Cell::new(false),
            closing: Cell::new(false),
            handed_over: Cell::new(false),
        })
    }

    /// The state of the moment. Whoever asks keeps it until it has finished.
    pub fn view(&self) -> Option<Rc<View>> {
        self.view.borrow().clone()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Its sockets are another process's.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.get()
    }

    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Serves until the commands end.
    pub async fn run(self: Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        tokio::task::spawn_local(Rc::clone(&self).housekeep());
        while let Some(command) = commands.recv().await {
            match command {
                Command::Install(parts, done) => {
                    self.install(*parts);
                    let _ = done.send(());
                }
                Command::Listen(sockets) => self.listen(sockets),
                Command::Drain { handed_over, done } => {
                    self.handed_over.set(handed_over);
                    self.drain();
                    let worker = Rc::clone(&self);
                    tokio::task::spawn_local(async move {
                        worker.connections.empty().await;
                        if let Some(access) = &worker.access {
                            access.flush();
                        }
                        let _ = done.send(());
                    });
                }
            }
        }
    }

    fn install(self: &Rc<Self>, parts: Parts) {
        let state = parts.state;
        let pairs = state.upstreams.iter().zip(parts.balancers);
        let upstreams: Vec<Local> =
            pairs.map(|(upstream, balancer)| Local::new(Arc::clone(upstream), balancer)).collect();
        let before = self.view();
        if let Some(before) = &before {
            for local in &upstreams {
                let same = |old: &&Local| old.upstream.config.name == local.upstream.config.name;
                if let Some(old) = before.upstreams.iter().find(same) {
                    local.inherit(old);
                }
            }
        }
        let has_body_filters = parts.filters.iter().flatten().any(Filter::sees_bodies);
        let filters = parts.filters.into_iter().map(|filter| filter.map(RefCell::new)).collect();
        let view = Rc::new(View { state, upstreams, filters, has_body_filters });
        self.view.replace(Some(Rc::clone(&view)));
        self.follow_listeners(&view, before.as_ref(), parts.sockets);
    }

    /// Ends the accept loops of listeners that are gone, begins those of new ones.
    fn follow_listeners(self: &Rc<Self>, view: &View, before: Option<&Rc<View>>, sockets: Vec<Socket>) {
        self.accepting.borrow_mut().retain(|slot, _| view.state.listener(*slot).is_some());
        let gone = self.connections.drain(before, |slot| view.state.listener(slot).is_none());
        if !gone.is_empty() {
            self.after_last_word(move || gone.iter().for_each(|handle| handle.close_idle()));
        }
        self.listen(sockets);
    }

    fn listen(self: &Rc<Self>, sockets: Vec<Socket>) {
        let mut accepting = self.accepting.borrow_mut();
        for socket in sockets {
            let (end, ended) = oneshot::channel();
            accepting.entry(socket.slot).or_default().push(end);
            tokio::task::spawn_local(listener::serve(Rc::clone(self), socket, ended));
        }
    }

    fn drain(self: &Rc<Self>) {
        self.draining.set(true);
        self.accepting.borrow_mut().clear();
        self.connections.drain(None, |_| true);
        let worker = Rc::clone(self);
        self.after_last_word(move || {
            worker.closing.set(true);
            worker.connections.close_idle();
        });
    }

    /// A client that has a connection in use may be about to send on it: closed at that moment, it
    /// would lose a request. It hears with its next answer that it should go; one that stays
    /// silent is closed.
    fn after_last_word(&self, close: impl FnOnce() + 'static) {
        let limit = self.view().map_or(Duration::ZERO, |view| view.state.config.drain_timeout);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(LAST_WORD.min(limit / 4)).await;
            close();
        });
    }

    async fn housekeep(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0_u32.. {
            ticks.tick().await;
            if let Some(access) = &self.access {
                access.flush();
            }
            if tick % 10 == 0
                && let Some(view) = self.view()
            {
                view.upstreams.iter().for_each(Local::sweep);
            }
        }
    }
}

/// Spawns hyper's tasks on the worker's own runtime.
#[derive(Debug, Clone, Copy)]
pub struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
