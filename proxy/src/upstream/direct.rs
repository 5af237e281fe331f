//! A connection to an endpoint for one request, from the control side: no pool, no balancer.

use std::error::Error;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Upstream;
use crate::config::{UpstreamProtocol, split_host_port};
use crate::endpoint::Endpoint;
use crate::tls;

/// Over TLS and in HTTP/2 where the upstream is. A response's body comes as long as this lives.
pub struct Direct {
    sender: Sender,
    /// Of the endpoint, where a request names none.
    host: String,
    is_secure: bool,
    _driver: JoinSet<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Direct {
    /// Errors are told to operators.
    pub async fn connect(upstream: &Upstream, endpoint: &Endpoint) -> Result<Self, String> {
        let stream = TcpStream::connect(endpoint.config.address).await.map_err(|error| error.to_string())?;
        let host = endpoint.config.name.clone();
        let wants_http2 = upstream.config.protocol == UpstreamProtocol::Http2;
        let Some(connector) = &upstream.tls else {
            return Box::pin(Self::over(stream, wants_http2, false, host)).await;
        };
        let name = split_host_port(&host).map_or("", |(name, _)| name);
        let stream = connector.connect(name, stream, false).await.map_err(|error| format!("TLS: {error}"))?;
        let http2 = tls::endpoint_speaks_http2(&stream);
        // Boxed: most of it is HTTP/2, which few tasks need.
        Box::pin(Self::over(stream, http2, true, host)).await
    }

    async fn over<T>(stream: T, http2: bool, is_secure: bool, host: String) -> Result<Self, String>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let mut driver = JoinSet::new();
        let sender = if http2 {
            let handshake = http2::handshake(TokioExecutor::new(), io);
            let (sender, connection) = handshake.await.map_err(|error| reasons(&error))?;
            driver.spawn(async { drop(connection.await) });
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(|error| reasons(&error))?;
            driver.spawn(async { drop(connection.await) });
            Sender::Http1(sender)
        };
        Ok(Self { sender, host, is_secure, _driver: driver })
    }

    /// `request` has a path for its target; a `Host` in it goes before the endpoint's name.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let named = request.headers_mut().remove(HOST);
        let host = named.map_or_else(|| HeaderValue::from_str(&self.host), Ok).map_err(|error| error.to_string())?;
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                request.headers_mut().insert(HOST, host);
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let mut uri = std::mem::take(request.uri_mut()).into_parts();
                uri.scheme = Some(if self.is_secure { Scheme::HTTPS } else { Scheme::HTTP });
                uri.authority = Some(Authority::try_from(host.as_bytes()).map_err(|error| error.to_string())?);
                *request.uri_mut() = Uri::from_parts(uri).map_err(|error| error.to_string())?;
                *request.version_mut() = Version::HTTP_2;
                sender.send_request(request).await
            }
        };
        response.map_err(|error| reasons(&error))
    }
}

/// An error and what lies behind it.
pub fn reasons(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
