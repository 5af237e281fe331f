//! Two listeners that would get each other's connections.

use std::net::{IpAddr, SocketAddr};

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
    bound.extend(admin.map(|(address, place)| Bound { address, udp: false, what: "the admin address", place }));
    bound.sort_by_key(|bound| bound.place.start);
    for (index, later) in bound.iter().enumerate() {
        if let Some(first) = bound[..index].iter().find(|first| overlaps(first, later)) {
            let line = check.line(first.place);
            let message = format!("`{}` overlaps {} `{}` in line {line}", later.address, first.what, first.address);
            check.report(later.place, Problem::new(message).help("give one of them another address or port"));
        }
    }
}

/// The same transport and port, and the same address or one that stands for many. Port 0 is a new
/// port each time.
fn overlaps(a: &Bound, b: &Bound) -> bool {
    let (left, right) = (a.address.ip().to_canonical(), b.address.ip().to_canonical());
    a.udp == b.udp
        && a.address.port() != 0
        && a.address.port() == b.address.port()
        && (left == right || covers(left, right) || covers(right, left))
}

/// `0.0.0.0` stands for all of IPv4; `[::]` takes both families, as listeners open it.
fn covers(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(a: &str, b: &str) -> bool {
        let bound = |address: &str| Bound {
            address: address.parse().unwrap(),
            udp: false,
            what: "the listener",
            place: Place::default(),
        };
        overlaps(&bound(a), &bound(b)) && overlaps(&bound(b), &bound(a))
    }

    #[test]
    fn an_address_overlaps_itself_and_those_it_stands_for() {
        assert!(overlap("127.0.0.1:80", "127.0.0.1:80"));
        assert!(overlap("127.0.0.1:80", "[::ffff:127.0.0.1]:80"));
        assert!(overlap("0.0.0.0:80", "127.0.0.1:80"));
        assert!(overlap("[::]:80", "[::1]:80"));
        assert!(overlap("[::]:80", "127.0.0.1:80"));
        assert!(overlap("[::]:80", "0.0.0.0:80"));
    }

    #[test]
    fn others_do_not_overlap() {
        assert!(!overlap("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!overlap("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!overlap("0.0.0.0:80", "[::1]:80"));
        assert!(!overlap("127.0.0.1:0", "127.0.0.1:0"));
    }
}
