//! `http`: requests of a plugin's own, to upstreams that it is granted. They are only noted here.

use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Request, Uri};

use super::request_edit::MAX_HEADERS;
use super::{Host, Phase, header_name, header_value};
use crate::plugin::ask::{Ask, CDN_LOOP, MOST_BYTES, Pending, is_own, own_mark, size_of_head};
use crate::plugin::bindings::jackfield::plugin::http::{self as outgoing, Outgoing, SendError};

const LONGEST_MS: u32 = 30_000;
/// Names and values, added up.
const MOST_HEADER_BYTES: usize = 64 << 10;

impl outgoing::Host for Host {
    fn send(&mut self, request: Outgoing) -> Result<u32, SendError> {
        if self.request().is_some_and(|request| is_own(&request.headers)) {
            return Err(SendError::Forbidden);
        }
        let outbox = match self.phase {
            Phase::Tick => Some(&mut self.outbox),
            _ => self.exchange.as_deref_mut().map(|exchange| &mut exchange.outbox),
        };
        let outbox = outbox.ok_or(SendError::Forbidden)?;
        let left = outbox.left.ok_or(SendError::Forbidden)?;
        let upstream = self.usage.granted_upstream(&request.upstream).ok_or(SendError::NotGranted)?;
        if left == 0 {
            return Err(SendError::TooMany);
        }
        let Outgoing { method, path, headers, body, timeout, .. } = request;
        if !(1..=LONGEST_MS).contains(&timeout) || body.len() > MOST_BYTES {
            return Err(SendError::Malformed);
        }
        let parts = parts(&method, path, headers).ok_or(SendError::Malformed)?;
        let mut pending = Pending::new(outbox.next_ticket, &self.usage.shared);
        if !pending.hold(body.len() + size_of_head(&parts.headers)) {
            return Err(SendError::TooMany);
        }
        outbox.next_ticket += 1;
        outbox.left = Some(left - 1);
        let timeout = Duration::from_millis(timeout.into());
        outbox.asks.push(Ask { upstream, request: parts, body: body.into(), timeout, pending });
        Ok(outbox.next_ticket - 1)
    }
}

/// None for what is not well-formed, or the proxy's.
fn parts(method: &str, path: String, headers: Vec<(String, String)>) -> Option<http::request::Parts> {
    let method = Method::from_bytes(method.as_bytes()).ok().filter(|method| *method != Method::CONNECT)?;
    if !path.starts_with('/') {
        return None;
    }
    let path = PathAndQuery::from_maybe_shared(Bytes::from(path)).ok()?;
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MOST_HEADER_BYTES {
        return None;
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.headers) = (method, Uri::from(path), header_map(headers)?);
    parts.headers.append(&CDN_LOOP, own_mark().clone());
    Some(parts)
}

fn header_map(headers: Vec<(String, String)>) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if !name.eq_ignore_ascii_case("host") {
            map.append(header_name(&name).ok()?, header_value(value).ok()?);
        } else if !map.contains_key(HOST) && !value.contains('@') && Authority::try_from(value.as_str()).is_ok() {
            map.insert(HOST, header_value(value).ok()?);
        } else {
            return None;
        }
    }
    Some(map)
}
