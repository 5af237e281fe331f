//! From one process to the next: the new one asks at a Unix socket for the listening sockets, says
//! when it could serve, and begins when the old one has stopped accepting. Until then the old one
//! goes on as if nothing were; from then on it only finishes what it has.
//!
//! The sockets themselves pass over, each with the connections that wait in its queue: a socket
//! that is bound anew has a queue of its own, and closing the old one would reset what waits there.

mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_blocking};

use crate::inherit::{Group, Inherited, Role, classify};
use crate::listener::SocketKind;
use wire::{Described, MOST_AT_ONCE, Message, PROTOCOL, Wire};

/// A peer on the same machine that has something to say says it at once.
const WORD: Duration = Duration::from_secs(5);
/// The new process has everything but the sockets when it asks for them.
const READY: Duration = Duration::from_secs(30);

/// A socket that may pass over.
pub struct Offered {
    pub role: Role,
    /// As configured.
    pub address: SocketAddr,
    pub group: usize,
    pub socket: SocketKind,
}

/// Where those ask that come after this process.
pub struct Successors {
    path: PathBuf,
    asking: mpsc::Receiver<Successor>,
    task: AbortHandle,
}

/// A process that wants to take over.
pub struct Successor {
    pub pid: i32,
    pub version: String,
    wire: Wire,
}

impl Successors {
    /// Listens at `path`, in the place of whoever listened there before: ask
    /// [`Predecessor::find`] first.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let socket = bind(path).map_err(|error| {
            io::Error::new(error.kind(), format!("the upgrade socket {} cannot be used: {error}", path.display()))
        })?;
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixListener::from_std(socket)?;
        let (sender, asking) = mpsc::channel(1);
        let task = tokio::spawn(accept(socket, sender)).abort_handle();
        Ok(Self { path: path.to_owned(), asking, task })
    }

    pub async fn next(&mut self) -> Successor {
        match self.asking.recv().await {
            Some(successor) => successor,
            None => std::future::pending().await,
        }
    }

    /// Nobody comes after this process, so nobody shall find its socket.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Successors {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// In a folder where only we may write, by a name that is moved into place when only we may
/// connect: nobody finds the socket half made, and the one before it is there until then.
fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    prepare(folder)?;
    let half = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&half);
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(&half)?)?;
    std::fs::set_permissions(&half, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(16)?;
    std::fs::rename(&half, path)?;
    Ok(socket.into())
}

fn prepare(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = std::fs::metadata(folder)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        let message =
            format!("{} must belong to the user who runs jackfield, and nobody else may write to it", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

async fn accept(socket: tokio::net::UnixListener, sender: mpsc::Sender<Successor>) {
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let heard = match stream.into_std() {
            Ok(stream) => {
                spawn_blocking(move || hear(stream)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            Err(error) => Err(error),
        };
        match heard {
            Ok(successor) => {
                if sender.send(successor).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "somebody at the upgrade socket gets nothing"),
        }
    }
}

/// Listens to somebody who has connected: one of ours, of a version that speaks as we do.
fn hear(stream: UnixStream) -> io::Result<Successor> {
    let mut wire = Wire::new(stream)?;
    let (pid, uid) = wire.peer()?;
    let refuse = |wire: &mut Wire, reason: String| {
        let _ = wire.send(&Message::Refused { reason: reason.clone() }, &[], WORD);
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    };
    if !is_trusted(uid) {
        return refuse(&mut wire, format!("uid {uid} (process {pid}) may not have the sockets"));
    }
    match wire.receive(WORD)?.0 {
        Message::Hello { protocol: PROTOCOL, version } => Ok(Successor { pid, version, wire }),
        Message::Hello { protocol, .. } => {
            refuse(&mut wire, format!("process {pid} speaks protocol {protocol}, this one {PROTOCOL}"))
        }
        other => refuse(&mut wire, format!("process {pid} began with {other:?}")),
    }
}

/// The same user, or root, who may do everything anyhow.
fn is_trusted(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw() || uid == 0
}

impl Successor {
    /// A word before the wire is closed: why not.
    pub fn refuse(mut self, reason: &str) {
        let _ = self.wire.send(&Message::Refused { reason: reason.to_owned() }, &[], WORD);
    }

    /// Lends the sockets and waits until the other one is ready to serve. Blocks.
    pub fn lend(&mut self, sockets: &[Offered]) -> io::Result<()> {
        let mut chunks = sockets.chunks(MOST_AT_ONCE).peekable();
        while let Some(chunk) = chunks.next() {
            let described =
                |offered: &Offered| Described { role: offered.role, address: offered.address, group: offered.group };
            let sockets = chunk.iter().map(described).collect();
            let descriptors: Vec<_> = chunk.iter().map(|offered| offered.socket.as_fd()).collect();
            self.wire.send(&Message::Sockets { sockets, more: chunks.peek().is_some() }, &descriptors, WORD)?;
        }
        match self.wire.receive(READY)?.0 {
            Message::Ready => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// They are the other one's now.
    pub fn give(&mut self) -> io::Result<()> {
        self.wire.send(&Message::Yours, &[], WORD)
    }

    /// Ends a [`Self::lend`] that is under way.
    pub fn stopper(&self) -> io::Result<UnixStream> {
        self.wire.stream().try_clone()
    }
}

fn unexpected(message: &Message) -> io::Error {
    let text = match message {
        Message::Refused { reason } => format!("the other process refuses: {reason}"),
        other => format!("the other process said {other:?}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The process that this one takes over from.
pub struct Predecessor {
    wire: Wire,
}

impl Predecessor {
    /// Whoever answers at `path`; none when nobody is there.
    pub fn find(path: &Path) -> io::Result<Option<Self>> {
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let wire = Wire::new(stream)?;
        let (pid, uid) = wire.peer()?;
        if !is_trusted(uid) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("process {pid} there runs as uid {uid}, and not as we do"),
            ));
        }
        Ok(Some(Self { wire }))
    }

    /// Asks for the sockets. Blocks.
    pub fn ask(&mut self) -> io::Result<Inherited> {
        let hello = Message::Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        if let Err(error) = self.wire.send(&hello, &[], WORD) {
            // It may have hung up with a word.
            return Err(self.wire.receive(WORD).map_or(error, |(said, _)| unexpected(&said)));
        }
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        loop {
            let (message, descriptors) = self.wire.receive(READY)?;
            let Message::Sockets { sockets, more } = message else { return Err(unexpected(&message)) };
            if sockets.len() != descriptors.len() {
                let text = format!("{} sockets were announced and {} came", sockets.len(), descriptors.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            for (Described { role, address, group }, descriptor) in sockets.into_iter().zip(descriptors) {
                let socket = classify(descriptor).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("no socket came for {address}"))
                })?;
                let fresh = || Group { role: Some(role), configured: Some(address), sockets: Vec::new() };
                groups.entry(group).or_insert_with(fresh).sockets.push(socket);
            }
            if !more {
                break;
            }
        }
        let mut inherited = Inherited::default();
        for group in groups.into_values() {
            inherited.add(group);
        }
        Ok(inherited)
    }

    /// Says that this process could serve, and waits until the other one does not any more. Blocks.
    pub fn relieve(mut self) -> io::Result<()> {
        self.wire.send(&Message::Ready, &[], WORD)?;
        match self.wire.receive(READY)?.0 {
            Message::Yours => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}
