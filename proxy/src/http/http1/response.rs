//! Responses as they are written to clients.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::{BufMut, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderValue, TE};
use http::{StatusCode, Version, request, response};
use hyper::body::Body as _;

use super::Shared;
use crate::error::Fault;
use crate::http::deadline::Limit;
use crate::http::headers::has_word;
use crate::http::{Body, Connection};
use crate::message::{Framing, Lasting, Link, SendError, Sending, put_line};

/// How long a client may take to hear that its connection ends.
pub const LINGER: Duration = Duration::from_secs(2);

/// How a request wants to be answered.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    version: Version,
    for_head: bool,
    pub lasting: Lasting,
    pub expects_continue: bool,
    wants_trailers: bool,
}

impl Manner {
    pub fn of(parts: &request::Parts, lasting: Lasting) -> Self {
        let says =
            |name: &http::HeaderName, word: &str| parts.headers.get(name).is_some_and(|value| has_word(value, word));
        Self {
            version: parts.version,
            for_head: parts.method == http::Method::HEAD,
            lasting,
            expects_continue: parts.version == Version::HTTP_11 && says(&EXPECT, "100-continue"),
            wants_trailers: says(&TE, "trailers"),
        }
    }

    /// How the client will know where the response ends.
    fn framing(self, head: &response::Parts, body: &Body) -> Framing {
        let no_content = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if self.for_head || no_content || head.status.is_informational() {
            return Framing::Length(0);
        }
        match body.size_hint().exact() {
            Some(length) => Framing::Length(length),
            None if self.version == Version::HTTP_11 => Framing::Chunked,
            None => Framing::UntilClose,
        }
    }

    /// A length that the endpoint told speaks of a body that the client does not get here.
    fn keeps_length(self, status: StatusCode) -> bool {
        self.for_head || status == StatusCode::NOT_MODIFIED
    }
}

/// The proxy itself wants the connection to end.
pub fn says_close(head: &response::Parts) -> bool {
    head.headers.get(CONNECTION).is_some_and(|value| value == "close")
}

/// `framing`: none after 101.
pub fn write_head(output: &mut BytesMut, head: &response::Parts, manner: Manner, framing: Option<Framing>) {
    output.reserve(1024);
    output.put_slice(if manner.version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    output.put_slice(head.status.as_str().as_bytes());
    output.put_u8(b' ');
    output.put_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
    output.put_slice(b"\r\n");
    let keeps_length = manner.keeps_length(head.status);
    let mut has_date = false;
    for (name, value) in &head.headers {
        has_date |= name == DATE;
        if (name == CONTENT_LENGTH && !keeps_length) || (name == CONNECTION && value == "close") {
            continue;
        }
        put_line(output, name.as_str(), value.as_bytes());
    }
    let has_content = !keeps_length && head.status != StatusCode::NO_CONTENT;
    match framing.filter(|_| has_content) {
        Some(Framing::Length(length)) => put_line(output, "content-length", HeaderValue::from(length).as_bytes()),
        Some(Framing::Chunked) => put_line(output, "transfer-encoding", b"chunked"),
        Some(Framing::UntilClose) | None => {}
    }
    if !has_date {
        put_date(output);
    }
    match (manner.lasting, manner.version) {
        _ if framing.is_none() => {}
        (Lasting::Close, Version::HTTP_11) => put_line(output, "connection", b"close"),
        (Lasting::KeepAlive, Version::HTTP_10) => put_line(output, "connection", b"keep-alive"),
        _ => {}
    }
    output.put_slice(b"\r\n");
}

/// RFC 9110, section 6.6.1. Written anew once a second.
fn put_date(output: &mut BytesMut) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(written, date)| {
        if *written != second {
            (*written, *date) = (second, httpdate::fmt_http_date(now));
        }
        put_line(output, "date", date.as_bytes());
    });
}

/// The answer to what is no request.
pub fn write_refusal(output: &mut BytesMut, fault: &Fault) {
    let (status, body) = (fault.status(), fault.body());
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\n", status.as_str());
    output.put_slice(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

/// Writes a response to its end. A client that takes nothing of it for the idle limit has gone,
/// whatever its socket says.
pub async fn respond(
    connection: &Rc<Connection>,
    idle: Duration,
    shared: &mut Shared,
    manner: &mut Manner,
    head: response::Parts,
    body: Body,
) -> io::Result<()> {
    let framing = manner.framing(&head, &body);
    if framing == Framing::UntilClose {
        manner.lasting = Lasting::Close;
    }
    {
        let mut reader = shared.borrow_mut();
        // Too late to ask for the body.
        reader.awaits_continue = false;
        let output = &mut reader.link.output;
        connection.take_interim(output);
        write_head(output, &head, *manner, Some(framing));
    }
    drop(head);
    let mut sending = Sending::new(body, framing, manner.wants_trailers);
    let mut stall = Stall { connection, idle, limit: None, written: 0 };
    let result = poll_fn(|context| {
        match sending.poll(context, shared) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(SendError::Io(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(Err(error)) => {
                shared.borrow().link.break_off(framing);
                return Poll::Ready(Err(io::Error::other(error)));
            }
            Poll::Pending => {}
        }
        // The endpoint may wait for more of the request before it goes on.
        if let Some(body) = sending.body() {
            body.drive_upload(context);
        }
        let mut reader = shared.borrow_mut();
        if !reader.link.is_blocked && reader.poll_gone(context)?.is_ready() {
            return Poll::Ready(Err(io::Error::other("the client went away")));
        }
        stall.poll(context, &reader.link)
    })
    .await;
    if stall.written > 0 {
        // It took a while: the client has not been idle meanwhile.
        connection.idle_since.set(Instant::now());
    }
    result
}

/// Fires when nothing was written for too long, though there was something to write.
struct Stall<'a> {
    connection: &'a Connection,
    idle: Duration,
    limit: Option<Limit<'a>>,
    /// By the link's count when it was last blocked.
    written: u64,
}

impl Stall<'_> {
    fn poll(&mut self, context: &mut Context<'_>, link: &Link) -> Poll<io::Result<()>> {
        if !link.is_blocked {
            self.limit = None;
            return Poll::Pending;
        }
        if link.written != self.written || self.limit.is_none() {
            self.written = link.written;
            self.limit = Some(self.connection.timers.limit(Instant::now() + self.idle));
        }
        let Some(limit) = &mut self.limit else { return Poll::Pending };
        limit.poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}
