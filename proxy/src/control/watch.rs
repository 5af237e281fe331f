//! Signals, and files that change.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined2())?,
        })
    }

    pub async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            _ = self.hangup.recv() => Event::Reload,
            _ = self.user.recv() => Event::Upgrade,
        }
    }

    /// Waits to be told to stop; what else is told meanwhile is not lost.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Reloads are not heard while the proxy stops.
    pub async fn stop(&mut self) {
        while self.next().await != Event::Stop {}
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Stop,
    Reload,
    /// A new process of the program that now lies in our place shall take over.
    Upgrade,
}

/// The configuration file and the plugins folder.
pub struct Files {
    watcher: Option<notify::RecommendedWatcher>,
    changes: mpsc::UnboundedReceiver<()>,
    watched: Vec<PathBuf>,
}

impl Files {
    /// Quiet for this long: whoever writes has probably finished.
    const SETTLE: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    pub fn new(paths: &[PathBuf]) -> Self {
        let (sender, changes) = mpsc::unbounded_channel();
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = sender.send(());
            }
        };
        let watcher = notify::recommended_watcher(on_event)
            .inspect_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reloads"))
            .ok();
        let mut files = Self { watcher, changes, watched: Vec::new() };
        files.follow(paths);
        files
    }

    /// Watches the folders of these paths. Editors and package managers replace files, so a
    /// watch on the file itself would be lost.
    pub fn follow(&mut self, paths: &[PathBuf]) {
        let folders: Vec<PathBuf> = paths.iter().map(|path| folder_of(path)).collect();
        if folders == self.watched {
            return;
        }
        let Some(watcher) = &mut self.watcher else { return };
        for old in self.watched.drain(..) {
            let _ = watcher.unwatch(&old);
        }
        for folder in &folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "not watched");
            }
        }
        self.watched = folders;
    }

    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        // A folder where something is always written (a log beside the configuration) settles never.
        let until = tokio::time::Instant::now() + Self::LONGEST;
        while tokio::time::Instant::now() < until
            && let Ok(Some(())) = tokio::time::timeout(Self::SETTLE, self.changes.recv()).await
        {}
    }
}

fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
