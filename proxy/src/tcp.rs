//! THE life of a TCP connection that passes through: its bytes are carried, never understood. Only
//! the server name of a TLS handshake may be looked at, where a listener routes by it.

mod buffer;
mod connect;
mod flow;
mod hello;
mod pipe;
mod pump;
mod sni;
#[cfg(test)]
pub mod testing;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::config::{self, UpstreamIndex};
use crate::plugin::{Client, Exchange, Protocol};
use crate::upstream::Local;
use crate::worker::{Registration, View};
use connect::{Connected, connect};
use pump::{Outcome, pump};
use sni::NoName;

/// `config` belongs to `view`. While its worker drains, the connection goes on until it ends by
/// itself (or the process does): nothing is known of where one could stop it without harm.
pub async fn serve(
    view: Rc<View>,
    config: &config::TcpListener,
    mut client: TcpStream,
    peer: SocketAddr,
    _registration: &Registration,
) {
    let begin = Instant::now();
    let (index, name) = match find_upstream(config, &client).await {
        Ok(found) => found,
        Err(reason) => return refuse(&client, peer, None, &reason),
    };
    let Some(local) = view.upstreams.get(index) else { return };
    let upstream = Arc::clone(&local.upstream.config.name);

    let mut exchange = Some(Exchange::new(Arc::new(Client::new(peer, Protocol::Tcp, false, name)), None));
    let Connected { mut stream, active } = match connect_to(local, &mut exchange).await {
        Ok(connected) => connected,
        Err(reason) => return refuse(&client, peer, Some(&upstream), &reason),
    };

    // A connection may last for days: it must not keep a state alive that was replaced long ago.
    drop(view);
    let outcome = pump(&mut client, &mut stream, config.idle_timeout).await;
    report(&Report {
        peer,
        upstream: &upstream,
        endpoint: &active.endpoint().config.name,
        plugin_time: exchange.map_or(Duration::ZERO, |exchange| exchange.plugin_time),
        duration: begin.elapsed(),
        outcome: &outcome,
    });
}

#[derive(Debug, thiserror::Error)]
enum NoUpstream {
    #[error(transparent)]
    NoName(#[from] NoName),
    #[error("no route for the server name \"{0}\"")]
    NoRoute(String),
}

async fn find_upstream(
    config: &config::TcpListener,
    client: &TcpStream,
) -> Result<(UpstreamIndex, Option<Arc<str>>), NoUpstream> {
    if config.sni.is_empty() {
        return Ok((config.upstream, None));
    }
    let name = sni::peek(client).await?;
    match sni::route(&config.sni, &name) {
        Some(upstream) => Ok((upstream, Some(name.into()))),
        None => Err(NoUpstream::NoRoute(name)),
    }
}

/// The exchange goes to the balancer and back with each pick.
async fn connect_to(local: &Local, exchange: &mut Option<Box<Exchange>>) -> Result<Connected, connect::Failure> {
    connect(&local.upstream.config, |choice| {
        let Some(asking) = exchange.take() else { return Err(crate::upstream::NoEndpoint::Nobody) };
        let (asked, picked) = local.pick(asking, choice);
        *exchange = Some(asked);
        picked.map(|picked| picked.active)
    })
    .await
}

/// Closes with a reset: an orderly end would look like an answer of no bytes, and a client's pool
/// or a retry above it can tell "nobody there" only from an error.
fn refuse(client: &TcpStream, peer: SocketAddr, upstream: Option<&str>, reason: &dyn std::fmt::Display) {
    let _ = client.set_zero_linger();
    tracing::warn!(%peer, upstream, %reason, "TCP connection refused");
}

/// What is known of a connection at its end.
struct Report<'a> {
    peer: SocketAddr,
    upstream: &'a str,
    endpoint: &'a str,
    plugin_time: Duration,
    /// From the accept to the last byte.
    duration: Duration,
    outcome: &'a Outcome,
}

/// The place for the access log and the metrics of L4.
fn report(report: &Report<'_>) {
    tracing::debug!(
        peer = %report.peer,
        upstream = report.upstream,
        endpoint = report.endpoint,
        sent = report.outcome.sent,
        received = report.outcome.received,
        plugin_us = report.plugin_time.as_micros() as u64,
        duration_ms = report.duration.as_millis() as u64,
        end = %report.outcome.end,
        "TCP connection ended"
    );
}
