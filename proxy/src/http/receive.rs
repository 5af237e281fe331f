//! From what the client sent to the form in which the rest sees it: origin-form target and one
//! `Host`, whatever the HTTP version; nothing that was meant for this connection only.

use http::header::{COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};

use super::headers::strip_hop_by_hop;
use crate::error::Fault;

/// Answers the protocol that the client wants to upgrade to.
pub fn receive(parts: &mut Parts, max_target: usize) -> Result<Option<HeaderValue>, Fault> {
    if parts.method == Method::CONNECT {
        return Err(Fault::Method);
    }
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > max_target) {
        return Err(Fault::TargetTooLong);
    }
    let seen = Seen::of(&parts.headers);
    if seen.coding {
        check_coding(parts)?;
    }
    let upgrade = strip_hop_by_hop(&mut parts.headers);
    name_host(parts, seen.hosts)?;
    to_origin_form(&mut parts.uri)?;
    if seen.expect {
        // The client hears 100 from us, when the endpoint's side begins to read the body.
        parts.headers.remove(EXPECT);
    }
    parts.extensions.clear();
    if seen.cookies > 1 && parts.version == Version::HTTP_2 {
        join_cookies(parts);
    }
    Ok(upgrade.filter(|to| parts.version == Version::HTTP_11 && !to.as_bytes().eq_ignore_ascii_case(b"h2c")))
}

/// Which headers there are: one look at each, where a question for each would search the map for
/// what is mostly not there.
#[derive(Default)]
struct Seen {
    hosts: usize,
    cookies: usize,
    coding: bool,
    expect: bool,
}

impl Seen {
    fn of(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for (name, _) in headers {
            seen.hosts += usize::from(name == HOST);
            seen.cookies += usize::from(name == COOKIE);
            seen.coding |= name == TRANSFER_ENCODING;
            seen.expect |= name == EXPECT;
        }
        seen
    }
}

/// Of transfer codings only `chunked` is understood (RFC 9112, section 6.1).
fn check_coding(parts: &Parts) -> Result<(), Fault> {
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Fault::Coding);
    }
    Ok(())
}

/// RFC 9113, section 8.2.3: HTTP/2 may split cookies, and nobody behind expects that.
fn join_cookies(parts: &mut Parts) {
    let lines: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        parts.headers.insert(COOKIE, joined);
    }
}

/// RFC 9112, section 3.2: exactly one Host in HTTP/1.1; the target's authority wins over it, and
/// in HTTP/2 stands for it (RFC 9113, section 8.3.1).
fn name_host(parts: &mut Parts, hosts: usize) -> Result<(), Fault> {
    if let Some(authority) = parts.uri.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| Fault::BadRequest("malformed authority"))?;
        parts.headers.insert(HOST, host);
        return Ok(());
    }
    match hosts {
        0 if parts.version < Version::HTTP_11 => Ok(()),
        0 => Err(Fault::BadRequest("no Host header")),
        1 if parts.headers.get(HOST).is_some_and(|host| is_host(host.as_bytes())) => Ok(()),
        1 => Err(Fault::BadRequest("malformed Host header")),
        _ => Err(Fault::BadRequest("more than one Host header")),
    }
}

fn is_host(host: &[u8]) -> bool {
    host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte))
}

fn to_origin_form(uri: &mut Uri) -> Result<(), Fault> {
    if uri.authority().is_none() && uri.scheme().is_none() {
        return Ok(());
    }
    if uri.scheme().is_none() {
        return Err(Fault::BadRequest("malformed target"));
    }
    let mut parts = std::mem::take(uri).into_parts();
    parts.scheme = None;
    parts.authority = None;
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    *uri = Uri::from_parts(parts).map_err(|_| Fault::BadRequest("malformed target"))?;
    Ok(())
}
