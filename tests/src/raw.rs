//! An origin that does, byte by byte, what a test says.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::{DEADLINE, Message};

pub struct RawOrigin {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

/// A connection to it; the position tells which, from 0.
pub struct RawConnection {
    pub reader: BufReader<TcpStream>,
    pub position: usize,
}

impl RawOrigin {
    /// Each connection on a thread of its own.
    pub fn start(serve: impl Fn(RawConnection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin =
            Self { address: listener.local_addr().unwrap(), accepted: Arc::default(), stopped: Arc::default() };
        let (accepted, stopped, serve) = (Arc::clone(&origin.accepted), Arc::clone(&origin.stopped), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(DEADLINE));
                let connection =
                    RawConnection { reader: BufReader::new(stream), position: accepted.fetch_add(1, SeqCst) };
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(connection));
            }
        });
        origin
    }

    /// Answers every request with these bytes.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut connection| {
            while connection.request().is_some() {
                connection.send(&answer);
            }
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.stopped.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl RawConnection {
    /// The next whole request; none when there is no more.
    pub fn request(&mut self) -> Option<Message> {
        Message::read_request(&mut self.reader).ok().flatten()
    }

    /// A peer that is gone is no failure here.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.reader.get_mut().write_all(bytes.as_ref()).is_ok()
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
