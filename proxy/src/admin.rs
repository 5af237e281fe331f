//! The operator's window: whether the proxy lives and is ready, metrics, and what is configured.
//! Shows only, changes nothing; served on the control runtime.

mod view;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::oneshot;

use crate::plugin::{Library, Stores, Usage};
use crate::telemetry::Telemetry;
use crate::upstream::Upstream;

/// What the control thread tells and the pages show.
#[derive(Debug)]
pub struct Shared {
    pub telemetry: Arc<Telemetry>,
    shown: ArcSwapOption<Shown>,
    last_refusal: ArcSwapOption<Refusal>,
    draining: AtomicBool,
}

/// The running configuration.
#[derive(Debug)]
pub struct Snapshot {
    pub version: u64,
    pub upstreams: Vec<Arc<Upstream>>,
    pub usages: Vec<Arc<Usage>>,
    pub library: Arc<Library>,
    pub stores: Stores,
}

#[derive(Debug)]
struct Shown {
    snapshot: Snapshot,
    since: SystemTime,
}

/// A change that was refused while the old configuration went on.
#[derive(Debug)]
struct Refusal {
    at: SystemTime,
    reason: String,
}

impl Shown {
    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Shared {
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self {
            telemetry,
            shown: ArcSwapOption::empty(),
            last_refusal: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
        }
    }

    /// From now on this runs. The proxy is ready with the first one.
    pub fn show(&self, snapshot: Snapshot) {
        let shown = self.shown.load();
        let same = shown.as_ref().filter(|shown| shown.snapshot.version == snapshot.version);
        let since = same.map_or_else(SystemTime::now, |same| same.since);
        self.shown.store(Some(Arc::new(Shown { snapshot, since })));
        self.last_refusal.store(None);
    }

    /// A reload that changed nothing, and why.
    pub fn reload_failed(&self, reason: &str) {
        self.last_refusal.store(Some(Arc::new(Refusal { at: SystemTime::now(), reason: reason.to_owned() })));
    }

    /// The proxy finishes what it has: not ready any more.
    pub fn draining(&self) {
        self.draining.store(true, Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.shown.load().is_some() && !self.draining.load(Relaxed)
    }
}

/// Serves on the current runtime, for as long as that runs and the answer is kept. The listener was
/// bound when the configuration was loaded.
pub fn start(listener: std::net::TcpListener, shared: Arc<Shared>) -> io::Result<oneshot::Sender<()>> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (keep, dropped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let served = axum::serve(listener, router(shared)).with_graceful_shutdown(async {
            let _ = dropped.await;
        });
        if let Err(error) = served.await {
            tracing::error!(%error, "the admin address is not served any more");
        }
    });
    Ok(keep)
}

const PAGES: &str = "/live, /ready, /metrics, /upstreams, /plugins and /config/status";

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/live", get(async || "live\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route(
            "/upstreams",
            get(async |State(shared): Page| Json(view::upstreams(shared.shown.load().as_deref().map(Shown::snapshot)))),
        )
        .route(
            "/plugins",
            get(async |State(shared): Page| Json(view::plugins(shared.shown.load().as_deref().map(Shown::snapshot)))),
        )
        .route("/config/status", get(status))
        .fallback(async |uri: Uri| {
            problem(StatusCode::NOT_FOUND, &format!("there is no page {}; there are {PAGES}", uri.path()))
        })
        .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED, "pages are only read: use GET"))
        .with_state(shared)
}

type Page = State<Arc<Shared>>;

fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

async fn ready(State(shared): Page) -> Response {
    if shared.is_ready() {
        "ready\n".into_response()
    } else if shared.draining.load(Relaxed) {
        problem(StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        problem(StatusCode::SERVICE_UNAVAILABLE, "not configured yet")
    }
}

async fn metrics(State(shared): Page) -> Response {
    let shown = shared.shown.load();
    let scrape = view::scrape(&shared.telemetry, shown.as_deref().map(Shown::snapshot));
    ([(header::CONTENT_TYPE, crate::telemetry::CONTENT_TYPE)], scrape.render()).into_response()
}

async fn status(State(shared): Page) -> Response {
    let (shown, refusal) = (shared.shown.load(), shared.last_refusal.load());
    let time = |at: SystemTime| humantime::format_rfc3339_millis(at).to_string();
    Json(json!({
        "version": shown.as_ref().map(|shown| shown.snapshot.version),
        "loaded_at": shown.as_ref().map(|shown| time(shown.since)),
        "ready": shared.is_ready(),
        "last_reload_error": refusal.as_ref().map(|refusal| json!({ "at": time(refusal.at), "error": refusal.reason })),
    }))
    .into_response()
}

#[cfg(test)]
#[path = "admin/tests.rs"]
mod tests;
