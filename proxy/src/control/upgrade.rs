//! The program replaced while it runs: this process takes over from the one before it, and hands
//! over to the one after it. What is said between them stands in `handover`.

use std::io;
use std::net::Shutdown;
use std::process::{Command, Stdio};

use super::{Control, Origin, blocking};
use crate::config::Config;
use crate::handover::{Predecessor, Successor, Successors};
use crate::inherit::Inherited;
use crate::systemd;

/// What a process starts with.
#[derive(Default)]
pub struct Start {
    pub inherited: Inherited,
    /// Take over from the process that runs.
    pub upgrade: bool,
}

/// The process that this one takes over from, once its sockets are in `inherited`.
pub(super) async fn predecessor(config: &Config, start: &mut Start) -> io::Result<Option<Predecessor>> {
    let Some(upgrade) = &config.upgrade else {
        if start.upgrade {
            return Err(io::Error::other(
                "--upgrade: the configuration names no socket to ask at; write `[upgrade]`, then `socket = \"/run/jackfield/upgrade.sock\"`",
            ));
        }
        return Ok(None);
    };
    let (path, wanted) = (upgrade.socket.clone(), start.upgrade);
    let shown = path.display().to_string();
    let asked = blocking(move || {
        let Some(mut predecessor) = Predecessor::find(&path)? else { return Ok(None) };
        if !wanted {
            let message = "another process answers there; `jackfield run --upgrade` takes over from it";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        let inherited = predecessor.ask()?;
        Ok(Some((predecessor, inherited)))
    });
    let asked =
        asked.await?.map_err(|error| io::Error::new(error.kind(), format!("upgrade socket {shown}: {error}")))?;
    if let Some((predecessor, inherited)) = asked {
        start.inherited.extend(inherited);
        return Ok(Some(predecessor));
    }
    if start.upgrade {
        tracing::info!(socket = shown, "nobody to take over from: a plain start");
    }
    Ok(None)
}

/// What became of a successor.
pub(super) enum Handover {
    /// It serves now, and this process only finishes what it has.
    Done,
    /// This process goes on.
    Failed,
    /// This process was told to stop meanwhile.
    Stop,
}

pub(super) async fn next(successors: &mut Option<Successors>) -> Successor {
    match successors {
        Some(successors) => successors.next().await,
        None => std::future::pending().await,
    }
}

impl Control {
    /// Listens for whoever comes after this process.
    pub(super) fn await_successors(&mut self) -> io::Result<()> {
        let upgrade = self.state.config.upgrade.as_ref();
        self.successors = upgrade.map(|upgrade| Successors::listen(&upgrade.socket)).transpose()?;
        Ok(())
    }

    /// Runs the program that lies where this one lay, to take over.
    pub(super) fn start_successor(&self) {
        let Origin::File(config) = &self.origin else { return };
        if self.successors.is_none() {
            tracing::error!("SIGUSR2: no upgrade without `[upgrade]` and its `socket` in the configuration");
            return;
        }
        // As it was called: a link that leads elsewhere by now is followed.
        let Some(program) = std::env::args_os().next() else { return };
        let mut command = Command::new(&program);
        command.args(["run", "-c"]).arg(config).arg("--upgrade").stdin(Stdio::null());
        let program = program.display().to_string();
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(program, %error, "the new process does not start; this one goes on");
                return;
            }
        };
        tracing::info!(program, pid = child.id(), "a new process is to take over");
        std::thread::spawn(move || match child.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::error!(program, %status, "the new process has ended"),
            Err(error) => tracing::error!(program, %error, "the new process cannot be watched"),
        });
    }

    pub(super) async fn hand_over(&mut self, mut successor: Successor) -> Handover {
        let pid = successor.pid;
        tracing::info!(pid, version = successor.version, "a new process asks for the sockets");
        let stopper = successor.stopper();
        let offered = match self.sockets.offer() {
            Ok(offered) => offered,
            Err(error) => {
                successor.refuse(&format!("the sockets cannot be lent: {error}"));
                return failed(pid, &error);
            }
        };
        let lending = blocking(move || successor.lend(&offered).map(|()| successor));
        let lent = tokio::select! {
            lent = lending => lent,
            () = self.signals.stop() => {
                let _ = stopper.map(|stream| stream.shutdown(Shutdown::Both));
                return Handover::Stop;
            }
        };
        let mut successor = match lent {
            Ok(Ok(successor)) => successor,
            Ok(Err(error)) | Err(error) => return failed(pid, &error),
        };
        // From this process, since it is the one that systemd listens to.
        systemd::notify(&format!("MAINPID={pid}"));
        if let Err(error) = successor.give() {
            systemd::notify(&format!("MAINPID={}", std::process::id()));
            return failed(pid, &error);
        }
        tracing::info!(pid, "the new process has taken over");
        Handover::Done
    }
}

fn failed(pid: i32, error: &io::Error) -> Handover {
    tracing::error!(pid, %error, "the new process has not taken over; this one goes on");
    Handover::Failed
}
