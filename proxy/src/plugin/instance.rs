//! One living instance of a plugin, in a store of its own. Made off the workers, moved to one, and
//! thrown away after its first failure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::engine::Engine;
use super::host::Host;
use super::usage::Usage;

/// Loading, starting and configuring an instance may take this long; it never happens on a worker.
const START_DEADLINE: Duration = Duration::from_secs(5);
/// An `update` may rebuild tables, so it gets this many times the deadline of a plain call.
const UPDATE_FACTOR: u32 = 5;

/// Why a call into a plugin gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    #[error("overran its deadline of {0:?}")]
    Deadline(Duration),
    #[error("reached its memory limit of {} KiB", .0 >> 10)]
    Memory(usize),
    #[error("trapped: {0}")]
    Trap(String),
    #[error("refuses its settings: {0}")]
    Refused(String),
    #[error("chose endpoint {answer}, of {endpoints}")]
    OutOfRange { answer: u32, endpoints: usize },
    #[error("chose endpoint {0}, which was tried already or is not among the candidates")]
    NotAllowed(u32),
}

/// `G` is the exported interface that is called.
pub(super) struct Instance<G> {
    pub store: Store<Host>,
    pub guest: G,
    plain: u64,
}

impl<G> Instance<G> {
    /// Instantiates and hands the instance to `configure`, all within the start deadline.
    pub fn start<T>(
        usage: &Arc<Usage>,
        load: impl FnOnce(&mut Store<Host>, &InstancePre<Host>) -> wasmtime::Result<G>,
        configure: impl FnOnce(&G, &mut Store<Host>, &str) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<(Self, T), Failure> {
        let plugin = &usage.plugin;
        let mut store = Store::new(plugin.engine.wasm(), Host::new(usage));
        store.limiter(|host| &mut host.memory);
        store.set_epoch_deadline(Engine::ticks(START_DEADLINE));
        let result = load(&mut store, &plugin.pre)
            .and_then(|guest| configure(&guest, &mut store, &usage.config.settings).map(|answer| (guest, answer)));
        match result {
            Ok((guest, Ok(answer))) => {
                let plain = Engine::ticks(usage.config.limits.deadline);
                Ok((Self { store, guest, plain }, answer))
            }
            Ok((_, Err(refusal))) => Err(Failure::Refused(refusal)),
            Err(error) => Err(failure(&error, &store, START_DEADLINE)),
        }
    }

    /// Before a call: its deadline begins now.
    pub fn arm(&mut self) {
        self.store.set_epoch_deadline(self.plain);
    }

    pub fn arm_for_update(&mut self) {
        self.store.set_epoch_deadline(self.plain * u64::from(UPDATE_FACTOR));
    }

    /// What a failed call means.
    pub fn failure(&self, error: &wasmtime::Error, usage: &Usage) -> Failure {
        failure(error, &self.store, usage.config.limits.deadline)
    }
}

fn failure(error: &wasmtime::Error, store: &Store<Host>, deadline: Duration) -> Failure {
    if error.downcast_ref::<wasmtime::Trap>() == Some(&wasmtime::Trap::Interrupt) {
        return Failure::Deadline(deadline);
    }
    if let Some(limit) = store.data().memory.reached() {
        return Failure::Memory(limit);
    }
    Failure::Trap(error.root_cause().to_string())
}

/// Where a new instance will lie when it is ready.
pub(super) struct Order<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Order<T> {
    /// Has `make` run on a thread of its own: a plugin that is slow to start holds up nobody.
    pub fn place(make: impl FnOnce() -> Option<T> + Send + 'static) -> Self {
        let slot = Arc::new(Mutex::new(None));
        let target = Arc::clone(&slot);
        let work = move || {
            let instance = make();
            *target.lock().unwrap_or_else(PoisonError::into_inner) = instance;
        };
        if let Err(error) = std::thread::Builder::new().name("plugin-start".into()).spawn(work) {
            tracing::error!(%error, "no thread to start a plugin in");
        }
        Self(slot)
    }

    /// The instance, or the order again.
    pub fn collect(self) -> Result<T, OrderState<T>> {
        let waiting = Arc::strong_count(&self.0) > 1;
        let instance = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match instance {
            Some(instance) => Ok(instance),
            None if waiting => Err(OrderState::Waiting(self)),
            None => Err(OrderState::Failed),
        }
    }
}

pub(super) enum OrderState<T> {
    Waiting(Order<T>),
    Failed,
}
