//! A client's connection that speaks HTTP/1.1: one request after another, driven by the
//! connection's own task. What is told of requests is told in [`super::handle`].

mod request;
mod response;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Poll, ready};
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
    // Whoever still reads a body must not keep the socket.
    let _guard = EndOfBodies(Rc::downgrade(&shared));
    let mut is_first = true;
    loop {
        let head = match next(connection, config, &shared, registration, is_first).await? {
            Next::Request(head) => head,
            Next::Nothing => return close(connection, &mut shared).await,
            Next::Refused(fault) => {
                connection.count_refusal(&fault);
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
            flush(connection, config, &mut shared).await?;
            record.end(0, true);
            return open_tunnel(config, shared, tunnel).await;
        }
        let is_read_by_nobody = matches!(content, Content::Own(_)) && shared.borrow().is_long(MOST_DISCARDED);
        if registration.is_draining() || response::says_close(&head) || is_read_by_nobody {
            manner.lasting = Lasting::Close;
        }
        let body = content.into_body(record);
        respond(connection, config.idle_timeout, &mut shared, &mut manner, head, body).await?;
        if !is_read(connection, &shared).await? {
            return linger(connection, &mut shared).await;
        }
        if manner.lasting == Lasting::Close {
            return close(connection, &mut shared).await;
        }
    }
}

struct EndOfBodies(Weak<RefCell<Reader>>);

impl Drop for EndOfBodies {
    fn drop(&mut self) {
        if let Some(reader) = self.0.upgrade() {
            reader.borrow_mut().end_body();
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
            shared.borrow_mut().link.shrink(0);
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
        // One after the other: what the client does not take must not pile up.
        if reader.link.output.is_empty() {
            connection.take_interim(&mut reader.link.output);
        }
        if !reader.link.output.is_empty()
            && let Poll::Ready(Err(error)) = reader.link.poll_flush(context)
        {
            return Poll::Ready(Err(error));
        }
        reader.poll_gone(context).map(|gone| gone.map(|()| None))
    })
    .await
}

/// Reads what is left of a body that nobody wants, if that is little: only after its end the next
/// request's place is known.
async fn is_read(connection: &Connection, shared: &Shared) -> io::Result<bool> {
    shared.borrow_mut().end_body();
    let mut left = MOST_DISCARDED;
    let work = poll_fn(|context| {
        let mut reader = shared.borrow_mut();
        let Reader { link, decoder, .. } = &mut *reader;
        loop {
            match decoder.decode(&mut link.input) {
                Ok(Decoded::End) => return Poll::Ready(Ok(true)),
                Ok(Decoded::Data(data)) => match left.checked_sub(data.len() as u64) {
                    Some(rest) => left = rest,
                    None => return Poll::Ready(Ok(false)),
                },
                Ok(Decoded::Trailers(_)) => {}
                Ok(Decoded::Hungry) => match ready!(link.poll_fill(context)) {
                    Ok(0) => return Poll::Ready(Ok(false)),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                },
                Err(_) => return Poll::Ready(Ok(false)),
            }
        }
    });
    if shared.borrow().decoder.is_done() {
        return Ok(true);
    }
    connection.timers.until(Instant::now() + response::LINGER, pin!(work)).await.unwrap_or(Ok(false))
}

/// A body that is longer ends the connection, when nobody reads it.
const MOST_DISCARDED: u64 = 64 << 10;

async fn flush(connection: &Connection, config: &HttpListener, shared: &mut Shared) -> io::Result<()> {
    let work = pin!(poll_fn(|context| shared.lend(|link| link.poll_flush(context))));
    let flushed = connection.timers.until(Instant::now() + config.idle_timeout, work).await;
    flushed.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

/// With nothing unread the system closes in good order by itself; TLS says goodbye first.
async fn close(connection: &Connection, shared: &mut Shared) -> io::Result<()> {
    // In the socket too: closing over what nobody has read is a reset.
    if !shared.borrow_mut().link.is_quiet() {
        return linger(connection, shared).await;
    }
    if !connection.client.tls {
        return Ok(());
    }
    connection.timers.until(Instant::now() + response::LINGER, pin!(shut_down(shared))).await.unwrap_or(Ok(()))
}

async fn shut_down(shared: &Shared) -> io::Result<()> {
    poll_fn(|context| Pin::new(&mut shared.borrow_mut().link.stream).poll_shutdown(context)).await
}

/// Closes so that the client gets what was written last: a reset, which is what it earns by sending
/// more, would take it away (RFC 9112, section 9.6).
async fn linger(connection: &Connection, shared: &mut Shared) -> io::Result<()> {
    shared.borrow_mut().end_body();
    let until = Instant::now() + response::LINGER;
    let work = async {
        poll_fn(|context| shared.lend(|link| link.poll_flush(context))).await?;
        shut_down(shared).await?;
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
