//! The Wasm engine, its deadline clock, and the threads that make new instances.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, OptLevel};

use super::bindings::Everything;
use super::cache::Cache;
use super::host::{Host, hot, preview1, wasi};

/// One for the process. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasm: wasmtime::Engine,
    linker: Linker<Host>,
    cache: Cache,
}

impl Engine {
    /// Deadlines count in these: a call may run up to one longer than its limit.
    pub(super) const TICK: Duration = Duration::from_millis(10);

    /// With a folder for compiled plugins, or without.
    pub fn new(cache: Option<PathBuf>) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.epoch_interruption(true);
        config.cranelift_opt_level(OptLevel::Speed);
        config.max_wasm_stack(256 << 10);
        let wasm = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&wasm);
        Everything::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host)?;
        hot::add_to_linker(&mut linker)?;
        wasi::add_to_linker(&mut linker)?;
        preview1::add_to_linker(&mut linker)?;
        let cache = Cache::new(cache, &wasm);
        let engine = Self(Arc::new(Inner { wasm, linker, cache }));
        engine.start_clock()?;
        Ok(engine)
    }

    /// The clock ends with the last user of the engine.
    fn start_clock(&self) -> std::io::Result<()> {
        let engine = self.0.wasm.weak();
        std::thread::Builder::new().name("wasm-deadlines".into()).spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Self::TICK);
            }
        })?;
        Ok(())
    }

    /// A time limit in ticks; always at least one whole tick.
    pub(super) fn ticks(limit: Duration) -> u64 {
        limit.as_nanos().div_ceil(Self::TICK.as_nanos()) as u64 + 1
    }

    pub(super) fn wasm(&self) -> &wasmtime::Engine {
        &self.0.wasm
    }

    pub(super) fn linker(&self) -> &Linker<Host> {
        &self.0.linker
    }

    /// How many plugins had to be compiled since the start: the others came from the cache.
    pub fn compilations(&self) -> u64 {
        self.0.cache.compiled()
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.0.cache
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}
