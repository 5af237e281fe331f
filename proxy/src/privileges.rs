//! What root is needed for, and how to stop being root: bound first, then `user` for good, before
//! anything else is done. Certificates and plugins are read as that user, as they are at a reload.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::sys::prctl;
use nix::unistd::{Gid, Group, Uid, User, geteuid, initgroups, setgid, setuid};

use crate::config::FirstLook;
use crate::inherit::{Group as SocketGroup, Inherited};
use crate::listener;

/// No program that this process may start has more rights than the process itself. For the main
/// thread while it is alone: later threads begin with it.
pub fn no_new() {
    if let Err(error) = prctl::set_no_new_privs() {
        tracing::warn!(%error, "no_new_privs is not set");
    }
}

/// Binds what the configuration asks for and becomes its `user`, when root has started the process
/// and there is one. Answers the user's home folder then.
pub fn give_up(first: &FirstLook, inherited: &mut Inherited) -> anyhow::Result<Option<PathBuf>> {
    let Some(name) = &first.user else { return Ok(None) };
    // One that is not there is an error of the configuration, which says it better.
    let Some(user) = User::from_name(name)? else { return Ok(None) };
    let group = first.group.as_deref().map(Group::from_name).transpose()?.flatten();
    if geteuid() == user.uid {
        return Ok(Some(user.dir));
    }
    anyhow::ensure!(
        geteuid().is_root(),
        "the configuration says `user = \"{name}\"`, and uid {} cannot become another user: start as root, or as `{name}`",
        geteuid()
    );
    bind(first, inherited);
    become_user(&user, group.map_or(user.gid, |group| group.gid))?;
    tracing::info!(user = name, uid = user.uid.as_raw(), "not root any more");
    Ok(Some(user.dir))
}

/// Errors are told by whoever finds the socket missing: the process that this one takes over from
/// may have it. Nothing listens yet, and nobody is answered.
fn bind(first: &FirstLook, inherited: &mut Inherited) {
    for bound in first.addresses.iter().filter(|bound| bound.at.port() != 0) {
        if inherited.left().any(|address| address == bound.at) {
            continue;
        }
        if let Ok(sockets) = listener::reserve(bound.at, bound.udp, if bound.admin { 1 } else { first.workers }) {
            inherited.add(SocketGroup { role: None, configured: Some(bound.at), sockets });
        }
    }
}

/// libc does it for all threads of the process.
fn become_user(user: &User, group: Gid) -> io::Result<()> {
    let name = CString::new(user.name.as_str())?;
    initgroups(&name, group)?;
    setgid(group)?;
    setuid(user.uid)?;
    // It cannot be taken back: otherwise it was not given up.
    if !user.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("root's rights could not be given up"));
    }
    Ok(())
}
