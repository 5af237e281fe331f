use std::io::ErrorKind;

use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::testing::pair;
use super::*;

/// A pump at work, and what is beyond its two sockets.
struct Line {
    client: TcpStream,
    endpoint: TcpStream,
    pump: JoinHandle<Outcome>,
}

impl Line {
    async fn new(idle_timeout: Duration) -> Self {
        Self::between(pair().await, pair().await, idle_timeout)
    }

    /// The second one of each pair is the pump's.
    fn between(client: (TcpStream, TcpStream), endpoint: (TcpStream, TcpStream), idle_timeout: Duration) -> Self {
        let ((client, near), (endpoint, far)) = (client, endpoint);
        let pump = tokio::task::spawn_local(async move { pump(&near, &far, idle_timeout).await });
        Self { client, endpoint, pump }
    }
}

const LONG: Duration = Duration::from_mins(5);

/// Bytes that differ everywhere: lost, doubled and swapped ones are all noticed.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let words = (0..length as u64).step_by(8).map(|at| (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let mut bytes: Vec<u8> = words.flatten().collect();
    bytes.truncate(length);
    bytes
}

async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(flavor = "local")]
async fn fifty_megabytes_pass_both_ways_at_once_unharmed() {
    let Line { client, endpoint, pump } = Line::new(LONG).await;
    let (up, down) = (pattern(50_000_001, 1), pattern(50_000_002, 2));
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut endpoint_reads, mut endpoint_writes) = endpoint.into_split();
    let send_up = async {
        client_writes.write_all(&up).await.unwrap();
        client_writes.shutdown().await.unwrap();
    };
    let send_down = async {
        endpoint_writes.write_all(&down).await.unwrap();
        endpoint_writes.shutdown().await.unwrap();
    };
    let ((), (), at_client, at_endpoint) =
        tokio::join!(send_up, send_down, read_all(&mut client_reads), read_all(&mut endpoint_reads));
    assert!(at_client == down);
    assert!(at_endpoint == up);
    let outcome = pump.await.unwrap();
    assert!(matches!(outcome.end, End::Complete), "{}", outcome.end);
    assert_eq!((outcome.sent, outcome.received), (50_000_001, 50_000_002));
}

#[tokio::test(flavor = "local")]
async fn small_messages_go_to_and_fro() {
    let Line { mut client, mut endpoint, pump } = Line::new(LONG).await;
    let (mut question, mut answer) = ([0; 4], [0; 4]);
    for number in 0..2000_u32 {
        client.write_all(&number.to_be_bytes()).await.unwrap();
        endpoint.read_exact(&mut question).await.unwrap();
        endpoint.write_all(&question).await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(u32::from_be_bytes(answer), number);
    }
    drop(client);
    assert!(read_all(&mut endpoint).await.is_empty());
    drop(endpoint);
    let outcome = pump.await.unwrap();
    assert_eq!((outcome.sent, outcome.received), (8000, 8000));
}

#[tokio::test(flavor = "local")]
async fn bulk_and_small_messages_take_turns() {
    let Line { mut client, mut endpoint, .. } = Line::new(LONG).await;
    for round in 0..5 {
        let bulk = pattern(3_000_000, round);
        let mut arrived = vec![0; bulk.len()];
        let (sent, read) = tokio::join!(client.write_all(&bulk), endpoint.read_exact(&mut arrived));
        sent.and(read).unwrap();
        assert!(arrived == bulk);
        for byte in 0..20 {
            client.write_all(&[byte]).await.unwrap();
            assert_eq!(endpoint.read_u8().await.unwrap(), byte);
        }
    }
}

#[tokio::test(flavor = "local")]
async fn one_side_may_end_while_the_other_goes_on() {
    let Line { mut client, mut endpoint, pump } = Line::new(LONG).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut endpoint).await, b"question");
    let answer = pattern(2_000_000, 3);
    let send = async {
        endpoint.write_all(&answer).await.unwrap();
        endpoint.shutdown().await.unwrap();
    };
    let ((), arrived) = tokio::join!(send, read_all(&mut client));
    assert!(arrived == answer);
    assert!(matches!(pump.await.unwrap().end, End::Complete));
}

