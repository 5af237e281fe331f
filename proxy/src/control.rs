//! The control side: what starts the workers, watches files and signals, and replaces the state as
//! a whole or not at all. Runs on a thread of its own; the data path never waits for it.

mod prepare;
mod sockets;
mod upgrade;
mod watch;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::{self, Config, Diagnostic, Diagnostics, Source};
use crate::inherit::Inherited;
use crate::listener::Socket;
use crate::plugin::{Engine, FileProblem, Library};
use crate::state::State;
use crate::telemetry::{AccessLog, Telemetry};
use crate::worker::{Command, Parts};
use crate::{admin, handover, health, refresh, systemd};
use prepare::{Before, Found, prepare};
pub use prepare::{Origin, check};
use sockets::Sockets;
use upgrade::Handover;
pub use upgrade::Start;
use workers::WorkerThread;

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
    /// Ends the serving of the admin address when it is dropped.
    admin_server: Option<oneshot::Sender<()>>,
    sockets: Sockets,
    successors: Option<handover::Successors>,
    /// The tasks of the state's health checks; they end when this is replaced.
    health: health::Checks,
    /// Likewise.
    timers: Option<refresh::Timers>,
    signals: watch::Signals,
    files: watch::Files,
}

impl Control {
    /// Binds everything, or takes it over, and starts the workers; nothing is bound when anything is
    /// wrong. Call on a tokio runtime, which then carries health checks and the admin address.
    pub async fn start(origin: Origin, engine: Engine, mut start: Start) -> Result<Self, StartError> {
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
        // Not before everything else is known to be right: the other process may be held up by it.
        let predecessor = upgrade::predecessor(&config, &mut start).await?;
        let (mut sockets, mut inherited, mut parts) = (Sockets::default(), start.inherited, prepared.parts);
        let admin_socket = config.admin.map(|address| sockets.admin(address, &mut inherited)).transpose()?;
        sockets.bind_new(&prepared.state, None, &mut inherited, &mut parts)?;
        let workers = (0..parts.len())
            .map(|index| WorkerThread::start(index, access.as_ref(), &telemetry))
            .collect::<std::io::Result<Vec<_>>>()?;
        let admin = Arc::new(admin::Shared::new(Arc::clone(&telemetry)));
        let (library, state) = (prepared.library, prepared.state);
        let files = watch::Files::new(&watched(&origin, &state));
        let (health, timers, admin_server, successors) = (health::Checks::default(), None, None, None);
        let mut control = Self {
            origin,
            engine,
            library,
            state,
            workers,
            telemetry,
            access,
            admin,
            admin_server,
            sockets,
            successors,
            health,
            timers,
            signals,
            files,
        };
        let listening: Vec<_> = parts.iter_mut().map(|parts| std::mem::take(&mut parts.sockets)).collect();
        control.install(parts).await;
        if let Some(predecessor) = predecessor {
            blocking(move || predecessor.relieve()).await??;
        }
        for address in inherited.left() {
            tracing::warn!(%address, "a socket was handed over for which there is no listener");
        }
        drop(inherited);
        control.listen(listening, admin_socket)?;
        control.await_successors()?;
        control.after_change(&[]);
        tracing::info!(workers = control.workers.len(), "ready");
        systemd::notify("READY=1");
        Ok(control)
    }

