//! An HTTP/2 client, for what curl does not show.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub type Body = BoxBody<Bytes, hyper::Error>;

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// Runs an asynchronous part of a test.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(crate::DEADLINE, work).await.expect("it takes too long") })
}

/// With prior knowledge.
pub async fn connect(to: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (client, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    client
}

/// Over TLS, where ALPN must choose HTTP/2.
pub async fn connect_tls(to: SocketAddr, name: &str, tls: Arc<rustls::ClientConfig>) -> SendRequest<Body> {
    let stream = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(tls).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    client
}

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A GET for this path at `http://test.example`.
pub fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://test.example{path}")).body(empty()).unwrap()
}

pub async fn ask(client: &mut SendRequest<Body>, request: Request<Body>) -> Answer {
    client.ready().await.unwrap();
    whole(client.send_request(request).await.unwrap()).await
}

pub async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers }
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An origin that reads requests, tells `"asked"`, never answers, and tells `"reset"` when one is
/// given up.
pub fn silent_origin(tell: impl Fn(&'static str) + Send + Sync + 'static) -> SocketAddr {
    struct TellsReset(Arc<dyn Fn(&'static str) + Send + Sync>);
    impl Drop for TellsReset {
        fn drop(&mut self) {
            self.0("reset");
        }
    }
    let tell: Arc<dyn Fn(&'static str) + Send + Sync> = Arc::new(tell);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let tell = Arc::clone(&tell);
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let tell = Arc::clone(&tell);
                async move {
                    request.into_body().collect().await?;
                    tell("asked");
                    let _reset = TellsReset(tell);
                    std::future::pending::<Result<Response<Body>, hyper::Error>>().await
                }
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    };
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve);
    });
    address
}
