//! THE life of a TCP connection that passes through.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpStream;

use crate::config;
use crate::worker::{Registration, Worker};

pub async fn serve(
    _worker: &Rc<Worker>,
    _config: &config::TcpListener,
    _stream: TcpStream,
    _peer: SocketAddr,
    _registration: &Registration,
) {
}
