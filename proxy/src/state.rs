//! The running configuration: complete, checked, immutable, swapped whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use crate::config::{self, Config, Place, PluginKind, RouteAction, Service, UpstreamProtocol, UseIndex};
use crate::plugin::{Balancer, Filter, Library, Memory, Names, Stores, Usage};
use crate::route::{Location, Rewriter, Router};
use crate::telemetry::{ListenerMetrics, Telemetry};
use crate::tls;
use crate::upstream::Upstream;
use crate::worker::Parts;

pub struct State {
    pub version: u64,
    pub config: Arc<Config>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub usages: Vec<Arc<Usage>>,
    /// What plugins share; one that nobody is granted any more goes with the last who uses it.
    pub stores: Stores,
    /// By slot: a listener keeps its slot for as long as its address is configured.
    listeners: Vec<Option<Arc<Listener>>>,
}

/// A listener as it runs.
pub struct Listener {
    pub slot: usize,
    pub config: config::Listener,
    pub service: Running,
    pub shared: Arc<ListenerShared>,
}

/// What goes on when a reload changes the rest.
#[derive(Debug)]
pub struct ListenerShared {
    /// One for each connection that may still be served.
    pub permits: Arc<Semaphore>,
    pub metrics: Arc<ListenerMetrics>,
    /// Permits that there are, taken ones included.
    limit: AtomicUsize,
    /// Where it really listens: differs from the configured address when that has port 0.
    bound: OnceLock<SocketAddr>,
}

impl ListenerShared {
    fn new(limit: usize, metrics: Arc<ListenerMetrics>) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(limit));
        Self { permits, limit: AtomicUsize::new(limit), metrics, bound: OnceLock::new() }
    }

    /// Moves the limit. Connections that are open stay; where there are more of them than the new
    /// limit, it is reached when the next reload finds enough of them gone.
    fn set_limit(&self, limit: usize) {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let now = self.limit.load(Relaxed);
        if limit > now {
            self.permits.add_permits(limit - now);
            self.limit.store(limit, Relaxed);
        } else {
            let forgotten = self.permits.forget_permits(now - limit);
            self.limit.store(now - forgotten, Relaxed);
        }
    }

    pub fn set_bound(&self, address: SocketAddr) {
        let _ = self.bound.set(address);
    }

    pub fn bound(&self) -> Option<SocketAddr> {
        self.bound.get().copied()
    }
}

pub enum Running {
    Http(Box<Http>),
    Tcp(config::TcpListener),
    Udp(config::UdpListener),
}

pub struct Http {
    pub config: config::HttpListener,
    pub tls: Option<tls::Acceptor>,
    pub router: Router,
    /// By position of the route: its path rewrite.
    pub rewriters: Vec<Option<Rewriter>>,
    /// By position of the route: where its redirect leads.
    pub locations: Vec<Option<Location>>,
}

/// Why a checked configuration cannot run after all.
#[derive(Debug)]
pub struct Refusal {
    pub place: Place,
    pub message: String,
    pub help: Option<String>,
}

impl State {
    /// Puts everything together. `before` lends what outlives a change: measurements, counters,
    /// slots. Runs no plugin.
    pub fn build(
        config: Config,
        library: &Library,
        before: Option<&State>,
        telemetry: &Telemetry,
    ) -> Result<Self, Vec<Refusal>> {
        let config = Arc::new(config);
        let mut refusals = Vec::new();
        let upstreams = collect(&mut refusals, config.upstreams.iter().map(|upstream| run_upstream(upstream, before)));
        let stores = run_stores(&config, before);
        let usages = run_usages(&config, library, before, &stores, &mut refusals);
        let listeners = run_listeners(&config, before, telemetry, &mut refusals);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let version = before.map_or(1, |before| before.version + 1);
        Ok(Self { version, config, upstreams, usages, stores, listeners })
    }

    pub fn listener(&self, slot: usize) -> Option<&Arc<Listener>> {
        self.listeners.get(slot)?.as_ref()
    }

    /// The upstream that a balancer decides for, wrapped or not; none for a filter.
    pub fn balanced_by(&self, index: UseIndex) -> Option<&Arc<Upstream>> {
        let chain = |balancer| std::iter::successors(Some(balancer), |outer: &UseIndex| self.config.uses[*outer].then);
        self.upstreams.iter().find(|upstream| chain(upstream.config.balancer).any(|inner| inner == index))
    }

