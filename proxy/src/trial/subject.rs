//! What is tried: a plugin, the default plugins that it may wrap, and a use of them without a past.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{OnFailure, Place, PluginKind, PluginUse, Setup};
use crate::plugin::{Engine, Library, LoadError, Names, Plugin, Usage};

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

/// A plugin put to use as a configuration would do it, without one.
pub fn usage(plugin: &Arc<Plugin>, setup: &Setup, then: Option<Arc<Usage>>) -> Arc<Usage> {
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
        then: None,
        place: Place::default(),
    };
    let config = hand_on_grants(config, &setup.grants);
    let names: Names = setup.upstreams.iter().enumerate().map(|(index, name)| (name.as_str().into(), index)).collect();
    Arc::new(Usage::new(config, Arc::clone(plugin), then, Arc::new(names), Arc::default()))
}

/// The one place where the grants of a case reach the use of the plugin. The configuration of a use
/// has no place for grants yet, and the host asks for none: so far there is nothing to do.
fn hand_on_grants(config: PluginUse, _grants: &[String]) -> PluginUse {
    config
}
