//! The configuration that runs: everything checked, nothing optional left, names turned into
//! indices. `file` reads what was written; nothing else in the program sees the file's form.

mod cases;
mod file;
mod health;
pub mod need;
mod peek;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

pub use cases::{
    AnswerWanted, Case, CaseEndpoint, Cases, Expect, FieldsWanted, Head, MessagesWanted, RequestGiven, RequestWanted,
    ResponseGiven, ResponseWanted, Setup, Step, Wanted,
};
pub use file::{
    DEFAULT_BALANCER, Diagnostic, Diagnostics, KnownPlugins, Loaded, Source, load, load_cases, parse, parse_cases,
    parse_duration,
};
pub use health::{Dialogue, HealthCheck, HttpProbe, Outlier, Pattern, Probe, SuccessRate};
pub use need::{KnownPlugin, Need, Needed};
pub use peek::{FirstLook, peek};

/// As many workers as there are cores, where nothing else is said.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Position of an upstream in [`Config::upstreams`].
pub type UpstreamIndex = usize;
/// Position of a plugin use in [`Config::uses`].
pub type UseIndex = usize;

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads, at least 1.
    pub workers: usize,
    /// The watched folder of plugins.
    pub plugins: Option<PathBuf>,
    /// Where compiled plugins are kept between runs.
    pub cache: Option<PathBuf>,
    pub admin: Option<SocketAddr>,
    pub log: Log,
    /// How long running requests may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// How long `/ready` says no before the drain begins.
    pub drain_delay: Duration,
    pub upgrade: Option<Upgrade>,
    /// Whom the process becomes when root starts it.
    pub user: Option<String>,
    pub group: Option<String>,
    pub listeners: Vec<Listener>,
    pub upstreams: Vec<Upstream>,
    /// Every place that names a plugin, delegates included.
    pub uses: Vec<PluginUse>,
    /// What plugins share, each that a use is granted.
    pub stores: Vec<StoreConfig>,
}

/// How a new process takes over from this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// A Unix socket at which this process answers the one that comes after it.
    pub socket: PathBuf,
    /// How long running requests and connections may go on in the old process.
    pub drain_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// A `tracing` filter: `info`, `jackfield=debug`.
    pub level: String,
    pub format: LogFormat,
    /// One line for each request on standard output.
    pub access: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    pub address: SocketAddr,
    pub service: Service,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Service {
    Http(HttpListener),
    Tcp(TcpListener),
    Udp(UdpListener),
}

#[derive(Debug, Clone, PartialEq)]
pub struct HttpListener {
    pub tls: Option<ServerTls>,
    /// Run for every request, before the route's own.
    pub filters: Vec<UseIndex>,
    pub routes: Vec<Route>,
    /// From the first byte of a request (or the start of the connection) to the end of its head.
    pub header_timeout: Duration,
    /// How long a connection may stay open with nothing going on.
    pub idle_timeout: Duration,
    /// Connections of this listener, all workers together.
    pub max_connections: usize,
    /// Largest request head, in bytes.
    pub max_header_bytes: usize,
}

/// Certificates and keys, read but not yet parsed into the TLS library's types.
#[derive(Clone, PartialEq)]
pub struct ServerTls {
    pub certificates: Vec<CertificatePair>,
    pub handshake_timeout: Duration,
    /// Offer HTTP/2 by ALPN.
    pub http2: bool,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerTls({} certificates)", self.certificates.len())
    }
}

