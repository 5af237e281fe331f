//! From what the client sent to the form in which the rest sees it: origin-form target and one
//! `Host`, whatever the HTTP version; nothing that was meant for this connection only.

use http::header::{EXPECT, HOST, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};

use super::headers::strip_hop_by_hop;
use crate::error::Fault;

/// Answers the protocol that the client wants to upgrade to.
pub fn receive(parts: &mut Parts) -> Result<Option<HeaderValue>, Fault> {
    if parts.method == Method::CONNECT {
        return Err(Fault::Method);
    }
    let upgrade = strip_hop_by_hop(&mut parts.headers);
    name_host(parts)?;
    to_origin_form(&mut parts.uri)?;
    // hyper answers 100 itself, when the endpoint's side begins to read the body.
    parts.headers.remove(EXPECT);
    parts.extensions.clear();
    Ok(upgrade.filter(|_| parts.version == Version::HTTP_11))
}

/// RFC 9112, section 3.2: exactly one Host in HTTP/1.1; the target's authority wins over it, and
/// in HTTP/2 stands for it (RFC 9113, section 8.3.1).
fn name_host(parts: &mut Parts) -> Result<(), Fault> {
    if let Some(authority) = parts.uri.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| Fault::BadRequest("malformed authority"))?;
        parts.headers.insert(HOST, host);
        return Ok(());
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Fault::BadRequest("malformed Host header")),
        (Some(_), Some(_)) => Err(Fault::BadRequest("more than one Host header")),
        (None, _) if parts.version < Version::HTTP_11 => Ok(()),
        (None, _) => Err(Fault::BadRequest("no Host header")),
    }
}

fn is_host(host: &[u8]) -> bool {
    host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte))
}

fn to_origin_form(uri: &mut Uri) -> Result<(), Fault> {
    if uri.authority().is_none() && uri.scheme().is_none() {
        return Ok(());
    }
    let mut parts = std::mem::take(uri).into_parts();
    parts.scheme = None;
    parts.authority = None;
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    *uri = Uri::from_parts(parts).map_err(|_| Fault::BadRequest("malformed target"))?;
    Ok(())
}
