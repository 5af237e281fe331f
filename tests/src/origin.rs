//! Small origins: HTTP/1.1 and HTTP/2, with or without TLS, on a port of their own.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// An error in it breaks the response off.
pub type Body = BoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Ends, connections and all, when this is dropped.
pub struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What it speaks.
#[derive(Clone, Default)]
pub struct Speaks {
    /// HTTP/2 from the first byte, where TLS does not say otherwise.
    pub http2: bool,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// 0: any port.
    pub port: u16,
}

impl Origin {
    /// Answers HTTP/1.1 by this function.
    pub fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::speaking(Speaks::default(), handler)
    }

    pub fn speaking<F, R>(speaks: Speaks, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind(("127.0.0.1", speaks.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let (requests, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (asked, accepted) = (Arc::clone(&requests), Arc::clone(&connections));
        let handler = Arc::new(move |request| {
            asked.fetch_add(1, SeqCst);
            handler(request)
        });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(TcpListener::from_std(listener).unwrap(), speaks, handler, accepted) => {}
                    _ = ended => {}
                }
            });
            runtime.shutdown_background();
        });
        Self { address, requests, connections, end: Some(end), thread: Some(thread) }
    }

    /// Answers with [`seen`] of the request, and its own name.
    pub fn echo(name: &str) -> Self {
        Self::echo_speaking(Speaks::default(), name)
    }

    pub fn echo_speaking(speaks: Speaks, name: &str) -> Self {
        let name: Arc<str> = name.into();
        Self::speaking(speaks, move |request| {
            let name = Arc::clone(&name);
            async move { json_response(&seen(&name, request).await) }
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it was asked.
    pub fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// As if the machine were switched off: nobody listens when this returns.
    pub fn kill(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn accept<F, R>(listener: TcpListener, speaks: Speaks, handler: Arc<F>, accepted: Arc<AtomicUsize>)
where
    F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        accepted.fetch_add(1, SeqCst);
        let (handler, speaks) = (Arc::clone(&handler), speaks.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match speaks.tls {
                None => serve(stream, speaks.http2, handler).await,
                Some(tls) => {
                    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    serve(stream, http2, handler).await;
                }
            }
        });
    }
}

async fn serve<T, F, R>(stream: T, http2: bool, handler: Arc<F>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let stream = TokioIo::new(stream);
    let _ = if http2 {
        http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
    } else {
        http1::Builder::new().serve_connection(stream, service).with_upgrades().await
    };
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub fn text(text: &str) -> Response<Body> {
    Response::new(full(text.to_owned()))
}

pub fn json_response(value: &Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(full(value.to_string())).unwrap()
}

/// A request as the origin sees it; a header of several lines is a list.
pub async fn seen(name: &str, request: Request<Incoming>) -> Value {
    let (head, body) = request.into_parts();
    let (received, trailers) = match body.collect().await {
        Ok(body) => {
            let trailers = body.trailers().cloned();
            (body.to_bytes(), trailers)
        }
        Err(_) => (Bytes::new(), None),
    };
    json!({
        "origin": name,
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(PathAndQuery::as_str),
        "authority": head.uri.authority().map(Authority::as_str),
        "version": format!("{:?}", head.version),
        "headers": fields(&head.headers),
        "length": received.len(),
        "body": if received.len() <= 4096 { String::from_utf8_lossy(&received).into_owned() } else { String::new() },
        "trailers": trailers.as_ref().map(fields),
    })
}

fn fields(map: &HeaderMap) -> Value {
    let mut object = serde_json::Map::new();
    for name in map.keys() {
        let mut values: Vec<Value> =
            map.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect();
        let value = if values.len() == 1 { values.remove(0) } else { values.into() };
        object.insert(name.as_str().to_owned(), value);
    }
    Value::Object(object)
}

/// For configurations: `"127.0.0.1:1", "127.0.0.1:2"`.
pub fn endpoints(origins: &[&Origin]) -> String {
    origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect::<Vec<_>>().join(", ")
}
