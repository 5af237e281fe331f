//! THE life of a TCP connection that passes through: its bytes are carried, never understood. Only
//! the server name of a TLS handshake may be looked at, where a listener routes by it.

mod buffer;
mod connect;
mod flow;
mod hello;
mod pipe;
mod pump;
mod record;
mod sni;
mod socket;
#[cfg(test)]
pub mod testing;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::config::{self, UpstreamIndex};
use crate::plugin::{Client, Exchange, Protocol};
use crate::state::Listener;
use crate::upstream::{Local, NoEndpoint};
use crate::worker::{View, Worker};
use connect::{Connected, connect};
use pump::pump;
use record::Record;
use sni::NoName;

/// `listener` and its `config` belong to `view`. While its worker drains, the connection goes on
/// until it ends by itself (or the process does): nothing is known of where one could stop it
/// without harm.
pub async fn serve(
    worker: &Rc<Worker>,
    view: Rc<View>,
    listener: &Arc<Listener>,
    config: &config::TcpListener,
    client: TcpStream,
    peer: SocketAddr,
) {
    let mut record = Record::begin(worker, listener, peer);
    let index = match find_upstream(config, &client, &mut record.sni).await {
        Ok(found) => found,
        Err(reason) => return record.refuse(&client, &reason),
    };
    let Some(local) = view.upstreams.get(index) else { return };
    record.upstream = Some(Arc::clone(&local.upstream.config.name));

    let Connected { stream, active } = match connect_to(local, &mut record, peer).await {
        Ok(connected) => connected,
        Err(reason) => return record.refuse(&client, &reason),
    };
    record.endpoint = Some(Arc::clone(active.endpoint()));

    // A connection may last for days: it must not keep a state alive that was replaced long ago.
    drop(view);
    let outcome = pump(&client, &stream, config.idle_timeout).await;
    drop(active);
    record.end(&outcome);
}

#[derive(Debug, thiserror::Error)]
enum NoUpstream {
    #[error(transparent)]
    NoName(#[from] NoName),
    #[error("no route takes the server name")]
    NoRoute,
}

/// Where no name is routed, or the client gives none, the route for all others takes it. A client
/// that keeps silent is not waited for longer, and not passed on: what it has begun to say could
/// no longer be told from what it says next.
async fn find_upstream(
    config: &config::TcpListener,
    client: &TcpStream,
    sni: &mut Option<Arc<str>>,
) -> Result<UpstreamIndex, NoUpstream> {
    if config.sni.is_empty() {
        return config.upstream.ok_or(NoUpstream::NoRoute);
    }
    let name = match (sni::peek(client).await, config.upstream) {
        (Ok(name), _) => sni.insert(name.into()),
        (Err(NoName::Unreadable(_)), Some(others)) => return Ok(others),
        (Err(reason), _) => return Err(reason.into()),
    };
    sni::route(&config.sni, name).or(config.upstream).ok_or(NoUpstream::NoRoute)
}

async fn connect_to(local: &Local, record: &mut Record, peer: SocketAddr) -> Result<Connected, connect::Failure> {
    let client = Arc::new(Client::new(peer, Protocol::Tcp, false, record.sni.clone()));
    // It goes to the balancer and back with each pick.
    let mut exchange = Some(Exchange::new(client, None));
    connect(&local.upstream.config, |choice| {
        let asking = exchange.take().ok_or(NoEndpoint::Nobody)?;
        let (asked, picked) = local.pick(asking, choice);
        record.plugin_time = asked.plugin_time;
        exchange = Some(asked);
        picked.map(|picked| picked.active)
    })
    .await
}
