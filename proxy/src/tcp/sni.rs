//! The server name that a TLS client asks for, read from its first bytes without taking them: TLS
//! itself passes through.

use std::io;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::buffer::Buffer;
use super::hello::{self, Unreadable};
use crate::config::UpstreamIndex;

/// How long a client may take for its first message.
const TIME_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum NoName {
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    #[error("the TLS handshake did not begin within {TIME_LIMIT:?}")]
    TooSlow,
    #[error("the client closed before its TLS handshake had begun")]
    Closed,
    #[error("the client's connection broke: {0}")]
    Broke(#[from] io::Error),
}

/// Waits for the client's first message; answers the name in lower case.
pub async fn peek(stream: &TcpStream) -> Result<String, NoName> {
    tokio::time::timeout(TIME_LIMIT, peek_patiently(stream)).await.unwrap_or(Err(NoName::TooSlow))
}

async fn peek_patiently(stream: &TcpStream) -> Result<String, NoName> {
    let mut seen = 0;
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        // Taken only now: who says nothing costs no buffer.
        let mut buffer = Buffer::take();
        let more = stream.try_io(Interest::READABLE, || {
            let (_, length) = recv(stream, &mut buffer[..hello::SIZE_LIMIT], RecvFlags::PEEK)?;
            // Nothing new: to say "would block" makes the runtime wait for the next segment, where
            // a plain peek would answer the same bytes again and again.
            if length == seen && !ready.is_read_closed() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(length) }
        });
        match more {
            Ok(length) if length == seen => return Err(NoName::Closed),
            Ok(length) => seen = length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        match hello::server_name(&buffer[..seen]) {
            Err(Unreadable::Incomplete) if seen < hello::SIZE_LIMIT => {}
            Err(Unreadable::Incomplete) => return Err(Unreadable::TooLong.into()),
            done => return Ok(done?),
        }
    }
}

/// The upstream of a name: an exact route, else the wildcard with the longest suffix.
pub fn route(routes: &[(String, UpstreamIndex)], name: &str) -> Option<UpstreamIndex> {
    let covers = |pattern: &str| {
        let Some(suffix) = pattern.strip_prefix('*') else { return false };
        name.len() > suffix.len() && name.ends_with(suffix)
    };
    let exact = routes.iter().find(|(pattern, _)| pattern == name);
    let wildcard = || routes.iter().filter(|(pattern, _)| covers(pattern)).max_by_key(|(pattern, _)| pattern.len());
    exact.or_else(wildcard).map(|(_, upstream)| *upstream)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::hello::example;
    use super::super::testing::pair;
    use super::*;

    #[tokio::test]
    async fn a_name_is_read_and_no_byte_is_taken() {
        let (mut client, mut server) = pair().await;
        let hello = example::client_hello("db.example.com");
        client.write_all(&hello).await.unwrap();
        assert_eq!(peek(&server).await.unwrap(), "db.example.com");
        let mut arrived = vec![0; hello.len()];
        server.read_exact(&mut arrived).await.unwrap();
        assert_eq!(arrived, hello);
    }

    #[tokio::test]
    async fn a_hello_in_many_segments_is_waited_for() {
        let (mut client, server) = pair().await;
        let peeking = tokio::spawn(async move { peek(&server).await });
        for byte in example::client_hello("db.example.com") {
            client.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(peeking.await.unwrap().unwrap(), "db.example.com");
    }

    #[tokio::test]
    async fn a_client_that_closes_in_the_middle_is_noticed_at_once() {
        let (mut client, server) = pair().await;
        client.write_all(&example::client_hello("db.example.com")[..50]).await.unwrap();
        drop(client);
        assert!(matches!(peek(&server).await, Err(NoName::Closed)));
    }

    #[tokio::test]
    async fn a_client_that_speaks_no_tls_is_refused_at_its_first_byte() {
        let (mut client, server) = pair().await;
        client.write_all(b"G").await.unwrap();
        assert!(matches!(peek(&server).await, Err(NoName::Unreadable(Unreadable::NotTls))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_in_the_middle_has_five_seconds() {
        let (mut client, server) = pair().await;
        client.write_all(&example::client_hello("db.example.com")[..50]).await.unwrap();
        assert!(matches!(peek(&server).await, Err(NoName::TooSlow)));
    }

    #[test]
    fn the_most_specific_name_wins() {
        let routes = [("*.example.com", 1), ("*.db.example.com", 2), ("db.example.com", 3)];
        let routes = routes.map(|(name, upstream)| (name.to_owned(), upstream));
        assert_eq!(route(&routes, "db.example.com"), Some(3));
        assert_eq!(route(&routes, "x.db.example.com"), Some(2));
        assert_eq!(route(&routes, "www.example.com"), Some(1));
        assert_eq!(route(&routes, "example.com"), None);
        assert_eq!(route(&routes, ".example.com"), None);
    }
}
