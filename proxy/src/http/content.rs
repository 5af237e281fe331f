//! What a response is made of: what an endpoint streams, or bytes of our own (a filter's answer, a
//! route's, or the proxy's own word on a request that came to nothing).

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use http::{HeaderMap, Response, StatusCode};

use super::body::{ResponseBody, Source};
use super::record::Record;
use super::upgrade::Tunnel;
use super::{Body, Connection};
use crate::error::Fault;
use crate::plugin::{Exchange, Protocol};
use crate::route::{Found, Target};
use crate::state::Http;
use crate::upstream::Download;

/// What will be the body of the response.
pub enum Content {
    Own(bytes::Bytes),
    Stream(Download),
    /// What body filters have seen, or will see.
    Seen(Box<Source>),
    /// None; after the head both sides speak another protocol.
    Tunnel(Tunnel),
}

impl Content {
    /// Nothing follows the head of an answer to HEAD, of 204 and of 304 (RFC 9110, section 6.4.1);
    /// in HTTP/2 hyper leaves that to us.
    pub fn fit(&mut self, for_head: bool, head: &mut http::response::Parts) {
        let Self::Own(bytes) = self else { return };
        if for_head {
            head.headers.insert(CONTENT_LENGTH, bytes.len().into());
        }
        if for_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            bytes.clear();
        }
    }

    pub fn into_body(self, record: Box<Record>) -> Body {
        match self {
            Self::Own(bytes) => ResponseBody::own(bytes, record),
            Self::Stream(download) => ResponseBody::of(Source::Stream(download), record),
            Self::Seen(source) => ResponseBody::of(*source, record),
            // Whoever can open a tunnel did so before.
            Self::Tunnel(_) => ResponseBody::own(bytes::Bytes::new(), record),
        }
    }
}

pub fn respond(
    mut exchange: Box<Exchange>,
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
) -> (Box<Exchange>, Content) {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    head.headers = headers;
    exchange.response = Some(head);
    (exchange, content)
}

pub fn give_answer(mut exchange: Box<Exchange>) -> (Box<Exchange>, Content) {
    match exchange.answer.take() {
        Some(answer) => respond(exchange, answer.status, answer.headers, Content::Own(answer.body)),
        None => respond(exchange, StatusCode::NO_CONTENT, HeaderMap::new(), Content::Own(bytes::Bytes::new())),
    }
}

pub fn redirect(http: &Http, found: Found, status: StatusCode, exchange: Box<Exchange>) -> (Box<Exchange>, Content) {
    let mut headers = HeaderMap::new();
    if let (Some(location), Some(parts)) = (&http.locations[found.index], &exchange.request) {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = if exchange.client.tls { "https" } else { "http" };
        if let Some(location) = location.render(Target { scheme, host, uri: &parts.uri }) {
            headers.insert(LOCATION, location);
        }
    }
    respond(exchange, status, headers, Content::Own(bytes::Bytes::new()))
}

/// The proxy's own word on a request that came to nothing.
pub fn refuse(connection: &Connection, fault: &Fault) -> (http::response::Parts, Content) {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = fault.status();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if fault.ends_connection() && connection.client.protocol == Protocol::Http1 {
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    (head, Content::Own(fault.body().into()))
}
