//! Two listeners that would get each other's connections.

use std::net::SocketAddr;

use super::check::{Check, Problem};
use crate::config::{Listener, Place, Service};

/// An address that is bound: over TCP or UDP, and where it was written.
struct Bound {
    address: SocketAddr,
    udp: bool,
    what: &'static str,
    place: Place,
}

pub fn report(check: &Check<'_>, admin: Option<(SocketAddr, Place)>, listeners: &[Listener]) {
    let mut bound: Vec<Bound> = listeners
        .iter()
        .map(|listener| Bound {
            address: listener.address,
            udp: matches!(listener.service, Service::Udp(_)),
            what: "the listener",
            place: listener.place,
        })
        .collect();
    bound.extend(admin.map(|(address, place)| Bound {
        address,
        udp: false,
        what: "the admin address",
        place,
    }));
    bound.sort_by_key(|bound| bound.place.start);
    for (index, later) in bound.iter().enumerate() {
        if let Some(first) = bound[..index].iter().find(|first| overlaps(first, later)) {
            let line = check.line(first.place);
            let message = format!(
                "`{}` overlaps {} `{}` in line {line}",
                later.address, first.what, first.address
            );
            check.report(
                later.place,
                Problem::new(message).help("give one of them another address or port"),
            );
        }
    }
}

/// The same port, and one address or one that stands for all of its family. Port 0 is a new port each
/// time; `[::]` does not stand for IPv4 addresses.
fn overlaps(a: &Bound, b: &Bound) -> bool {
    let (left, right) = (a.address.ip(), b.address.ip());
    let same_family = left.is_ipv4() == right.is_ipv4();
    a.udp == b.udp
        && a.address.port() != 0
        && a.address.port() == b.address.port()
        && (left == right || (same_family && (left.is_unspecified() || right.is_unspecified())))
}