    /// Begins to accept.
    fn listen(&mut self, sockets: Vec<Vec<Socket>>, admin: Option<std::net::TcpListener>) -> std::io::Result<()> {
        for (worker, sockets) in self.workers.iter().zip(sockets) {
            let _ = worker.commands.send(Command::Listen(sockets));
        }
        if let Some(socket) = admin {
            tracing::info!(address = %socket.local_addr()?, "admin listens");
            self.admin_server = Some(admin::start(socket, Arc::clone(&self.admin))?);
        }
        Ok(())
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
        self.sockets
            .bind_new(&prepared.state, Some(&self.state), &mut Inherited::default(), &mut parts)
            .map_err(|error| self.problem(error.to_string()))?;
        self.sockets.retain(&prepared.state);
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
            ("upgrade", new.upgrade != old.upgrade),
            ("user", new.user != old.user),
            ("group", new.group != old.group),
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

    /// Serves until told to stop or taken over, following files and signals.
    pub async fn run(mut self) -> std::io::Result<()> {
        // What changed between the first reading and the first watching.
        let mut stopped = self.follow_until_stopped(false).await?;
        while !stopped {
            let asked = tokio::select! {
                event = self.signals.next() => Asked::Signal(event),
                () = self.files.changed() => Asked::Files,
                successor = upgrade::next(&mut self.successors) => Asked::Successor(successor),
            };
            match asked {
                Asked::Signal(watch::Event::Stop) => break,
                Asked::Signal(watch::Event::Upgrade) => self.start_successor(),
                Asked::Signal(watch::Event::Reload) => {
                    systemd::notify_reloading();
                    stopped = self.follow_until_stopped(true).await?;
                    systemd::notify("READY=1");
                }
                Asked::Files => stopped = self.follow_until_stopped(false).await?,
                Asked::Successor(successor) => match self.hand_over(successor).await {
                    Handover::Done => return self.retire().await,
                    Handover::Failed => {}
                    Handover::Stop => break,
                },
            }
            self.files.follow(&watched(&self.origin, &self.state));
        }
        self.shut_down().await
    }

    /// Follows, and answers whether it was told to stop meanwhile: what is being read may be a plugin that
    /// compiles for minutes. What went wrong is in the log and on the admin address; the old state goes on.
    async fn follow_until_stopped(&mut self, force: bool) -> std::io::Result<bool> {
        let mut signals = std::mem::replace(&mut self.signals, watch::Signals::new()?);
        let stopped = tokio::select! {
            _ = self.follow(force) => false,
            () = signals.ended() => true,
        };
        self.signals = signals;
        Ok(stopped)
    }

    /// Says that it is not ready any more, accepts for as long as others need to hear it, and then
    /// lets what runs finish.
    async fn shut_down(mut self) -> std::io::Result<()> {
        self.admin.draining();
        systemd::notify("STOPPING=1");
        if let Some(successors) = self.successors.take() {
            successors.remove();
        }
        let (delay, limit) = (self.state.config.drain_delay, self.state.config.drain_timeout);
        if !delay.is_zero() {
            tracing::info!(seconds = delay.as_secs_f64(), "not ready any more, still accepting");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.signals.stop() => {
                    tracing::warn!("stopping at once");
                    self.finish();
                    return Ok(());
                }
            }
        }
        tracing::info!(limit_seconds = limit.as_secs(), "stopping: what runs may finish");
        self.end(limit, false).await
    }

    /// The sockets are another process's now, and what waits in them too.
    async fn retire(mut self) -> std::io::Result<()> {
        self.admin.draining();
        self.admin_server = None;
        // Its path is the new one's.
        self.successors = None;
        let config = &self.state.config;
        let limit = config.upgrade.as_ref().map_or(config.drain_timeout, |upgrade| upgrade.drain_timeout);
        tracing::info!(limit_seconds = limit.as_secs(), "taken over: what runs here may finish");
        self.end(limit, true).await
    }

    /// Accepts nothing more and lets what runs finish, within this limit or until told to stop
    /// (once more).
    async fn end(mut self, limit: Duration, handed_over: bool) -> std::io::Result<()> {
        self.sockets.close();
        tokio::select! {
            () = drain(&self.workers, limit, handed_over) => {}
            () = self.signals.stop() => tracing::warn!("stopping at once"),
        }
        self.finish();
        Ok(())
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

/// What the control side is asked for.
enum Asked {
    Signal(watch::Event),
    Files,
    Successor(handover::Successor),
}

async fn drain(workers: &[WorkerThread], limit: Duration, handed_over: bool) {
    let mut pending = Vec::new();
    for worker in workers {
        let (done, drained) = oneshot::channel();
        let _ = worker.commands.send(Command::Drain { handed_over, done });
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

/// Where compiled plugins are kept: as the file says, or in the user's cache folder. `home`: of whom
/// the process has become; the environment is then still another's.
pub fn cache_folder(path: &Path, home: Option<PathBuf>) -> Option<PathBuf> {
    let configured = config::peek(path).and_then(|first| first.cache);
    configured.or_else(|| {
        if let Some(home) = home {
            return Some(home.join(".cache/jackfield"));
        }
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        base.filter(|base| base.is_absolute()).or_else(home).map(|base| base.join("jackfield"))
    })
}
