//! The control side: what starts the workers, watches files and signals, and replaces the state as
//! a whole or not at all. Runs on a thread of its own; the data path never waits for it.

mod prepare;
mod watch;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::{self, Config, Diagnostic, Diagnostics, Source};
use crate::plugin::{Engine, FileProblem, Library};
use crate::state::State;
use crate::telemetry::{AccessLog, Telemetry};
use crate::worker::{Command, Parts};
use crate::{admin, health, refresh};
use prepare::{Before, Found, prepare};
pub use prepare::{Origin, check};
use workers::{WorkerThread, bind_admin, bind_new};

/// Why the proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Config(#[from] Diagnostics),
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// A running proxy.
pub struct Control {
    origin: Origin,
    engine: Engine,
    library: Arc<Library>,
    state: Arc<State>,
    workers: Vec<WorkerThread>,
    telemetry: Arc<Telemetry>,
    access: Option<AccessLog>,
    admin: Arc<admin::Shared>,
    /// The tasks of the state's health checks; they end when this is replaced.
    health: health::Checks,
    /// Likewise.
    timers: Option<refresh::Timers>,
    signals: watch::Signals,
    files: watch::Files,
}

impl Control {
    /// Binds everything and starts the workers; nothing is bound when anything is wrong. Call on a
    /// tokio runtime, which then carries health checks and the admin address.
    pub async fn start(origin: Origin, engine: Engine) -> Result<Self, StartError> {
        // Before anyone can know that we are here: an early SIGHUP must not end the process.
        let signals = watch::Signals::new()?;
        let telemetry = Arc::new(Telemetry::default());
        let prepared = blocking({
            let (origin, engine, telemetry) = (origin.clone(), engine.clone(), Arc::clone(&telemetry));
            move || prepare(&origin, &engine, None, &telemetry)
        })
        .await??;
        let Found::New(prepared) = prepared else { return Err(std::io::Error::other("nothing to run").into()) };
        let config = Arc::clone(&prepared.state.config);
        let access = access_log(&config, &telemetry)?;
        let admin_socket = config.admin.map(bind_admin).transpose()?;
        let mut parts = prepared.parts;
        bind_new(&prepared.state, None, &mut parts)?;
        let workers = (0..parts.len())
            .map(|index| WorkerThread::start(index, access.as_ref(), &telemetry))
            .collect::<std::io::Result<Vec<_>>>()?;
        let admin = Arc::new(admin::Shared::new(Arc::clone(&telemetry)));
        if let Some(socket) = admin_socket {
            tracing::info!(address = %socket.local_addr()?, "admin listens");
            admin::start(socket, Arc::clone(&admin))?;
        }
        let (library, state) = (prepared.library, prepared.state);
        let files = watch::Files::new(&watched(&origin, &state));
        let health = health::Checks::default();
        let timers = None;
        let mut control =
            Self { origin, engine, library, state, workers, telemetry, access, admin, health, timers, signals, files };
        control.install(parts).await;
        control.after_change(&[]);
        tracing::info!(workers = control.workers.len(), "ready");
        Ok(control)
    }

    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Reads file and plugins folder again and replaces what runs, or leaves it as it is.
    pub async fn reload(&mut self) -> Result<(), Diagnostics> {
        self.follow(true).await
    }

    /// Does nothing when neither the configuration nor a plugin has changed, unless forced.
    async fn follow(&mut self, force: bool) -> Result<(), Diagnostics> {
        let result = self.replace(force).await;
        match &result {
            Ok(false) => {}
            Ok(true) => {
                self.telemetry.reloads.fetch_add(1, Relaxed);
                tracing::info!(version = self.state.version, "configuration replaced");
            }
            Err(problem) => {
                self.telemetry.failed_reloads.fetch_add(1, Relaxed);
                self.admin.reload_failed(&problem.to_string());
                tracing::error!("configuration refused, the old one goes on:\n{problem}");
            }
        }
        result.map(|_| ())
    }

    /// Answers whether anything was replaced.
    async fn replace(&mut self, force: bool) -> Result<bool, Diagnostics> {
        let (origin, engine, telemetry) = (self.origin.clone(), self.engine.clone(), Arc::clone(&self.telemetry));
        let (library, state) = (Arc::clone(&self.library), Arc::clone(&self.state));
        let before = Before { library, state, workers: self.workers.len(), force };
        let work = move || prepare(&origin, &engine, Some(&before), &telemetry);
        let prepared = blocking(work).await.map_err(|error| self.problem(error.to_string()))??;
        let prepared = match prepared {
            Found::New(prepared) => prepared,
            Found::Unchanged(library) => {
                if library.problems != self.library.problems {
                    let before = std::mem::replace(&mut self.library, library);
                    self.tell(&before.problems);
                }
                return Ok(false);
            }
        };
        self.warn_of_restart(&prepared.state.config);
        let mut parts = prepared.parts;
        bind_new(&prepared.state, Some(&self.state), &mut parts).map_err(|error| self.problem(error.to_string()))?;
        let before = std::mem::replace(&mut self.library, prepared.library);
        self.state = prepared.state;
        self.install(parts).await;
        self.after_change(&before.problems);
        Ok(true)
    }

