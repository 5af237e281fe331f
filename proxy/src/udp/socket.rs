//! A listener's socket. Bound to a wildcard address, it asks the kernel to which address of this
//! machine each datagram was sent, so that the answer comes from there: a client takes an answer
//! from nowhere else (RFC 1123, section 4.1.3.5; `ip(7)` and `ipv6(7)` on `PKTINFO`).

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use rustix::net::{SendFlags, sendto};
use tokio::io::Interest;
use tokio::net::UdpSocket;

pub struct Socket {
    /// Where it is bound.
    pub address: SocketAddr,
    inner: UdpSocket,
    bound: Bound,
    /// Room for the kernel's message about an address.
    control: RefCell<Vec<u8>>,
}

/// What kind of address that is.
enum Bound {
    /// To one address: answers can come from nowhere else.
    One,
    AllV4,
    /// IPv4 too, in its mapped form.
    AllV6,
}

/// The two ends of a session on the client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    pub client: SocketAddr,
    /// The address that the client sent to, where the socket has several.
    here: Option<IpAddr>,
}

impl Socket {
    pub fn new(inner: UdpSocket) -> io::Result<Self> {
        let address = inner.local_addr()?;
        let bound = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Bound::AllV4,
            IpAddr::V6(ip) if ip.is_unspecified() => Bound::AllV6,
            _ => Bound::One,
        };
        match bound {
            Bound::One => {}
            Bound::AllV4 => setsockopt(&inner, sockopt::Ipv4PacketInfo, &true)?,
            Bound::AllV6 => setsockopt(&inner, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(Self { address, inner, bound, control: RefCell::new(nix::cmsg_space!(in6_pktinfo)) })
    }

    pub async fn readable(&self) -> io::Result<()> {
        self.inner.readable().await
    }

    /// How long the datagram is, and between whom.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Path)> {
        if matches!(self.bound, Bound::One) {
            let (length, client) = self.inner.try_recv_from(buffer)?;
            return Ok((length, Path { client, here: None }));
        }
        self.inner.try_io(Interest::READABLE, || {
            let mut control = self.control.borrow_mut();
            control.clear();
            let room = control.capacity();
            control.resize(room, 0);
            let mut parts = [IoSliceMut::new(buffer)];
            let message =
                recvmsg::<SockaddrStorage>(self.inner.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
            let client =
                message.address.and_then(|address| socket_address(&address)).ok_or(io::ErrorKind::InvalidData)?;
            let here = message.cmsgs().ok().and_then(|mut messages| messages.find_map(|message| address_of(&message)));
            Ok((message.bytes, Path { client, here }))
        })
    }

    /// Does not wait: a datagram for which there is no room is lost, as in any full queue of the
    /// network. (It does not ask the runtime first, which takes a socket for full until it has
    /// heard otherwise.)
    pub fn send(&self, bytes: &[u8], to: &Path) -> io::Result<()> {
        let parts = [IoSlice::new(bytes)];
        let send = |control: ControlMessage<'_>| {
            let client = SockaddrStorage::from(to.client);
            sendmsg(self.inner.as_raw_fd(), &parts, &[control], MsgFlags::empty(), Some(&client))
        };
        match (&self.bound, to.here) {
            (Bound::AllV4, Some(IpAddr::V4(here))) => send(ControlMessage::Ipv4PacketInfo(&in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr { s_addr: u32::from_ne_bytes(here.octets()) },
                ipi_addr: in_addr { s_addr: 0 },
            }))?,
            (Bound::AllV6, Some(IpAddr::V6(here))) => send(ControlMessage::Ipv6PacketInfo(&in6_pktinfo {
                ipi6_addr: in6_addr { s6_addr: here.octets() },
                ipi6_ifindex: 0,
            }))?,
            _ => sendto(&self.inner, bytes, SendFlags::empty(), &to.client)?,
        };
        Ok(())
    }
}

/// The address to answer from. The kernel has put a local one in the place of an IPv4 broadcast
/// address; from a multicast address nothing can be sent, so the routing table chooses.
fn address_of(message: &ControlMessageOwned) -> Option<IpAddr> {
    let address: IpAddr = match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into(),
        ControlMessageOwned::Ipv6PacketInfo(info) => Ipv6Addr::from(info.ipi6_addr.s6_addr).into(),
        _ => return None,
    };
    (!address.is_multicast()).then_some(address)
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends to `target` and wants the answer from there.
    async fn check(bind: &str, target: &str) {
        let socket = Socket::new(UdpSocket::bind(bind).await.unwrap()).unwrap();
        let port = socket.address.port();
        let target = SocketAddr::new(target.parse().unwrap(), port);
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = UdpSocket::bind(any).await.unwrap();
        // A connected socket hears its peer's address only.
        client.connect(target).await.unwrap();
        client.send(b"question").await.unwrap();
        let mut buffer = [0; 16];
        let (length, path) = loop {
            socket.readable().await.unwrap();
            if let Ok(received) = socket.try_receive(&mut buffer) {
                break received;
            }
        };
        assert_eq!(&buffer[..length], b"question");
        socket.send(b"answer", &path).unwrap();
        let length = client.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"answer");
    }

    #[tokio::test]
    async fn answers_come_from_the_address_that_the_client_sent_to() {
        check("127.0.0.3:0", "127.0.0.3").await;
        check("0.0.0.0:0", "127.0.0.2").await;
        check("[::]:0", "127.0.0.2").await;
        check("[::]:0", "::1").await;
    }
}
