//! THE life of a datagram session: a client's address, an endpoint that the balancer chose for it,
//! and the datagrams between them, until none has passed for the idle timeout. `sessions` tells
//! it; here stands what it is told in.
//!
//! A session stays with its endpoint for as long as that one answers, also when a new
//! configuration or a verdict of the health checks has taken the endpoint away: it ends by itself
//! when it idles, and only what it carries knows whether it could move without harm.

mod complaints;
mod session;
mod sessions;
mod socket;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use crate::endpoint::Active;
use crate::plugin::{Choice, Client, Exchange};
use crate::state::Running;
use crate::telemetry::Entry;
use crate::upstream::NoEndpoint;
use crate::worker::{Connections, Registration, Worker};
use sessions::{Limits, Sessions, Terms};

/// Until `ended`, and then until the answers that are still owed have been passed on.
pub async fn serve(
    worker: &Rc<Worker>,
    slot: usize,
    socket: std::net::UdpSocket,
    ended: &mut oneshot::Receiver<()>,
) -> io::Result<()> {
    let sessions = Sessions::new(
        OnWorker { worker: Rc::clone(worker), slot, _registration: Connections::register(worker, slot) },
        UdpSocket::from_std(socket)?,
    )?;
    let result = tokio::select! {
        biased;
        _ = ended => Ok(()),
        result = sessions.serve() => result,
    };
    sessions.finish().await;
    result
}

/// The configuration of the moment, as the worker has it.
struct OnWorker {
    worker: Rc<Worker>,
    slot: usize,
    /// All sessions of a listener count as one connection of the worker: while one of them lives,
    /// it has not drained.
    _registration: Registration,
}

impl Terms for OnWorker {
    fn limits(&self) -> Option<Limits> {
        let view = self.worker.view()?;
        let listener = view.state.listener(self.slot)?;
        let Running::Udp(config) = &listener.service else { return None };
        let upstream = &view.upstreams.get(config.upstream)?.upstream.config;
        Some(Limits {
            idle_timeout: config.idle_timeout,
            upstream: Arc::clone(&upstream.name),
            retries: upstream.retries,
            permits: Arc::clone(&listener.shared.permits),
            metrics: Arc::clone(&listener.shared.metrics),
        })
    }

    fn pick(&self, client: &Arc<Client>, choice: &mut Choice) -> (Duration, Result<Active, NoEndpoint>) {
        let view = self.worker.view();
        let local = view.as_ref().and_then(|view| match &view.state.listener(self.slot)?.service {
            Running::Udp(config) => view.upstreams.get(config.upstream),
            _ => None,
        });
        let Some(local) = local else { return (Duration::ZERO, Err(NoEndpoint::Nobody)) };
        let (exchange, picked) = local.pick(Exchange::new(Arc::clone(client), None), choice);
        (exchange.plugin_time, picked.map(|picked| picked.active))
    }

    fn record(&self, entry: Entry) {
        if let Some(access) = &self.worker.access {
            access.record(entry);
        }
    }
}