    /// What is read once, when the process starts.
    fn warn_of_restart(&self, new: &Config) {
        let old = &self.state.config;
        let changed = [
            ("workers", new.workers != old.workers),
            ("admin", new.admin != old.admin),
            ("log", new.log != old.log),
            ("cache", new.cache != old.cache),
        ];
        for (key, _) in changed.iter().filter(|(_, changed)| *changed) {
            tracing::warn!(key, "this change takes effect when the proxy is restarted");
        }
    }

    fn problem(&self, message: String) -> Diagnostics {
        let name = match &self.origin {
            Origin::File(path) => path.display().to_string(),
            Origin::Text(source) => source.name.clone(),
        };
        let source = Source { name, text: String::new(), folder: PathBuf::new() };
        Diagnostics::new(source, vec![Diagnostic { place: config::Place::default(), message, help: None }])
    }

    /// Answers once every worker has taken the new state over.
    async fn install(&self, parts: Vec<Parts>) {
        let mut pending = Vec::new();
        for (worker, parts) in self.workers.iter().zip(parts) {
            let (done, taken) = oneshot::channel();
            let _ = worker.commands.send(Command::Install(Box::new(parts), done));
            pending.push(taken);
        }
        for taken in pending {
            let _ = taken.await;
        }
        self.state.take_effect();
    }

    fn after_change(&mut self, known: &[FileProblem]) {
        // The old ones end first: what they find now would not reach the new state.
        self.health = health::Checks::default();
        self.health = health::start(&self.state.upstreams);
        // The old ones first: what they know of when to go on is the new ones'.
        drop(self.timers.take());
        self.timers = Some(refresh::start(&self.state));
        self.tell(known);
    }

    /// Shows what there is now on the admin pages, and what is new of it in the log.
    fn tell(&self, known: &[FileProblem]) {
        for problem in self.library.problems.iter().filter(|problem| !known.contains(problem)) {
            tracing::error!(file = %problem.path.display(), "not loaded as a plugin: {}", problem.reason);
        }
        self.admin.show(admin::Snapshot {
            version: self.state.version,
            upstreams: self.state.upstreams.clone(),
            usages: self.state.usages.clone(),
            library: Arc::clone(&self.library),
            stores: self.state.stores.clone(),
        });
    }

    /// Serves until told to stop, following files and signals.
    pub async fn run(mut self) -> std::io::Result<()> {
        // What changed between the first reading and the first watching.
        let _ = self.follow(false).await;
        loop {
            let asked = tokio::select! {
                event = self.signals.next() => Some(event),
                () = self.files.changed() => None,
            };
            if asked == Some(watch::Event::Stop) {
                break;
            }
            // What went wrong is in the log and on the admin address; the old state goes on.
            let _ = self.follow(asked.is_some()).await;
            self.files.follow(&watched(&self.origin, &self.state));
        }
        self.shut_down().await;
        Ok(())
    }

    /// Accepts nothing more and lets what runs finish, within the configured limit or until told
    /// to stop once more.
    async fn shut_down(mut self) {
        self.admin.draining();
        let limit = self.state.config.drain_timeout;
        tracing::info!(limit_seconds = limit.as_secs(), "stopping: what runs may finish");
        tokio::select! {
            () = drain(&self.workers, limit) => {}
            () = self.signals.stop() => tracing::warn!("stopping at once"),
        }
        self.finish();
    }

    /// Ends the workers, and whatever they still do.
    pub fn finish(&mut self) {
        for worker in self.workers.drain(..) {
            drop(worker.commands);
            if let Some(thread) = worker.thread {
                let _ = thread.join();
            }
        }
        if let Some(access) = self.access.take() {
            access.finish(Duration::from_secs(2));
        }
    }
}

/// What is followed while it runs: the configuration file, and the plugins folder.
fn watched(origin: &Origin, state: &State) -> Vec<PathBuf> {
    let file = match origin {
        Origin::File(path) => Some(path.clone()),
        Origin::Text(_) => None,
    };
    file.into_iter().chain(state.config.plugins.clone()).collect()
}

async fn drain(workers: &[WorkerThread], limit: Duration) {
    let mut pending = Vec::new();
    for worker in workers {
        let (done, drained) = oneshot::channel();
        let _ = worker.commands.send(Command::Drain(done));
        pending.push(drained);
    }
    let all = async {
        for drained in pending {
            let _ = drained.await;
        }
    };
    if tokio::time::timeout(limit, all).await.is_err() {
        tracing::warn!("the drain limit is reached; what still runs is cut off");
    }
}

/// A process-wide task that may block, away from the control runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)
}

fn access_log(config: &Config, telemetry: &Telemetry) -> std::io::Result<Option<AccessLog>> {
    let start = || {
        let dropped = Arc::clone(&telemetry.dropped_lines);
        AccessLog::start(config.log.format, Box::new(std::io::stdout()), dropped)
    };
    config.log.access.then(start).transpose()
}

/// What the file says of the log, as far as it can be read: the log is there before the file is
/// checked, since the checks use it.
pub fn log_settings(path: &Path) -> Option<(String, config::LogFormat)> {
    config::peek(path).map(|first| (first.log_level, first.log_format))
}

/// Where compiled plugins are kept: as the file says, or in the user's cache folder.
pub fn cache_folder(path: &Path) -> Option<PathBuf> {
    let configured = config::peek(path).and_then(|first| first.cache);
    configured.or_else(|| {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        base.filter(|base| base.is_absolute()).or_else(home).map(|base| base.join("jackfield"))
    })
}
