//! What a route asks of a request beyond host and path.

use http::header::{COOKIE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::config::{RouteMatch, ValueMatch};

#[derive(Debug, Clone)]
pub(super) struct Conditions {
    methods: Vec<Method>,
    headers: Vec<(HeaderName, ValueMatch)>,
    cookies: Vec<(String, ValueMatch)>,
    query: Vec<(String, ValueMatch)>,
}

impl Conditions {
    pub(super) fn new(route: &RouteMatch) -> Self {
        let RouteMatch { methods, headers, cookies, query, .. } = route.clone();
        Self { methods, headers, cookies, query }
    }

    pub(super) fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len() + self.cookies.len() + self.query.len()
    }

    pub(super) fn hold(&self, request: &Parts) -> bool {
        let query = || request.uri.query().unwrap_or_default();
        self.allows(&request.method)
            && self.headers.iter().all(|(name, value)| has_header(&request.headers, name, value))
            && self.cookies.iter().all(|(name, value)| has_cookie(&request.headers, name, value))
            && self.query.iter().all(|(name, value)| has_parameter(query(), name, value))
    }

    /// HEAD is GET without the body (RFC 9110, section 9.3.2): who allows the one allows the other.
    fn allows(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

fn fits(wanted: &ValueMatch, found: &[u8]) -> bool {
    match wanted {
        ValueMatch::Present => true,
        ValueMatch::Exact(text) => text.as_bytes() == found,
    }
}

fn has_header(headers: &HeaderMap, name: &HeaderName, wanted: &ValueMatch) -> bool {
    headers.get_all(name).iter().any(|value| fits(wanted, value.as_bytes()))
}

/// Cookies come as `a=1; b=2`, in HTTP/2 on several lines too (RFC 9113, section 8.2.3).
fn has_cookie(headers: &HeaderMap, name: &str, wanted: &ValueMatch) -> bool {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .any(|value| fits(wanted, value))
}

fn has_parameter(query: &str, name: &str, wanted: &ValueMatch) -> bool {
    let mut pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.any(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(found).eq(name.bytes())
            && match wanted {
                ValueMatch::Present => true,
                ValueMatch::Exact(text) => decoded(value).eq(text.bytes()),
            }
    })
}

/// The bytes that a part of a query stands for: `+` is a space, `%2F` a slash. A `%` without two
/// digits stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (byte, used) = match rest {
            [] => return None,
            [b'+', ..] => (b' ', 1),
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map_or((b'%', 1), |(high, low)| (high << 4 | low, 3)),
            [byte, ..] => (*byte, 1),
        };
        rest = &rest[used..];
        Some(byte)
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn exact(text: &str) -> ValueMatch {
        ValueMatch::Exact(text.to_owned())
    }

    #[test]
    fn cookies_are_found_on_any_line() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; beta=x=y;c"));
        headers.append(COOKIE, HeaderValue::from_static("d=\"q\""));
        for (name, value, found) in [
            ("a", exact("1"), true),
            ("a", exact("2"), false),
            ("beta", exact("x=y"), true),
            ("bet", ValueMatch::Present, false),
            ("d", ValueMatch::Present, true),
            ("d", exact("\"q\""), true),
            ("c", ValueMatch::Present, false),
        ] {
            assert_eq!(has_cookie(&headers, name, &value), found, "{name} {value:?}");
        }
    }

    #[test]
    fn parameters_are_compared_decoded() {
        for (query, name, value, found) in [
            ("a=1&b=2", "b", exact("2"), true),
            ("a=1&a=2", "a", exact("2"), true),
            ("a", "a", ValueMatch::Present, true),
            ("a", "a", exact(""), true),
            ("", "", ValueMatch::Present, false),
            ("n%61me=a+b%2Fc", "name", exact("a b/c"), true),
            ("a=%zz%4", "a", exact("%zz%4"), true),
            ("ab=1", "a", ValueMatch::Present, false),
        ] {
            assert_eq!(has_parameter(query, name, &value), found, "{query}");
        }
    }
}
