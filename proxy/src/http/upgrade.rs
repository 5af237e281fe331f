//! Upgrades (RFC 9110, section 7.8): after 101 both sides speak something else, and we pass bytes.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use http::Request;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use super::Connection;
use crate::endpoint::Active;
use crate::upstream::Stream;
use crate::worker::Connections;

/// What becomes the client's side of the tunnel, when the request asks for one.
pub fn wanted(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(request))
}

/// Puts back what was stripped as belonging to the endpoint's connection.
pub fn announce(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// Both sides, once each has its 101.
pub struct Tunnel {
    pub client: OnUpgrade,
    /// What the endpoint sent together with its 101.
    pub came: Bytes,
    pub endpoint: Stream,
    pub active: Active,
}

impl Tunnel {
    /// Passes bytes both ways until both sides have finished. The endpoint counts as active, and
    /// the client's connection as open, until then.
    pub fn start(self, connection: &Rc<Connection>) {
        let connection = Rc::clone(connection);
        connection.wire.begin_tunnel();
        tokio::task::spawn_local(self.run(connection));
    }

    async fn run(self, connection: Rc<Connection>) {
        let Self { client, mut came, mut endpoint, active } = self;
        let registration = Connections::register(&connection.worker, connection.listener.slot);
        let work = async {
            let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
            client.write_all_buf(&mut came).await?;
            tokio::io::copy_bidirectional(&mut client, &mut endpoint).await
        };
        match work.await {
            Ok((up, down)) => tracing::debug!(up, down, "tunnel ended"),
            Err(error) => tracing::debug!(%error, "tunnel broke"),
        }
        drop(active);
        drop(registration);
    }
}
