//! What two processes say to each other over the Unix socket: a line of JSON for each message, and
//! beside it the descriptors of the sockets that it speaks of (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::inherit::Role;

/// Another number: another protocol.
pub const PROTOCOL: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The new process comes.
    Hello { protocol: u32, version: String },
    /// The old one's answer: sockets, one descriptor for each, in this order. `more` follows.
    Sockets { sockets: Vec<Described>, more: bool },
    /// The old one will not.
    Refused { reason: String },
    /// The new one could serve now.
    Ready,
    /// From now on the old one accepts nothing.
    Yours,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    pub role: Role,
    /// As the configuration of the old process says.
    pub address: SocketAddr,
    /// Sockets with the same number belong together.
    pub group: usize,
}

/// The kernel takes 253 descriptors at a time (`SCM_MAX_FD`).
pub const MOST_AT_ONCE: usize = 64;
/// More than 64 descriptions need; a peer that sends more is none of us.
const LONGEST: usize = 64 << 10;

pub struct Wire {
    stream: UnixStream,
    /// Read, but belongs to the next message.
    rest: Vec<u8>,
}

impl Wire {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        Ok(Self { stream, rest: Vec::new() })
    }

    /// The process and the user at the other end, as the kernel knows them.
    pub fn peer(&self) -> io::Result<(i32, u32)> {
        let peer = getsockopt(&self.stream, PeerCredentials)?;
        Ok((peer.pid(), peer.uid()))
    }

    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub fn send(&mut self, message: &Message, descriptors: &[BorrowedFd<'_>], limit: Duration) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.stream.set_write_timeout(Some(limit))?;
        let mut sent = 0;
        if !descriptors.is_empty() {
            let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
            let mut control = SendAncillaryBuffer::new(&mut room);
            if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::Error::other("too many sockets for one message"));
            }
            sent = sendmsg(&self.stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)?;
        }
        self.stream.write_all(&line[sent..])
    }

    /// The next message and its descriptors.
    pub fn receive(&mut self, limit: Duration) -> io::Result<(Message, Vec<OwnedFd>)> {
        let mut descriptors = Vec::new();
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok((serde_json::from_slice(&line)?, descriptors));
            }
            if self.rest.len() > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
            }
            self.stream.set_read_timeout(Some(limit))?;
            self.fill(&mut descriptors)?;
        }
    }

    fn fill(&mut self, descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut room);
        let mut bytes = [0; 4096];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let read = loop {
            match recvmsg(&self.stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                read => break read?.bytes,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process has hung up"));
        }
        self.rest.extend_from_slice(&bytes[..read]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    const LIMIT: Duration = Duration::from_secs(10);

    fn pair() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire::new(one).unwrap(), Wire::new(other).unwrap())
    }

    #[test]
    fn descriptors_arrive_with_their_own_message() {
        let (mut old, mut new) = pair();
        let sockets: Vec<_> = (0..MOST_AT_ONCE).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let described = |socket: &std::net::UdpSocket| Described {
            role: Role::Listener,
            address: socket.local_addr().unwrap(),
            group: 0,
        };
        let message = Message::Sockets { sockets: sockets.iter().map(described).collect(), more: true };
        let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        old.send(&message, &descriptors, LIMIT).unwrap();
        old.send(&Message::Yours, &[], LIMIT).unwrap();
        let (received, owned) = new.receive(LIMIT).unwrap();
        assert_eq!(received, message);
        let addresses: Vec<_> =
            owned.into_iter().map(|fd| std::net::UdpSocket::from(fd).local_addr().unwrap()).collect();
        assert_eq!(addresses, sockets.iter().map(|socket| socket.local_addr().unwrap()).collect::<Vec<_>>());
        assert!(matches!(new.receive(LIMIT).unwrap(), (Message::Yours, none) if none.is_empty()));
        drop(old);
        assert_eq!(new.receive(LIMIT).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn garbage_is_an_error_and_silence_has_an_end() {
        let (mut one, mut other) = pair();
        one.stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        assert!(other.receive(LIMIT).is_err());
        assert!(other.receive(Duration::from_millis(10)).is_err());
        let flood = std::thread::spawn(move || while one.stream.write_all(&[b'x'; 4096]).is_ok() {});
        assert_eq!(other.receive(LIMIT).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(other);
        flood.join().unwrap();
    }
}
