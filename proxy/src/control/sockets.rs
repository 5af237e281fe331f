//! What is bound, or was brought by others; handed out to the workers, and kept once more, to be
//! lent to the process that comes after this one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::handover::Offered;
use crate::inherit::{Inherited, Role};
use crate::listener::{self, Socket, SocketKind};
use crate::state::{Listener, State};
use crate::worker::Parts;

#[derive(Default)]
pub(super) struct Sockets {
    kept: Vec<Kept>,
}

struct Kept {
    /// None: the admin address.
    slot: Option<usize>,
    configured: SocketAddr,
    sockets: Vec<SocketKind>,
}

impl Sockets {
    pub fn admin(&mut self, address: SocketAddr, inherited: &mut Inherited) -> io::Result<std::net::TcpListener> {
        let mut sockets = inherited.take(Role::Admin, address, false);
        // One is enough: nobody waits long in its queue. (More would be orphans.)
        let found = if sockets.is_empty() {
            listener::bind(address, false, 1, true)
        } else {
            sockets.truncate(1);
            listener::adopt(sockets, 1)
        };
        let bound = found.map_err(|error| {
            io::Error::new(error.kind(), format!("the admin address {address} cannot be used: {error}"))
        })?;
        let kept = bound.iter().map(SocketKind::try_clone).collect::<io::Result<_>>()?;
        self.kept.push(Kept { slot: None, configured: address, sockets: kept });
        match bound.into_iter().next() {
            Some(SocketKind::Tcp(socket)) => Ok(socket),
            _ => Err(io::Error::other("no socket for the admin address")),
        }
    }

    /// Sockets for the listeners that `before` has not got, handed out to the workers' parts.
    pub fn bind_new(
        &mut self,
        state: &State,
        before: Option<&State>,
        inherited: &mut Inherited,
        parts: &mut [Parts],
    ) -> io::Result<()> {
        let mut bound: Vec<(Kept, Vec<SocketKind>)> = Vec::new();
        for listener in state.listeners() {
            if before.is_some_and(|before| before.listener(listener.slot).is_some()) {
                continue;
            }
            let sockets = sockets_of(listener, before, inherited, parts.len())?;
            if let Some(socket) = sockets.first() {
                let address = listener::local_address(socket)?;
                listener.shared.set_bound(address);
                tracing::info!(listener = listener.slot, %address, "listening");
            }
            let kept = sockets.iter().map(SocketKind::try_clone).collect::<io::Result<_>>()?;
            let configured = listener.config.address;
            bound.push((Kept { slot: Some(listener.slot), configured, sockets: kept }, sockets));
        }
        let workers = parts.len();
        for (kept, sockets) in bound {
            for (number, kind) in sockets.into_iter().enumerate() {
                let slot = kept.slot.unwrap_or_default();
                parts[number % workers].sockets.push(Socket { slot, kind });
            }
            self.kept.push(kept);
        }
        Ok(())
    }

    /// Before the workers close theirs: the last descriptor ends a socket.
    pub fn retain(&mut self, state: &State) {
        self.kept.retain(|kept| kept.slot.is_none_or(|slot| state.listener(slot).is_some()));
    }

    pub fn close(&mut self) {
        self.kept.clear();
    }

    pub fn offer(&self) -> io::Result<Vec<Offered>> {
        let mut offered = Vec::new();
        for (group, kept) in self.kept.iter().enumerate() {
            let role = if kept.slot.is_some() { Role::Listener } else { Role::Admin };
            for socket in &kept.sockets {
                offered.push(Offered { role, address: kept.configured, group, socket: socket.try_clone()? });
            }
        }
        Ok(offered)
    }
}

fn sockets_of(
    listener: &Listener,
    before: Option<&State>,
    inherited: &mut Inherited,
    workers: usize,
) -> io::Result<Vec<SocketKind>> {
    let address = listener.config.address;
    let brought = inherited.take(Role::Listener, address, listener.is_udp());
    let found = if brought.is_empty() {
        // Our own sockets of the old state may still be there, on an overlapping address.
        let ours = |old: &Arc<Listener>| old.config.address.port() == address.port();
        let probe = !before.is_some_and(|before| before.listeners().any(ours));
        listener::bind(address, listener.is_udp(), workers, probe)
    } else {
        listener::adopt(brought, workers)
    };
    let sockets = found.map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::PermissionDenied { LOW_PORT } else { "" };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{hint}"))
    })?;
    if sockets.len() < workers {
        tracing::warn!(%address, sockets = sockets.len(), workers, "fewer sockets than workers: the others stay idle here");
    }
    Ok(sockets)
}

const LOW_PORT: &str = "; a port below 1024 needs root when the process starts (which gives that up when the \
    configuration has a `user`: then a new listener there needs a restart, or an upgrade by root), \
    CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start";