    /// What outlives the state that ran before takes this one's limits over.
    pub fn take_effect(&self) {
        for listener in self.listeners() {
            listener.shared.set_limit(listener.limit());
        }
        for config in &self.config.stores {
            if let Some(store) = self.stores.get(&config.name) {
                store.resize(config.memory, crate::clock::elapsed().as_millis() as u64);
            }
        }
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.iter().flatten()
    }

    /// Starts an instance of every plugin use for one worker; a plugin that refuses its settings
    /// (or fails) is a mistake in the configuration.
    pub fn parts(self: &Arc<Self>, worker: usize) -> Result<Parts, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let balancers = collect(
            &mut refusals,
            self.upstreams.iter().map(|upstream| {
                let usage = &self.usages[upstream.config.balancer];
                Balancer::start(usage, worker, &upstream.set()).map_err(|failure| refusal(usage, &failure))
            }),
        );
        let filters = collect(
            &mut refusals,
            self.usages.iter().map(|usage| match usage.config.kind {
                PluginKind::Balancer => Ok(None),
                PluginKind::HttpFilter => {
                    Filter::start(usage, worker).map(Some).map_err(|failure| refusal(usage, &failure))
                }
            }),
        );
        if !refusals.is_empty() {
            return Err(refusals);
        }
        Ok(Parts { state: Arc::clone(self), balancers, filters, sockets: Vec::new() })
    }
}

fn refusal(usage: &Usage, failure: &impl std::fmt::Display) -> Refusal {
    Refusal { place: usage.config.place, message: format!("plugin \"{}\" {failure}", usage.config.plugin), help: None }
}

fn collect<T>(refusals: &mut Vec<Refusal>, results: impl Iterator<Item = Result<T, Refusal>>) -> Vec<T> {
    results.filter_map(|result| result.map_err(|refusal| refusals.push(refusal)).ok()).collect()
}

impl From<tls::Problem> for Refusal {
    fn from(problem: tls::Problem) -> Self {
        Self { place: problem.place, message: problem.message, help: None }
    }
}

fn run_upstream(config: &config::Upstream, before: Option<&State>) -> Result<Arc<Upstream>, Refusal> {
    let (http1, http2) = match config.protocol {
        UpstreamProtocol::Http1 => (true, false),
        UpstreamProtocol::Http2 => (false, true),
        UpstreamProtocol::Auto => (true, true),
    };
    let connector = config.tls.as_ref().map(|tls| tls::Connector::new(tls, http1, http2, config.place)).transpose()?;
    let same = |old: &&Arc<Upstream>| old.config.name == config.name;
    let old = before.and_then(|before| before.upstreams.iter().find(same));
    Ok(Arc::new(Upstream::new(config.clone(), connector, old.map(AsRef::as_ref))))
}

fn run_stores(config: &Config, before: Option<&State>) -> Stores {
    let store = |config: &config::StoreConfig| {
        let old = before.and_then(|before| before.stores.get(&config.name));
        let store = old.map_or_else(|| Arc::new(Memory::new(config.memory)) as Arc<_>, Arc::clone);
        (Arc::clone(&config.name), store)
    };
    config.stores.iter().map(store).collect()
}

/// In the order of the configuration, which puts a delegate after the balancer that wraps it.
fn run_usages(
    config: &Config,
    library: &Library,
    before: Option<&State>,
    stores: &Stores,
    refusals: &mut Vec<Refusal>,
) -> Vec<Arc<Usage>> {
    let names: Names =
        config.upstreams.iter().enumerate().map(|(index, upstream)| (Arc::clone(&upstream.name), index)).collect();
    let names = Arc::new(names);
    let mut made: HashMap<UseIndex, Arc<Usage>> = HashMap::new();
    let mut order: Vec<UseIndex> = (0..config.uses.len()).collect();
    // Delegates first, whatever their position: a chain has an end, since each use is written once.
    order.sort_by_key(|index| depth(config, *index));
    for index in order {
        let usage = &config.uses[index];
        let Some(plugin) = library.get(&usage.plugin) else {
            let message = format!("there is no plugin \"{}\"", usage.plugin);
            refusals.push(Refusal { place: usage.place, message, help: None });
            continue;
        };
        let same = |old: &&Arc<Usage>| old.config.label == usage.label && old.config.plugin == usage.plugin;
        let old = before.and_then(|before| before.usages.iter().find(same));
        let shared = old.map_or_else(Arc::default, |old| Usage::inherit(usage, plugin, old));
        let then = usage.then.and_then(|then| made.get(&then).cloned());
        let running = Usage::new(usage.clone(), Arc::clone(plugin), then, Arc::clone(&names), shared);
        let running = running.with_stores(stores);
        made.insert(index, Arc::new(running));
    }
    (0..config.uses.len()).filter_map(|index| made.remove(&index)).collect()
}

