//! A plain HTTP/1.1 client: what is written is what goes out.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::{DEADLINE, Message};

pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    #[track_caller]
    pub fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).unwrap()
    }

    pub fn try_connect(to: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&to, DEADLINE)?)
    }

    /// From this address: all of 127.0.0.0/8 is this machine.
    #[track_caller]
    pub fn from_address(from: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        Self::over(socket.into()).unwrap()
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn reader(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.reader
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// The response to a request with this method.
    #[track_caller]
    pub fn receive(&mut self, to: &str) -> Message {
        Message::read_response(&mut self.reader, to).unwrap()
    }

    /// Sends a whole request and reads its response.
    #[track_caller]
    pub fn ask(&mut self, request: &str) -> Message {
        self.try_ask(request).unwrap()
    }

    pub fn try_ask(&mut self, request: &str) -> io::Result<Message> {
        self.reader.get_mut().write_all(request.as_bytes())?;
        Message::read_response(&mut self.reader, request.split(' ').next().unwrap_or_default())
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Message {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: test.example\r\n\r\n"))
    }

    /// What still comes until the peer closes; an error when it does not.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                panic!("{error} after {:?}", String::from_utf8_lossy(&rest))
            }
            _ => String::from_utf8_lossy(&rest).into_owned(),
        }
    }
}

/// One request on a connection of its own.
#[track_caller]
pub fn get(to: SocketAddr, path: &str) -> Message {
    try_get(to, path).unwrap()
}

pub fn try_get(to: SocketAddr, path: &str) -> io::Result<Message> {
    Client::try_connect(to)?.try_ask(&format!("GET {path} HTTP/1.1\r\nhost: test.example\r\nconnection: close\r\n\r\n"))
}

/// One request with these header lines on a connection of its own.
#[track_caller]
pub fn get_with(to: SocketAddr, path: &str, lines: &[&str]) -> Message {
    let names_host = lines.iter().any(|line| line.to_ascii_lowercase().starts_with("host:"));
    let host = if names_host { "" } else { "host: test.example\r\n" };
    let lines = [lines, &[""]].concat().join("\r\n");
    Client::connect(to).ask(&format!("GET {path} HTTP/1.1\r\n{host}{lines}\r\n"))
}

/// Sends these bytes and answers all that comes back until the proxy closes.
#[track_caller]
pub fn exchange(to: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut client = Client::connect(to);
    // The answer may come, and the connection be closed, before all of it is sent.
    let _ = client.reader.get_mut().write_all(bytes.as_ref());
    client.rest()
}
