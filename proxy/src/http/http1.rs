//! A client's connection that speaks HTTP/1.1: one request after another, driven by the
//! connection's own task. What is told of requests is told in [`super::handle`].

mod request;
mod response;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::AsyncWrite;

use super::body::Ending;
use super::content::Content;
use super::upgrade::Tunnel;
use super::{Answer, Connection};
use crate::body::Client;
use crate::config::HttpListener;
use crate::error::Fault;
use crate::message::{Decoded, Lasting, Lend, Link, Reader};
use crate::worker::Registration;
use request::{Head, Limits, take_head};
use response::{Manner, respond, write_head, write_refusal};

/// The longest target of a request.
pub fn max_target(config: &HttpListener) -> usize {
    Limits::new(config.max_header_bytes).target_bytes
}

type Shared = Rc<RefCell<Reader>>;

/// What comes next on a connection.
enum Next {
    Request(Box<Head>),
    /// No more requests: the client is gone, idle for too long, or the worker is draining.
    Nothing,
    Refused(Fault),
}

/// Serves until the connection ends; `link` may hold the first bytes.
pub async fn serve(
    connection: &Rc<Connection>,
    config: &HttpListener,
    link: Link,
    registration: &Registration,
) -> io::Result<()> {
    let mut shared = Rc::new(RefCell::new(Reader::new(link)));
    let mut is_first = true;
    loop {
        let head = match next(connection, config, &shared, registration, is_first).await? {
            Next::Request(head) => head,
            Next::Nothing => return close(&shared).await,
            Next::Refused(fault) => {
                write_refusal(&mut shared.borrow_mut().link.output, &fault);
                return linger(connection, &mut shared).await;
            }
        };
        is_first = false;
        let Head { parts, framing, lasting } = *head;
        let mut manner = Manner::of(&parts, lasting);
        let body = Client::Http1(Reader::body(&shared, framing, manner.expects_continue));
        let answered = {
            // Pinned where it is made: it is large, and every move of it a copy.
            let work = pin!(super::handle(connection, parts, body));
            answer(connection, &mut shared, work).await?
        };
        let Some(Answer { head, content, record }) = answered else { return Ok(()) };
        if let Content::Tunnel(tunnel) = content {
            write_head(&mut shared.borrow_mut().link.output, &head, manner, None);
            flush(&mut shared).await?;
            record.end(0, true);
            return open_tunnel(config, shared, tunnel).await;
        }
        if registration.is_draining() || response::says_close(&head) {
            manner.lasting = Lasting::Close;
        }
        let body = content.into_body(record);
        respond(connection, config.idle_timeout, &mut shared, &mut manner, head, body).await?;
        if manner.lasting == Lasting::Close || !is_read(&shared) {
            return linger(connection, &mut shared).await;
        }
    }
}

/// Waits for the next head: as long as a connection may idle, and once it has begun (or when it is
/// the first) as long as a head may take.
async fn next(
    connection: &Rc<Connection>,
    config: &HttpListener,
    shared: &Shared,
    registration: &Registration,
    is_first: bool,
) -> io::Result<Next> {
    let limits = Limits::new(config.max_header_bytes);
    let mut seen = 0;
    let mut has_begun = is_first;
    let mut begin = connection.idle_since.get();
    loop {
        let taken = take_head(&mut shared.borrow_mut().link.input, &mut seen, limits);
        match taken {
            Ok(Some(head)) => return Ok(Next::Request(Box::new(head))),
            Ok(None) => {}
            Err(fault) => return Ok(Next::Refused(fault)),
        }
        let is_empty = shared.borrow().link.input.is_empty();
        if is_empty {
            shared.borrow_mut().link.forget_buffers();
        } else if !has_begun {
            (has_begun, begin) = (true, Instant::now());
        }
        let limit = if has_begun { config.header_timeout } else { config.idle_timeout };
        let fill = poll_fn(|context| match shared.borrow_mut().link.poll_fill_small(context) {
            Poll::Ready(read) => Poll::Ready(read.map(Some)),
            // What is in the socket already is read before anything is closed.
            Poll::Pending if is_empty && registration.poll_draining(context) => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        });
        match connection.timers.until(begin + limit, pin!(fill)).await {
            Some(Ok(Some(0) | None)) => return Ok(Next::Nothing),
            Some(Ok(Some(_))) => {}
            Some(Err(error)) => return Err(error),
            None if has_begun => return Ok(Next::Refused(Fault::SlowHead)),
            None => return Ok(Next::Nothing),
        }
    }
}

/// None when the client has gone away meanwhile: nobody wants the answer any more.
async fn answer<T>(
    connection: &Connection,
    shared: &mut Shared,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> io::Result<Option<T>> {
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(Some(done)));
        }
        let mut reader = shared.borrow_mut();
        connection.take_interim(&mut reader.link.output);
        if !reader.link.output.is_empty()
            && let Poll::Ready(Err(error)) = reader.link.poll_flush(context)
        {
            return Poll::Ready(Err(error));
        }
        poll_gone(&mut reader, context).map(|gone| gone.map(|()| None))
    })
    .await
}

/// Ready when the client closes while it has nothing more to say. What it says ahead (pipelining)
/// is kept, up to a bound.
fn poll_gone(reader: &mut Reader, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    const MOST_AHEAD: usize = 16 << 10;
    while reader.decoder.is_done() && reader.link.input.len() < MOST_AHEAD {
        if ready!(reader.link.poll_fill_small(context))? == 0 {
            return Poll::Ready(Ok(()));
        }
    }
    Poll::Pending
}

/// Whether the body was read to its end, what lies in memory included: only then the next request's
/// place is known.
fn is_read(shared: &Shared) -> bool {
    let mut reader = shared.borrow_mut();
    let Reader { link, decoder, .. } = &mut *reader;
    loop {
        match decoder.decode(&mut link.input) {
            Ok(Decoded::End) => return true,
            Ok(Decoded::Hungry) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

async fn flush(shared: &mut Shared) -> io::Result<()> {
    poll_fn(|context| shared.lend(|link| link.poll_flush(context))).await
}

async fn close(shared: &Shared) -> io::Result<()> {
    poll_fn(|context| Pin::new(&mut shared.borrow_mut().link.stream).poll_shutdown(context)).await
}

/// Closes so that the client gets what was written last: a reset, which is what it earns by sending
/// more, would take it away (RFC 9112, section 9.6).
async fn linger(connection: &Connection, shared: &mut Shared) -> io::Result<()> {
    shared.borrow_mut().end_body();
    let until = Instant::now() + response::LINGER;
    let work = async {
        flush(shared).await?;
        close(shared).await?;
        poll_fn(|context| {
            let mut reader = shared.borrow_mut();
            loop {
                reader.link.input.clear();
                if ready!(reader.link.poll_fill_small(context))? == 0 {
                    return Poll::Ready(Ok(()));
                }
            }
        })
        .await
    };
    connection.timers.until(until, pin!(work)).await.unwrap_or(Ok(()))
}

/// The client speaks another protocol from now on.
async fn open_tunnel(config: &HttpListener, shared: Shared, tunnel: Tunnel) -> io::Result<()> {
    let Ok(reader) = Rc::try_unwrap(shared) else {
        return Err(io::Error::other("somebody still reads the body of the request that asked for the tunnel"));
    };
    tunnel.run(reader.into_inner().link, config.idle_timeout).await
}
