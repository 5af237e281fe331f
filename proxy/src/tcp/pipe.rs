//! Pipes to `splice(2)` through: the kernel moves references to pages from socket to pipe to
//! socket, and no byte is copied. Reused by all connections of a worker; a connection holds one
//! only while bytes are on their way.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

thread_local! {
    static POOL: Pool = const { Pool { free: RefCell::new(Vec::new()), open: Cell::new(0) } };
}

struct Pool {
    free: RefCell<Vec<Ends>>,
    /// Free ones and those in use.
    open: Cell<usize>,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// Goes back to its worker when dropped empty; otherwise it is closed, with the bytes in it.
pub struct Pipe {
    /// There until dropped.
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// Bytes asked for: as much as a user may have in one pipe (`pipe-max-size`). Measured per
    /// 10 MiB over loopback: 3.5 ms of CPU with 64 or 256 KiB, 2.6 ms with 1 MiB.
    pub const SIZE: usize = 1 << 20;
    /// Less is not worth it. The kernel gives so little to a user who has many pipes
    /// (`pipe-user-pages-soft`: 64 MiB by default).
    const SMALLEST: usize = 64 << 10;
    /// How many a worker has at once: so many slow receivers can pin a mebibyte each.
    const LIMIT: usize = 16;

    /// None when the worker has as many as it may, or the system gives no more.
    pub fn take() -> Option<Self> {
        POOL.with(|pool| {
            let free = pool.free.borrow_mut().pop();
            let ends = match free {
                Some(ends) => ends,
                None if pool.open.get() < Self::LIMIT => Ends::open().ok()?,
                None => return None,
            };
            Some(Self { ends: Some(ends), held: 0 })
        })
    }

    /// How many bytes are inside.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves what the socket has, as far as it fits: 0 is the end of the stream. Only for an
    /// empty pipe: then `WouldBlock` can only mean the socket.
    pub fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        debug_assert_eq!(self.held, 0);
        let Some(ends) = &self.ends else { return Ok(0) };
        self.held =
            from.try_io(Interest::READABLE, || Ok(splice(from, None, &ends.write, None, Self::SIZE, FLAGS)?))?;
        Ok(self.held)
    }

    /// Moves what is inside on, as far as the socket takes it.
    pub fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let moved = to.try_io(Interest::WRITABLE, || Ok(splice(&ends.read, None, to, None, self.held, FLAGS)?))?;
        self.held -= moved;
        Ok(moved)
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

impl Ends {
    fn open() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        if fcntl_setpipe_size(&write, Pipe::SIZE).is_err() && fcntl_getpipe_size(&write)? < Pipe::SMALLEST {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        POOL.with(|pool| pool.open.set(pool.open.get() + 1));
        Ok(Self { read, write })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // While the thread ends there is no pool any more, and no need of one.
        let _ = POOL.try_with(|pool| pool.open.set(pool.open.get().saturating_sub(1)));
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.held == 0 {
            let _ = POOL.try_with(|pool| pool.free.borrow_mut().extend(self.ends.take()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::testing::pair;
    use super::*;

    fn open() -> usize {
        POOL.with(|pool| pool.open.get())
    }

    #[tokio::test]
    async fn bytes_pass_and_the_empty_pipe_is_used_again() {
        let ((mut sender, from), (to, mut receiver)) = (pair().await, pair().await);
        for _ in 0..3 {
            sender.write_all(b"hello").await.unwrap();
            from.readable().await.unwrap();
            let mut pipe = Pipe::take().unwrap();
            assert_eq!(pipe.fill(&from).unwrap(), 5);
            to.writable().await.unwrap();
            assert_eq!(pipe.drain(&to).unwrap(), 5);
            let mut text = [0; 5];
            receiver.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"hello");
        }
        assert_eq!(open(), 1);
    }

    #[tokio::test]
    async fn a_pipe_with_bytes_in_it_is_never_used_again() {
        let (mut sender, from) = pair().await;
        sender.write_all(b"of another connection").await.unwrap();
        from.readable().await.unwrap();
        let mut pipe = Pipe::take().unwrap();
        pipe.fill(&from).unwrap();
        assert_eq!(open(), 1);
        drop(pipe);
        assert_eq!(open(), 0);
    }

    #[test]
    fn a_worker_has_only_so_many() {
        let all: Vec<_> = std::iter::from_fn(Pipe::take).collect();
        assert_eq!(all.len(), Pipe::LIMIT);
        drop(all);
        assert!(Pipe::take().is_some());
        assert_eq!(open(), Pipe::LIMIT);
    }
}
