//! One living instance of a plugin, in a store of its own. Made off the workers, moved to one, and
//! thrown away after its first failure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

use super::deadline::{Deadline, thread_cpu_time};
use super::engine::Engine;
use super::host::Host;
use super::usage::Usage;

/// Loading, starting and configuring an instance may take this long; it never happens on a worker.
const START_DEADLINE: Duration = Duration::from_secs(5);
/// An `update` may rebuild tables, so it gets this many times the deadline of a plain call.
const UPDATE_FACTOR: u32 = 5;

/// What a plugin may hand over in one call, in bytes: an answer's body and its headers. A body in place
/// of another may have as many as its use's limit where that is more.
const MOST_HANDED_OVER: usize = 2 << 20;
/// Component-model handles that an instance may keep.
const MOST_HANDLES: usize = 10_000;

/// Why a call into a plugin gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    #[error("overran its deadline of {0:?}")]
    Deadline(Duration, Frames),
    #[error("reached its memory limit of {} KiB", .0 >> 10)]
    Memory(usize, Frames),
    #[error("trapped: {0}")]
    Trap(String, Frames),
    #[error("refuses its settings: {0}")]
    Refused(String),
    #[error("chose endpoint {answer}, of {endpoints}")]
    OutOfRange { answer: u32, endpoints: usize },
    #[error("chose endpoint {0}, which was tried already or is not among the candidates")]
    NotAllowed(u32),
}

impl Failure {
    /// Where in the plugin it happened, innermost first, as far as that is known.
    pub fn backtrace(&self) -> Option<&str> {
        match self {
            Self::Deadline(_, frames) | Self::Memory(_, frames) | Self::Trap(_, frames) => {
                Some(&*frames.0).filter(|names| !names.is_empty())
            }
            Self::Refused(_) | Self::OutOfRange { .. } | Self::NotAllowed(_) => None,
        }
    }
}

/// The names of the plugin's functions, as far as it has them.
#[derive(Debug, Clone)]
pub struct Frames(String);

impl Frames {
    const MOST_FRAMES: usize = 12;

    /// From the lines of wasmtime's own text, in which names are demangled: `0: 0x1d5 - module!name`.
    fn of(error: &wasmtime::Error) -> Self {
        let text = error.downcast_ref::<wasmtime::WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
        let frames = text.lines().filter_map(|line| line.split_once(" - "));
        let names = frames.map(|(_, place)| place.split_once('!').map_or(place, |(_, name)| name));
        Self(readable(&names.take(Self::MOST_FRAMES).collect::<Vec<_>>().join(" < ")))
    }
}

/// `G` is the exported interface that is called.
pub(super) struct Instance<G> {
    pub store: Store<Host>,
    pub guest: G,
    plain: u64,
    deadline: Duration,
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
        store.set_hostcall_fuel(MOST_HANDED_OVER.max(usage.config.limits.body));
        store.set_max_component_handles(MOST_HANDLES);
        store.epoch_deadline_callback(|mut context| {
            let more = context.data_mut().deadline.expired(thread_cpu_time());
            Ok(more.map_or(UpdateDeadline::Interrupt, UpdateDeadline::Continue))
        });
        arm(&mut store, Engine::ticks(START_DEADLINE));
        let result = load(&mut store, &plugin.pre)
            .and_then(|guest| configure(&guest, &mut store, &usage.config.settings).map(|answer| (guest, answer)));
        match result {
            Ok((guest, Ok(answer))) => {
                let deadline = usage.config.limits.deadline;
                Ok((Self { store, guest, plain: Engine::ticks(deadline), deadline }, answer))
            }
            Ok((_, Err(refusal))) => Err(Failure::Refused(readable(&refusal))),
            Err(error) => Err(failure(&error, &store, START_DEADLINE)),
        }
    }

    /// Before a call: its deadline begins now.
    pub fn arm(&mut self) {
        arm(&mut self.store, self.plain);
    }

    pub fn arm_for_update(&mut self) {
        arm(&mut self.store, Engine::ticks(self.deadline * UPDATE_FACTOR));
    }

    /// What a failed call means.
    pub fn failure(&self, error: &wasmtime::Error) -> Failure {
        failure(error, &self.store, self.deadline)
    }

    /// What a failed update means.
    pub fn update_failure(&self, error: &wasmtime::Error) -> Failure {
        failure(error, &self.store, self.deadline * UPDATE_FACTOR)
    }
}

fn arm(store: &mut Store<Host>, ticks: u64) {
    let deadline = Deadline::of(ticks);
    store.set_epoch_deadline(deadline.first_half());
    let host = store.data_mut();
    host.deadline = deadline;
    host.stdio.forget();
}

fn failure(error: &wasmtime::Error, store: &Store<Host>, deadline: Duration) -> Failure {
    let backtrace = Frames::of(error);
    if error.downcast_ref::<wasmtime::Trap>() == Some(&wasmtime::Trap::Interrupt) {
        return Failure::Deadline(deadline, backtrace);
    }
    if let Some(limit) = store.data().memory.reached() {
        return Failure::Memory(limit, backtrace);
    }
    let said = store.data().stdio.last_words().map_or_else(String::new, |words| format!("; it said: {words}"));
    Failure::Trap(readable(&format!("{}{said}", error.root_cause())), backtrace)
}

/// A plugin's words for the log and the terminal: bounded, and without control characters that
/// would make them look like somebody else's.
pub(super) fn readable(text: &str) -> String {
    const MAX_BYTES: usize = 2048;
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
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
