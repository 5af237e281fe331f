//! `jackfield demo`: three small origins and a proxy in front of them, all in this process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::config::{LogFormat, Source};
use crate::control::{Control, Origin, Start};
use crate::telemetry;

const ORIGINS: usize = 3;

pub fn run() -> anyhow::Result<ExitCode> {
    telemetry::init_logging("warn", LogFormat::Text)?;
    let origins = start_origins()?;
    let engine = super::engine(None)?;
    // The well-known port if it is free, any other if not: a demo should not fail for that.
    let port = if std::net::TcpListener::bind("127.0.0.1:8080").is_ok() { 8080 } else { 0 };
    let source = Source { name: "demo".into(), text: config(&origins, port), folder: PathBuf::from(".") };
    super::serve(Origin::Text(source), engine, Start::default(), |control| announce(control, &origins))
}

fn config(origins: &[SocketAddr], port: u16) -> String {
    let list: Vec<String> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
    let endpoints = list.join(", ");
    format!(
        r#"
[log]
access = false

[[listener]]
address = "127.0.0.1:{port}"
filters = ["x-forwarded-for"]
routes = [
  {{ path = "/sticky/", upstream = "sticky" }},
  {{ path = "/hello", respond = {{ body = "answered by a route, no endpoint asked\n" }} }},
  {{ upstream = "origins", filters = [{{ plugin = "headers", settings = {{ response = {{ set = {{ x-request-id = "{{request-id}}" }} }} }} }}] }},
]

[upstream.origins]
balancer = "round-robin"
endpoints = [{endpoints}]

[upstream.sticky]
balancer = {{ plugin = "sticky-cookie", then = "least-connections" }}
endpoints = [{endpoints}]
"#
    )
}

fn announce(control: &Control, origins: &[SocketAddr]) {
    let bound = control.state().listeners().find_map(|listener| listener.shared.bound());
    let address = bound.map_or_else(|| "127.0.0.1:8080".to_owned(), |address| address.to_string());
    let list: Vec<String> = origins.iter().map(ToString::to_string).collect();
    println!(
        "Jackfield listens on http://{address}, in front of {} small origins ({}).
Every balancing decision and every X-Forwarded-For below is made by a WebAssembly plugin. Try:

  curl http://{address}/             # again and again: round robin over the origins
  curl -i http://{address}/          # X-Forwarded-For as the origin saw it; X-Request-Id set by the `headers` plugin
  curl -c jar -b jar http://{address}/sticky/   # twice: a cookie keeps you at one origin
  curl http://{address}/hello        # a fixed answer

Ctrl-C ends it.",
        origins.len(),
        list.join(", ")
    );
}

/// Origins on a thread and runtime of their own, on free ports.
fn start_origins() -> anyhow::Result<Vec<SocketAddr>> {
    let sockets = (0..ORIGINS)
        .map(|_| {
            let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    let addresses = sockets.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("origins".into()).spawn(move || {
        runtime.block_on(async {
            let origins: Vec<_> = sockets
                .into_iter()
                .enumerate()
                .map(|(index, socket)| tokio::spawn(origin(index + 1, socket)))
                .collect();
            for origin in origins {
                let _ = origin.await;
            }
        });
    })?;
    Ok(addresses)
}

async fn origin(number: usize, socket: std::net::TcpListener) -> std::io::Result<()> {
    let listener = TcpListener::from_std(socket)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let serve = service_fn(move |request| async move { Ok::<_, Infallible>(answer(number, &request)) });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
    }
}

fn answer(number: usize, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let forwarded = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        format!("  {name}: {}\n", value.unwrap_or("(none)"))
    };
    let mut text = format!("origin {number}: {} {}\n", request.method(), request.uri());
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
        text.push_str(&forwarded(name));
    }
    Response::new(Full::new(text.into()))
}
