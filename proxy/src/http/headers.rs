//! Which headers belong to one connection only, and are never passed on (RFC 9110, section 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Framing and connection headers: plugins may not touch them.
pub fn belongs_to_the_proxy(name: &HeaderName) -> bool {
    [&CONNECTION, &CONTENT_LENGTH, &TE, &TRAILER, &TRANSFER_ENCODING, &UPGRADE, &KEEP_ALIVE, &PROXY_CONNECTION]
        .contains(&name)
}

/// Takes the connection's own headers away, those that `Connection` names among them, and answers
/// the protocol that the client (or endpoint) wants to upgrade to.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    // One look at each name: many messages have nothing to take away.
    if !headers.keys().any(is_hop_by_hop) {
        return None;
    }
    let mut upgrade = None;
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = connection_options(headers).collect();
        if named.contains(&UPGRADE) {
            upgrade = headers.get(UPGRADE).cloned();
        }
        for name in named.iter().filter(|name| !is_protected(name)) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
        if !headers.keys().any(is_hop_by_hop) {
            return upgrade;
        }
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112, section 6.3: with both, the length means nothing and must not go on.
        headers.remove(CONTENT_LENGTH);
    }
    let wants_trailers = headers.get(TE).is_some_and(|value| has_word(value, "trailers"));
    for name in [&TE, &TRANSFER_ENCODING, &UPGRADE, &KEEP_ALIVE, &PROXY_CONNECTION] {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [&CONNECTION, &TE, &TRANSFER_ENCODING, &UPGRADE, &KEEP_ALIVE, &PROXY_CONNECTION].contains(&name)
}

/// A `Connection` header may name what the sender added for this hop, but it is no way to strip
/// what others rely on: the client's address, the host, credentials, or the framing.
fn is_protected(name: &HeaderName) -> bool {
    let text = name.as_str();
    [HOST, CONTENT_LENGTH, http::header::AUTHORIZATION, http::header::COOKIE, http::header::FORWARDED].contains(name)
        || [PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TRAILER].contains(name)
        || text.starts_with("x-forwarded-")
        || text == "x-real-ip"
}

/// The headers that `Connection` names.
fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let options = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim);
    // The usual ones name no header but `Keep-Alive`, which goes anyway.
    let names = options.filter(|option| !["keep-alive", "close"].iter().any(|word| option.eq_ignore_ascii_case(word)));
    names.filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok())
}

/// Whether a header that is a list of words has this one.
pub fn has_word(value: &HeaderValue, word: &str) -> bool {
    value.to_str().is_ok_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_connection_names_goes_and_what_others_rely_on_stays() {
        let mut map = headers(&[
            ("connection", "close, X-Own , x-forwarded-for, host, content-length"),
            ("x-own", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("host", "a"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
        ]);
        assert_eq!(strip_hop_by_hop(&mut map), None);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "te", "x-forwarded-for"]);
        assert_eq!(map["te"], "trailers");
    }

    #[test]
    fn an_upgrade_is_reported_only_when_connection_names_it() {
        let mut map = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(strip_hop_by_hop(&mut map).unwrap(), "websocket");
        assert!(map.is_empty());
        assert_eq!(strip_hop_by_hop(&mut headers(&[("upgrade", "h2c")])), None);
    }
}
