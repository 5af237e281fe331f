//! THE life of a datagram session.

use std::io;
use std::rc::Rc;

use tokio::net::UdpSocket;

use crate::worker::Worker;

pub async fn serve(_worker: &Rc<Worker>, _slot: usize, _socket: UdpSocket) -> io::Result<()> {
    std::future::pending().await
}