fn depth(config: &Config, index: UseIndex) -> usize {
    config.uses[index].then.map_or(0, |then| 1 + depth(config, then))
}

fn run_listeners(
    config: &Config,
    before: Option<&State>,
    telemetry: &Telemetry,
    refusals: &mut Vec<Refusal>,
) -> Vec<Option<Arc<Listener>>> {
    let mut slots: Vec<Option<Arc<Listener>>> = Vec::new();
    let taken = before.map_or(0, |before| before.listeners.len());
    slots.resize_with(taken, || None);
    for listener in &config.listeners {
        let unused = |old: &&Arc<Listener>| old.is_at(listener) && slots[old.slot].is_none();
        let old = before.and_then(|before| before.listeners().find(unused));
        match Listener::new(listener, old.map(AsRef::as_ref), slots.len(), telemetry) {
            Ok(running) => {
                let slot = running.slot;
                if slot == slots.len() {
                    slots.push(None);
                }
                slots[slot] = Some(Arc::new(running));
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    slots
}

impl Listener {
    fn new(
        config: &config::Listener,
        before: Option<&Listener>,
        free_slot: usize,
        telemetry: &Telemetry,
    ) -> Result<Self, Refusal> {
        let (service, limit, protocol) = match &config.service {
            Service::Http(http) => (Running::Http(Box::new(run_http(http)?)), http.max_connections, "http"),
            Service::Tcp(tcp) => (Running::Tcp(tcp.clone()), tcp.max_connections, "tcp"),
            Service::Udp(udp) => (Running::Udp(udp.clone()), udp.max_sessions, "udp"),
        };
        let shared = before.map_or_else(
            || Arc::new(ListenerShared::new(limit, telemetry.listener(config.address, protocol))),
            |before| Arc::clone(&before.shared),
        );
        Ok(Self { slot: before.map_or(free_slot, |before| before.slot), config: config.clone(), service, shared })
    }

    fn limit(&self) -> usize {
        match &self.service {
            Running::Http(http) => http.config.max_connections,
            Running::Tcp(tcp) => tcp.max_connections,
            Running::Udp(udp) => udp.max_sessions,
        }
    }

    pub fn is_udp(&self) -> bool {
        matches!(self.service, Running::Udp(_))
    }

    /// Whether a configured listener can use this one's socket.
    fn is_at(&self, config: &config::Listener) -> bool {
        let same_kind = matches!(
            (&self.service, &config.service),
            (Running::Http(_), Service::Http(_))
                | (Running::Tcp(_), Service::Tcp(_))
                | (Running::Udp(_), Service::Udp(_))
        );
        self.config.address == config.address && same_kind
    }
}

fn run_http(config: &config::HttpListener) -> Result<Http, Refusal> {
    let place = config.routes.first().map(|route| route.place).unwrap_or_default();
    let problem = |message: String| Refusal { place, message, help: None };
    let rewriter = |route: &config::Route| match &route.action {
        RouteAction::Forward { rewrite: Some(rewrite), .. } => {
            Rewriter::new(rewrite).map(Some).map_err(|error| problem(error.to_string()))
        }
        _ => Ok(None),
    };
    let location = |route: &config::Route| match &route.action {
        RouteAction::Redirect { location, .. } => {
            Location::parse(location).map(Some).map_err(|error| problem(error.to_string()))
        }
        _ => Ok(None),
    };
    Ok(Http {
        tls: config.tls.as_ref().map(tls::Acceptor::new).transpose()?,
        router: Router::new(&config.routes).map_err(|error| problem(error.to_string()))?,
        locations: config.routes.iter().map(location).collect::<Result<_, _>>()?,
        rewriters: config.routes.iter().map(rewriter).collect::<Result<_, _>>()?,
        config: config.clone(),
    })
}
