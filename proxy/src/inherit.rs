//! Sockets that were bound before: by systemd, by the process that this one takes over from, or by
//! this one while it was root. A listener takes those of its address; only what nobody has brought
//! is bound anew.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, sockopt};
use serde::{Deserialize, Serialize};

use crate::listener::{SocketKind, local_address};

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Listener,
    Admin,
}

/// Sockets of one address, each with a queue of its own (`SO_REUSEPORT`).
pub struct Group {
    /// None: for whoever has the address.
    pub role: Option<Role>,
    /// As the configuration says, where that is known: with port 0 it differs from where they are bound.
    pub configured: Option<SocketAddr>,
    pub sockets: Vec<SocketKind>,
}

#[derive(Default)]
pub struct Inherited {
    groups: Vec<Group>,
}

impl Inherited {
    pub fn add(&mut self, group: Group) {
        if !group.sockets.is_empty() {
            self.groups.push(group);
        }
    }

    /// A socket that nobody has told more of than what it is.
    pub fn add_socket(&mut self, socket: SocketKind) {
        let address = local_address(&socket).ok();
        let same =
            |group: &&mut Group| group.role.is_none() && group.is_udp() == socket.is_udp() && group.bound() == address;
        match self.groups.iter_mut().find(same) {
            Some(group) => group.sockets.push(socket),
            None => self.groups.push(Group { role: None, configured: None, sockets: vec![socket] }),
        }
    }

    pub fn extend(&mut self, other: Self) {
        self.groups.extend(other.groups);
    }

    /// The sockets for this address, as it is configured; none are left of them here.
    pub fn take(&mut self, role: Role, address: SocketAddr, udp: bool) -> Vec<SocketKind> {
        let fits = |group: &Group| {
            group.is_udp() == udp
                && group.role.is_none_or(|of| of == role)
                && (group.configured.or(group.bound()) == Some(address) || group.bound() == Some(address))
        };
        let position = self.groups.iter().position(fits);
        position.map_or_else(Vec::new, |position| self.groups.remove(position).sockets)
    }

    /// Where the sockets are bound that nobody has taken.
    pub fn left(&self) -> impl Iterator<Item = SocketAddr> {
        self.groups.iter().filter_map(Group::bound)
    }
}

impl Group {
    fn is_udp(&self) -> bool {
        self.sockets.first().is_some_and(SocketKind::is_udp)
    }

    fn bound(&self) -> Option<SocketAddr> {
        self.sockets.first().and_then(|socket| local_address(socket).ok())
    }
}

/// A descriptor as what it is; none when it is no socket that a listener could use.
pub fn classify(fd: OwnedFd) -> Option<SocketKind> {
    let family = sockopt::socket_domain(&fd).ok()?;
    if family != AddressFamily::INET && family != AddressFamily::INET6 {
        return None;
    }
    match sockopt::socket_type(&fd).ok()? {
        SocketType::STREAM => Some(SocketKind::Tcp(fd.into())),
        SocketType::DGRAM => Some(SocketKind::Udp(fd.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::bind;

    fn group(role: Option<Role>, configured: &str) -> Group {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), false, 2, true).unwrap();
        Group { role, configured: Some(configured.parse().unwrap()), sockets }
    }

    #[test]
    fn a_listener_takes_what_is_its_own() {
        let mut inherited = Inherited::default();
        inherited.add(group(Some(Role::Admin), "127.0.0.1:0"));
        inherited.add(group(Some(Role::Listener), "127.0.0.1:0"));
        let second = group(Some(Role::Listener), "127.0.0.1:0");
        let bound = second.bound().unwrap();
        inherited.add(second);
        let any = "127.0.0.1:0".parse().unwrap();
        assert!(inherited.take(Role::Listener, any, true).is_empty());
        assert!(inherited.take(Role::Listener, "127.0.0.1:1".parse().unwrap(), false).is_empty());
        // By where it is, or by what it was called; each one once.
        assert_eq!(local_address(&inherited.take(Role::Listener, bound, false)[0]).unwrap(), bound);
        assert_eq!(inherited.take(Role::Listener, any, false).len(), 2);
        assert!(inherited.take(Role::Listener, any, false).is_empty());
        assert_eq!(inherited.left().count(), 1);
        assert_eq!(inherited.take(Role::Admin, any, false).len(), 2);
    }

    #[test]
    fn sockets_of_one_address_belong_together() {
        let mut inherited = Inherited::default();
        let sockets = bind("127.0.0.1:0".parse().unwrap(), true, 3, true).unwrap();
        let address = local_address(&sockets[0]).unwrap();
        for socket in sockets {
            inherited.add_socket(socket);
        }
        assert_eq!(inherited.take(Role::Listener, address, true).len(), 3);
    }

    #[test]
    fn what_is_no_socket_of_the_internet_is_nothing() {
        assert!(classify(std::fs::File::open("/dev/null").unwrap().into()).is_none());
        assert!(classify(std::os::unix::net::UnixDatagram::unbound().unwrap().into()).is_none());
        assert!(classify(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into()).unwrap().is_udp());
    }
}
