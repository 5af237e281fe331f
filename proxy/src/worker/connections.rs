//! The open connections of a worker, so that they can be asked to finish.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{View, Worker};

#[derive(Default)]
pub struct Connections {
    open: RefCell<HashMap<u64, Rc<Handle>>>,
    next: Cell<u64>,
    emptied: tokio::sync::Notify,
}

/// What a connection and its worker share.
pub struct Handle {
    slot: usize,
    /// No request after the one that runs, or that comes next.
    draining: Cell<bool>,
    /// Nor is one waited for.
    closing: Cell<bool>,
    /// The last state that had the connection's listener, once a newer one has not: its indices
    /// mean nothing in another one.
    kept: RefCell<Option<Rc<View>>>,
    waker: RefCell<Option<Waker>>,
}

/// A connection is registered while this lives.
pub struct Registration {
    worker: Rc<Worker>,
    id: u64,
    handle: Rc<Handle>,
}

impl Connections {
    pub fn register(worker: &Rc<Worker>, slot: usize) -> Registration {
        let connections = &worker.connections;
        let id = connections.next.replace(connections.next.get() + 1);
        let draining = Cell::new(worker.is_draining());
        let closing = Cell::new(worker.is_closing());
        let handle = Rc::new(Handle { slot, draining, closing, kept: RefCell::new(None), waker: RefCell::new(None) });
        connections.open.borrow_mut().insert(id, Rc::clone(&handle));
        Registration { worker: Rc::clone(worker), id, handle }
    }

    /// `last`: what the drained connections go on with when newer states lack their listener.
    pub(super) fn drain(&self, last: Option<&Rc<View>>, which: impl Fn(usize) -> bool) -> Vec<Rc<Handle>> {
        let drained: Vec<_> = self.open.borrow().values().filter(|handle| which(handle.slot)).cloned().collect();
        for handle in &drained {
            handle.draining.set(true);
            let mut kept = handle.kept.borrow_mut();
            *kept = kept.take().or_else(|| last.cloned());
        }
        drained
    }

    pub(super) fn close_idle(&self) {
        self.open.borrow().values().for_each(|handle| handle.close_idle());
    }

    pub(super) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open.borrow().is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Handle {
    pub(super) fn close_idle(&self) {
        self.closing.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub fn kept_view(&self) -> Option<Rc<View>> {
        self.kept.borrow().clone()
    }
}

impl Registration {
    pub fn handle(&self) -> &Rc<Handle> {
        &self.handle
    }

    pub fn is_draining(&self) -> bool {
        self.handle.draining.get()
    }

    /// Ready once the connection should finish, and has had a moment in which to be used once more.
    pub fn poll_draining(&self, context: &Context<'_>) -> bool {
        if self.handle.closing.get() {
            return true;
        }
        let mut waker = self.handle.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        false
    }

    pub async fn draining(&self) {
        std::future::poll_fn(|context| if self.poll_draining(context) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let connections = &self.worker.connections;
        let mut open = connections.open.borrow_mut();
        open.remove(&self.id);
        if open.is_empty() {
            connections.emptied.notify_waiters();
        }
    }
}
