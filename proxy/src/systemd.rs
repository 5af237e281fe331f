//! What systemd and a service say to each other: sockets that it hands over (`sd_listen_fds(3)`),
//! and how the service is doing (`sd_notify(3)`). Without systemd nothing of it happens.

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::inherit::{self, Inherited};

const FIRST_FD: i32 = 3;
const VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// The sockets of `LISTEN_FDS`, and the variables gone. For the main thread, while it is alone and
/// has opened nothing that it keeps.
pub fn sockets() -> Inherited {
    let [pid, count, names] = VARIABLES.map(|name| std::env::var(name).ok());
    forget();
    let mut inherited = Inherited::default();
    let is_for_us = pid.and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let count: i32 = count.filter(|_| is_for_us).and_then(|count| count.parse().ok()).unwrap_or(0);
    let names = names.unwrap_or_default();
    let mut names = names.split(':');
    for number in FIRST_FD..FIRST_FD.saturating_add(count) {
        let name = names.next().unwrap_or("");
        let Some(socket) = take(number).and_then(inherit::classify) else {
            tracing::warn!(fd = number, name, "systemd passed something that is no TCP or UDP socket");
            continue;
        };
        inherited.add_socket(socket);
    }
    inherited
}

#[allow(unsafe_code)]
fn forget() {
    for name in VARIABLES {
        // SAFETY: nobody else reads or writes the environment meanwhile, since the process has one thread.
        unsafe { std::env::remove_var(name) };
    }
}

#[allow(unsafe_code)]
fn take(number: i32) -> Option<OwnedFd> {
    // Closed ones have no entry; a wrong LISTEN_FDS is no reason to own what is not there.
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).ok()?;
    // SAFETY: LISTEN_PID says that the descriptors from 3 on are ours; this one is open, and nobody
    // else owns it: it is asked for once, before the process has opened anything that it keeps.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(fd)
}

/// Tells the service manager, if there is one that listens: lines like `READY=1`.
pub fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else { return };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, state, "the service manager cannot be told");
    }
}

/// The clock that `Type=notify-reload` compares.
pub fn notify_reloading() {
    match nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC) {
        Ok(now) => notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000)),
        Err(error) => tracing::warn!(%error, "the service manager is not told of a reload"),
    }
}
