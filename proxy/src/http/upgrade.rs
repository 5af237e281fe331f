//! Upgrades (RFC 9110, section 7.8): after 101 both sides speak something else, and we pass bytes.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::endpoint::Active;
use crate::message::{Link, Stream};

/// Puts back what was stripped as belonging to the endpoint's connection.
pub fn announce(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// The endpoint's side, after its 101. The endpoint counts as active until the end.
pub struct Tunnel {
    pub endpoint: Box<Link>,
    pub active: Active,
}

impl Tunnel {
    /// Passes bytes both ways until both sides have finished, or nothing passed for the idle limit
    /// (by up to an eighth late).
    pub async fn run(self, mut client: Link, idle: Duration) -> io::Result<()> {
        let Self { mut endpoint, active } = self;
        // What each side sent together with its head.
        timeout(idle, client.stream.write_all(&endpoint.input)).await??;
        timeout(idle, endpoint.stream.write_all(&client.input)).await??;
        let moved = Cell::new(false);
        let mut client = Watched { stream: &mut client.stream, moved: &moved };
        let mut endpoint = Watched { stream: &mut endpoint.stream, moved: &moved };
        let mut passing = pin!(tokio::io::copy_bidirectional(&mut client, &mut endpoint));
        let mut quiet = 0;
        while quiet <= Self::LOOKS {
            match timeout(idle / Self::LOOKS, passing.as_mut()).await {
                Ok(passed) => {
                    drop(active);
                    return passed.map(|(up, down)| tracing::debug!(up, down, "tunnel ended"));
                }
                Err(_) => quiet = if moved.take() { 0 } else { quiet + 1 },
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "nothing passed through the tunnel for too long"))
    }

    /// How often it looks within the idle limit.
    const LOOKS: u32 = 8;
}

/// Notes that something passed.
struct Watched<'a> {
    stream: &'a mut Stream,
    moved: &'a Cell<bool>,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *this.stream).poll_read(context, buffer))?;
        this.moved.set(this.moved.get() || buffer.filled().len() > before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut *this.stream).poll_write(context, bytes))?;
        this.moved.set(true);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(context)
    }
}
