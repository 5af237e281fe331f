//! What is tried: a plugin, the default plugins that it may wrap, and a use of them without a past.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Grant, OnFailure, Place, PluginKind, PluginUse, Setup};
use crate::plugin::{Engine, Library, LoadError, Memory, Names, Plugin, Stores, Usage};

/// As a store that the configuration says nothing of.
const STORE_BYTES: usize = 64 << 20;

pub struct Subject {
    pub plugin: Arc<Plugin>,
    /// How long it took to compile; none: it came from the cache.
    pub compiled_in: Option<Duration>,
    engine: Engine,
    delegates: BTreeMap<String, Arc<Plugin>>,
}

impl Subject {
    pub fn load(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Self, LoadError> {
        let (begin, before) = (Instant::now(), engine.compilations());
        let plugin = Arc::new(Plugin::load(engine, name, wasm)?);
        let compiled_in = (engine.compilations() > before).then(|| begin.elapsed());
        Ok(Self { plugin, compiled_in, engine: engine.clone(), delegates: BTreeMap::new() })
    }

    /// Loads the default plugin that it is to wrap: before the first use of a setup that names it.
    pub fn prepare(&mut self, setup: &Setup) -> Result<(), LoadError> {
        let Some(name) = setup.then.as_ref().filter(|name| !self.delegates.contains_key(*name)) else { return Ok(()) };
        if let Some(plugin) = Library::default_plugin(&self.engine, name).transpose()? {
            self.delegates.insert(name.clone(), Arc::new(plugin));
        }
        Ok(())
    }

    /// Counters at nothing, nothing failed yet.
    pub fn usage(&self, setup: &Setup) -> Arc<Usage> {
        let delegate = setup.then.as_ref().and_then(|name| self.delegates.get(name));
        let plain = Setup { settings: "{}".to_owned(), grants: Vec::new(), ..setup.clone() };
        usage(&self.plugin, setup, delegate.map(|delegate| usage(delegate, &plain, None)))
    }
}

/// A plugin put to use as a configuration would do it, without one. The stores that it is granted
/// begin empty.
pub fn usage(plugin: &Arc<Plugin>, setup: &Setup, then: Option<Arc<Usage>>) -> Arc<Usage> {
    let granted = setup.grants.iter().filter_map(|grant| match grant {
        Grant::State(name) => Some((Arc::clone(name), Arc::new(Memory::new(STORE_BYTES)) as Arc<_>)),
        _ => None,
    });
    usage_with_stores(plugin, setup, then, &granted.collect())
}

pub fn usage_with_stores(plugin: &Arc<Plugin>, setup: &Setup, then: Option<Arc<Usage>>, stores: &Stores) -> Arc<Usage> {
    let config = PluginUse {
        plugin: Arc::clone(&plugin.name),
        kind: setup.kind,
        label: "test".into(),
        settings: setup.settings.clone(),
        on_failure: match setup.kind {
            PluginKind::Balancer => OnFailure::Fallback,
            PluginKind::HttpFilter => OnFailure::Closed,
        },
        limits: setup.limits,
        grants: setup.grants.clone(),
        then: None,
        place: Place::default(),
    };
    let names: Names = setup.upstreams.iter().enumerate().map(|(index, name)| (name.as_str().into(), index)).collect();
    let usage = Usage::new(config, Arc::clone(plugin), then, Arc::new(names), Arc::default());
    Arc::new(usage.with_stores(stores))
}
