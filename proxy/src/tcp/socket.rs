//! System calls on a socket, and what the runtime learns from them. They are made without the C
//! library, whose `send` and `recv` are points at which a thread can be cancelled: to say so costs
//! two atomic exchanges a call, together 1 % of a small round trip.

use std::io;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// 0 is the end of the stream.
pub fn receive(from: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let room = buffer.len();
    attempt(from, Interest::READABLE, room, || Ok(recv(from, buffer, RecvFlags::empty())?.1))
}

pub fn give(to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    attempt(to, Interest::WRITABLE, bytes.len(), || send(to, bytes, SendFlags::NOSIGNAL))
}

/// Fewer than `wanted` bytes mean that the socket is empty, or full, now. The runtime is told (as
/// its own reads and writes do, but not its `try_io`), which spares the call that would find it out.
fn attempt(
    socket: &TcpStream,
    interest: Interest,
    wanted: usize,
    call: impl FnOnce() -> Result<usize, Errno>,
) -> io::Result<usize> {
    let mut moved = 0;
    let result = socket.try_io(interest, || {
        moved = call()?;
        if (1..wanted).contains(&moved) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    if moved > 0 { Ok(moved) } else { result.map(|()| 0) }
}
