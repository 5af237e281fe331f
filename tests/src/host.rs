//! Plugins in the real plugin host, without a proxy around it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jackfield::config::{EndpointConfig, Grant, PluginKind, PluginLimits, Setup};
use jackfield::endpoint::{Endpoint, EndpointSet, EndpointState};
use jackfield::plugin::{Client, Engine, Exchange, Library, Memory, Plugin, Protocol, Stores, Usage};
use jackfield::trial;

pub struct Host {
    pub engine: Engine,
    pub library: Library,
}

impl Host {
    /// With the default plugins.
    #[allow(clippy::new_without_default, reason = "it compiles for seconds")]
    pub fn new() -> Self {
        let engine = Engine::new(None).unwrap();
        let library = Library::read(&engine, None, &Library::default());
        assert_eq!(library.problems, []);
        Self { engine, library }
    }

    pub fn balancers(&self) -> impl Iterator<Item = &str> {
        self.library.iter().filter(|plugin| plugin.kinds().contains(&PluginKind::Balancer)).map(|plugin| &*plugin.name)
    }

    /// A default plugin put to use.
    pub fn usage(&self, name: &str, kind: PluginKind) -> Arc<Usage> {
        usage(self.library.get(name).unwrap(), kind, "{}", None)
    }

    /// A component put to use.
    pub fn usage_of(&self, wasm: &[u8], kind: PluginKind, settings: &str, then: Option<Arc<Usage>>) -> Arc<Usage> {
        let plugin = Plugin::load(&self.engine, "guest", wasm).unwrap();
        usage(&Arc::new(plugin), kind, settings, then)
    }

    /// A guest of the tests, and a store of this name that it is granted.
    pub fn usage_with_store(&self, name: &str, kind: PluginKind, store: &str) -> (Arc<Usage>, Arc<Memory>) {
        let plugin = Arc::new(Plugin::load(&self.engine, name, &guest(name)).unwrap());
        let memory = Arc::new(Memory::new(1 << 20));
        let grants = vec![Grant::State(store.into())];
        let setup = Setup { grants, ..setup(kind, "{}") };
        let stores: Stores = [(store.into(), Arc::clone(&memory) as Arc<_>)].into();
        (trial::usage_with_stores(&plugin, &setup, None, &stores), memory)
    }

    /// A filter put to use with these grants.
    pub fn filter_of(&self, wasm: &[u8], settings: &str, grants: Vec<Grant>) -> Arc<Usage> {
        let plugin = Arc::new(Plugin::load(&self.engine, "guest", wasm).unwrap());
        trial::usage(&plugin, &Setup { grants, ..setup(PluginKind::HttpFilter, settings) }, None)
    }
}

fn usage(plugin: &Arc<Plugin>, kind: PluginKind, settings: &str, then: Option<Arc<Usage>>) -> Arc<Usage> {
    trial::usage(plugin, &setup(kind, settings), then)
}

fn setup(kind: PluginKind, settings: &str) -> Setup {
    Setup {
        kind,
        settings: settings.to_owned(),
        grants: Vec::new(),
        limits: PluginLimits { deadline: Duration::from_millis(200), ..PluginLimits::default() },
        then: None,
        upstreams: Arc::default(),
    }
}

/// Endpoint number `number`, of this weight.
pub fn endpoint(number: u32, weight: u32) -> Arc<Endpoint> {
    let address = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 80));
    let config =
        EndpointConfig { name: address.to_string(), address, weight, labels: Vec::new(), draining: false, tier: 0 };
    Arc::new(Endpoint::new(config, Arc::default()))
}

/// So many healthy endpoints of weights from 1 to 3.
pub fn endpoints(generation: u64, count: u32) -> Arc<EndpointSet> {
    let endpoints = (0..count).map(|number| endpoint(number, 1 + number % 3)).collect();
    let states = vec![EndpointState::Healthy; count as usize];
    Arc::new(EndpointSet::new(generation, endpoints, states, Duration::from_secs(10)))
}

/// The first request of a connection from this address.
pub fn exchange(client: Ipv4Addr) -> Box<Exchange> {
    exchange_on(&connection(client))
}

/// A connection from this address.
pub fn connection(client: Ipv4Addr) -> Arc<Client> {
    Arc::new(Client::new(SocketAddr::from((client, 40_000)), Protocol::Http1, false, None))
}

/// A request on this connection.
pub fn exchange_on(client: &Arc<Client>) -> Box<Exchange> {
    let request = http::Request::get("/api/items?page=2").header("host", "www.example.com");
    let request = request.header("user-agent", "test/1.0").header("accept", "*/*").body(()).unwrap();
    Exchange::new(Arc::clone(client), Some(request.into_parts().0))
}

/// A guest of the tests, by the name of its folder.
pub fn guest(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("JACKFIELD_GUESTS")).join(format!("{name}.wasm"))).unwrap()
}
