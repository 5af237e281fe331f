//! The workers' threads, and the sockets that are handed to them.

use std::sync::Arc;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;

use crate::listener::{self, Socket, SocketKind};
use crate::state::{Listener, State};
use crate::telemetry::{AccessLog, Telemetry};
use crate::worker::{Command, Parts, Worker};

pub(super) struct WorkerThread {
    pub commands: mpsc::UnboundedSender<Command>,
    pub thread: Option<std::thread::JoinHandle<()>>,
}

impl WorkerThread {
    /// Room for nested balancers, each with a Wasm stack of its own.
    const STACK_BYTES: usize = 8 << 20;

    pub fn start(index: usize, access: Option<&AccessLog>, telemetry: &Arc<Telemetry>) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let access = access.map(AccessLog::logger);
        let telemetry = Arc::clone(telemetry);
        let run = move || match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
        {
            Ok(runtime) => runtime.block_on(Worker::new(index, access, telemetry).run(inbox)),
            Err(error) => tracing::error!(index, %error, "a worker did not start"),
        };
        let name = format!("worker-{index}");
        let thread = std::thread::Builder::new().name(name).stack_size(Self::STACK_BYTES).spawn(run)?;
        Ok(Self { commands, thread: Some(thread) })
    }
}

pub(super) fn bind_admin(address: std::net::SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = std::net::TcpListener::bind(address).map_err(|error| {
        std::io::Error::new(error.kind(), format!("the admin address {address} cannot be used: {error}"))
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sockets for the listeners that `before` has not got, handed out to the workers' parts.
pub(super) fn bind_new(state: &State, before: Option<&State>, parts: &mut [Parts]) -> std::io::Result<()> {
    let mut bound: Vec<(usize, Vec<SocketKind>)> = Vec::new();
    for listener in state.listeners() {
        if before.is_some_and(|before| before.listener(listener.slot).is_some()) {
            continue;
        }
        let address = listener.config.address;
        // Our own sockets of the old state may still be there, on an overlapping address.
        let ours = |old: &Arc<Listener>| old.config.address.port() == address.port();
        let probe = !before.is_some_and(|before| before.listeners().any(ours));
        let sockets = listener::bind(address, listener.is_udp(), parts.len(), probe)
            .map_err(|error| std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        if let Some(socket) = sockets.first() {
            let address = listener::local_address(socket)?;
            listener.shared.set_bound(address);
            tracing::info!(listener = listener.slot, %address, "listening");
        }
        bound.push((listener.slot, sockets));
    }
    for (slot, sockets) in bound {
        for (kind, parts) in sockets.into_iter().zip(parts.iter_mut()) {
            parts.sockets.push(Socket { slot, kind });
        }
    }
    Ok(())
}