/// One certificate chain and its private key, both PEM.
#[derive(Clone, PartialEq)]
pub struct CertificatePair {
    pub chain: Vec<u8>,
    pub key: Vec<u8>,
    /// The file names, for messages.
    pub chain_path: PathBuf,
    pub key_path: PathBuf,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TcpListener {
    /// Where connections go that no SNI route takes; none: they are closed. Always there without
    /// SNI routes.
    pub upstream: Option<UpstreamIndex>,
    /// Server name (exact, or `*.suffix`) → upstream; empty when the listener does not peek.
    pub sni: Vec<(String, UpstreamIndex)>,
    pub idle_timeout: Duration,
    pub max_connections: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct UdpListener {
    pub upstream: UpstreamIndex,
    /// A session ends after this long without a datagram in either direction.
    pub idle_timeout: Duration,
    /// All workers together.
    pub max_sessions: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub matches: RouteMatch,
    pub filters: Vec<UseIndex>,
    pub action: RouteAction,
    /// Whole request, from its head to the last byte of the response head.
    pub timeout: Duration,
    /// A name for logs: as written, or made of host and path.
    pub name: Arc<str>,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RouteMatch {
    pub host: HostMatch,
    pub path: PathMatch,
    /// Empty: any.
    pub methods: Vec<Method>,
    pub headers: Vec<(HeaderName, ValueMatch)>,
    pub cookies: Vec<(String, ValueMatch)>,
    pub query: Vec<(String, ValueMatch)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum HostMatch {
    #[default]
    Any,
    /// Lower case, without port.
    Exact(String),
    /// `*.example.com` is kept as `example.com`: any name with at least one label before it.
    Wildcard(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Written without `*` or trailing `/`: this path only.
    Exact(String),
    /// Written with a trailing `/`: this path and all below; `/api/` matches `/api` too.
    Prefix(String),
    /// Written as `~ PATTERN`; anchored at both ends.
    Regex(String),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".to_owned())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// Written as `"*"`: it is there.
    Present,
    Exact(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum RouteAction {
    Forward {
        upstream: UpstreamIndex,
        rewrite: Option<Rewrite>,
    },
    Redirect {
        status: StatusCode,
        /// May hold `{scheme}`, `{host}`, `{path}` and `{query}` (with its `?`).
        location: String,
    },
    Respond {
        status: StatusCode,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Rewrite {
    /// The matched prefix is replaced by this one.
    Prefix(String),
    /// The part that the pattern matches is replaced; `$1` and `$name` stand for its groups.
    Regex { pattern: String, replacement: String },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    pub name: Arc<str>,
    pub balancer: UseIndex,
    pub endpoints: Vec<EndpointConfig>,
    pub protocol: UpstreamProtocol,
    pub tls: Option<ClientTls>,
    pub health: Option<HealthCheck>,
    pub outlier: Option<Outlier>,
    /// Below this share of healthy endpoints all are used; 0: never.
    pub panic_threshold: f64,
    /// How long the weight of an endpoint that returns ramps up.
    pub slow_start: Option<Duration>,
    pub load: LoadReports,
    pub connect_timeout: Duration,
    /// How long an idle kept-alive connection is kept.
    pub keep_alive: Duration,
    /// Idle connections kept for each endpoint and worker.
    pub max_idle: usize,
    /// Endpoints tried after the first one, for requests that may be repeated.
    pub retries: u32,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EndpointConfig {
    /// As written, `127.0.0.1:5001` or `backend:80`.
    pub name: String,
    pub address: SocketAddr,
    /// 1 to 65,535.
    pub weight: u32,
    pub labels: Vec<(String, String)>,
    /// Written `drain = true`.
    pub draining: bool,
    /// 0 serves first.
    pub tier: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    Http1,
    Http2,
    /// ALPN decides with TLS; without TLS it is HTTP/1.1.
    Auto,
}

#[derive(Clone, PartialEq)]
pub struct ClientTls {
    /// PEM roots; empty: those of the system.
    pub roots: Vec<u8>,
    /// None: the host part of the endpoint's name.
    pub server_name: Option<String>,
    /// False: any certificate is taken.
    pub verify: bool,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientTls(server name {:?}, verify {})", self.server_name, self.verify)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct LoadReports {
    /// Read ORCA `endpoint-load-metrics` headers of responses (and strip them).
    pub orca: bool,
    /// Ask each endpoint for `{"cpu":0.42,"memory":0.7}`.
    pub poll: Option<LoadPoll>,
    /// A report older than this counts as none.
    pub expires: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LoadPoll {
    pub path: String,
    pub interval: Duration,
    pub timeout: Duration,
}

/// One place of the configuration that names a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginUse {
    /// Name of the plugin: its file name without `.wasm`.
    pub plugin: Arc<str>,
    pub kind: PluginKind,
    /// Where it is used, for logs and metrics: `upstream.api.balancer`, `listener[0].filters[1]`.
    pub label: Arc<str>,
    /// A JSON object.
    pub settings: String,
    pub on_failure: OnFailure,
    pub limits: PluginLimits,
    /// What the operator allows this use beyond deciding.
    pub grants: Vec<Grant>,
    /// The balancer that this one wraps.
    pub then: Option<UseIndex>,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginKind {
    Balancer,
    HttpFilter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Balancers: the host's own plain choice among the eligible endpoints.
    Fallback,
    /// Filters: go on as if the filter were not there.
    Open,
    /// 503, or the connection is closed.
    Closed,
}

/// What a plugin is given only where the configuration says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Real clocks (`wasi:clocks`): the contract's own stands still during a call.
    Clock,
    /// The system's randomness (`wasi:random`): the contract's own is not for secrets.
    Random,
    Log,
    Metrics,
    /// To be called from time to time.
    Timer,
    /// To read and change bodies.
    Body,
    /// A store of shared state, by name.
    State(Arc<str>),
    /// Requests of its own to this upstream.
    Http(Arc<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginLimits {
    /// Wall time of one call.
    pub deadline: Duration,
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// The longest body that is held for a filter which wants it whole, in bytes.
    pub body: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self { deadline: Duration::from_millis(50), memory: 64 << 20, body: 1 << 20 }
    }
}

/// A store of shared state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    pub name: Arc<str>,
    /// Most that it takes, in bytes.
    pub memory: usize,
}

impl StoreConfig {
    /// Of a store that the file says nothing more of.
    pub const MEMORY: usize = 64 << 20;
}

/// Where in the file something was written: byte offsets into [`Diagnostics`]' source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub start: usize,
    pub end: usize,
}

impl Config {
    /// The index of an upstream, for plugins that choose one by name.
    pub fn upstream(&self, name: &str) -> Option<UpstreamIndex> {
        self.upstreams.iter().position(|upstream| &*upstream.name == name)
    }
}

/// The host part of an endpoint's name, and its port.
pub fn split_host_port(name: &str) -> Option<(&str, u16)> {
    let (host, port) = name.rsplit_once(':')?;
    let host = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    if host.is_empty() || (host.contains(':') && host.parse::<IpAddr>().is_err()) {
        return None;
    }
    Some((host, port.parse().ok()?))
}