#[tokio::test(flavor = "local")]
async fn a_slow_receiver_holds_the_sender_back() {
    let (client, endpoint) = (pair().await, pair().await);
    // Otherwise the kernel makes its buffers larger and larger, up to many megabytes each.
    for receiver in [&client.1, &endpoint.0] {
        socket2::SockRef::from(receiver).set_recv_buffer_size(64 << 10).unwrap();
    }
    let Line { mut client, mut endpoint, pump } = Line::between(client, endpoint, LONG);
    let bulk = pattern(30_000_000, 4);
    let (mut taken, mut sent) = (0, 0);
    // As long as the sockets take more without anyone reading.
    while let Ok(Ok(length)) = tokio::time::timeout(Duration::from_millis(200), client.write(&bulk[sent..])).await {
        sent += length;
    }
    assert!(sent < bulk.len(), "nothing held {sent} bytes back");
    let mut buffer = vec![0; 1 << 20];
    while taken < sent {
        let length = endpoint.read(&mut buffer).await.unwrap();
        assert!(length > 0, "ended after {taken} of {sent} bytes");
        assert!(buffer[..length] == bulk[taken..taken + length]);
        taken += length;
    }
    drop((client, endpoint));
    assert_eq!(pump.await.unwrap().sent, sent as u64);
}

#[tokio::test(flavor = "local")]
async fn a_reset_by_the_client_is_a_reset_for_the_endpoint() {
    let Line { mut client, mut endpoint, pump } = Line::new(LONG).await;
    client.write_all(b"half a ques").await.unwrap();
    let mut arrived = [0; 11];
    endpoint.read_exact(&mut arrived).await.unwrap();
    client.set_zero_linger().unwrap();
    drop(client);
    let error = endpoint.read(&mut arrived).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let outcome = pump.await.unwrap();
    assert!(matches!(outcome.end, End::ClientBroke(_)), "{}", outcome.end);
}

#[tokio::test(flavor = "local")]
async fn a_reset_by_the_endpoint_is_a_reset_for_the_client() {
    let Line { mut client, endpoint, pump } = Line::new(LONG).await;
    endpoint.set_zero_linger().unwrap();
    drop(endpoint);
    let error = client.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(matches!(pump.await.unwrap().end, End::EndpointBroke(_)));
}

#[tokio::test(flavor = "local")]
async fn an_answer_given_before_the_endpoint_closed_arrives_though_the_client_still_sends() {
    let Line { mut client, mut endpoint, pump } = Line::new(LONG).await;
    endpoint.write_all(b"too much!").await.unwrap();
    let mut answer = [0; 9];
    client.read_exact(&mut answer).await.unwrap();
    drop(endpoint);
    // The endpoint's end arrives, and writing goes on until the reset has come back to the client.
    assert_eq!(client.read(&mut answer).await.unwrap(), 0);
    let error = loop {
        if let Err(error) = client.write_all(&[0; 4096]).await {
            break error;
        }
    };
    let errno = Errno::from_io_error(&error);
    assert!(matches!(errno, Some(Errno::CONNRESET | Errno::PIPE)), "{error}");
    let outcome = pump.await.unwrap();
    assert!(matches!(outcome.end, End::Refused | End::EndpointBroke(_)), "{}", outcome.end);
    assert_eq!(outcome.received, 9);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn silence_ends_a_connection_after_the_idle_timeout() {
    let begin = Instant::now();
    let Line { mut client, mut endpoint, pump } = Line::new(Duration::from_mins(1)).await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "an orderly end: nothing was lost");
    assert_eq!(endpoint.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(matches!(pump.await.unwrap().end, End::Idle));
    assert_eq!(begin.elapsed().as_secs(), 60);
}

#[tokio::test(flavor = "local")]
async fn every_byte_in_either_direction_puts_the_idle_timeout_off() {
    let idle_timeout = Duration::from_millis(300);
    let Line { mut client, mut endpoint, pump } = Line::new(idle_timeout).await;
    let begin = Instant::now();
    let mut last = begin;
    while begin.elapsed() < 3 * idle_timeout {
        last = Instant::now();
        endpoint.write_all(b"x").await.unwrap();
        if client.read_u8().await.is_err() {
            // A busy machine has let this test wait for too long.
            break;
        }
    }
    let _ = client.read(&mut [0; 1]).await;
    assert!(matches!(pump.await.unwrap().end, End::Idle));
    assert!(last.elapsed() >= idle_timeout);
}
