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

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use crate::endpoint::{Active, Endpoint};
use crate::plugin::{Choice, Client, Exchange};
use crate::state::Running;
use crate::upstream::NoEndpoint;
use crate::worker::{Connections, Registration, Worker};
use session::Session;
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
        Some(Limits {
            idle_timeout: config.idle_timeout,
            retries: view.upstreams.get(config.upstream)?.upstream.config.retries,
            permits: Arc::clone(&listener.shared.permits),
        })
    }

    fn pick(&self, client: &Arc<Client>, choice: &mut Choice) -> Result<Active, NoEndpoint> {
        let view = self.worker.view().ok_or(NoEndpoint::Nobody)?;
        let upstream = view.state.listener(self.slot).and_then(|listener| match &listener.service {
            Running::Udp(config) => view.upstreams.get(config.upstream),
            _ => None,
        });
        let local = upstream.ok_or(NoEndpoint::Nobody)?;
        let (_, picked) = local.pick(Exchange::new(Arc::clone(client), None), choice);
        picked.map(|picked| picked.active)
    }
}

/// The place for the access log and the metrics of UDP. `endpoint`: the last one, if any answered.
fn report(session: &Session, endpoint: Option<&Endpoint>, reason: &str) {
    tracing::debug!(
        client = %session.path.client,
        endpoint = endpoint.map(|endpoint| endpoint.config.name.as_str()),
        datagrams_up = session.up.datagrams.get(),
        bytes_up = session.up.bytes.get(),
        datagrams_down = session.down.datagrams.get(),
        bytes_down = session.down.bytes.get(),
        duration_ms = session.begin.elapsed().as_millis() as u64,
        reason,
        "UDP session ended"
    );
}
