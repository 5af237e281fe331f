//! Heads: the request's as it is written, the response's as it is read, and how long a body is.

use std::mem::MaybeUninit;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request;
use http::response;
use http::{Method, Response, StatusCode, Version};
use hyper::body::Body;

use super::{Connection, Error};
use crate::body::RequestBody;

/// A request, and what it is sent with in place of what it says.
pub struct Outgoing<'a> {
    pub parts: &'a request::Parts,
    /// `Host` when the request names none: HTTP/1.0 needs none, endpoints do.
    pub host: &'a str,
    /// The protocol to ask for (RFC 9110, section 7.8).
    pub upgrade: Option<&'a HeaderValue>,
}

/// How a body ends (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub parts: response::Parts,
    pub framing: Framing,
    /// The endpoint takes another request on this connection.
    pub keep_alive: bool,
}

impl Framing {
    /// Of a request's body.
    pub fn of(body: &RequestBody) -> Self {
        if body.is_none() || body.is_end_stream() {
            return Self::Length(0);
        }
        body.size_hint().exact().map_or(Self::Chunked, Self::Length)
    }
}

impl Outgoing<'_> {
    pub fn write(&self, output: &mut BytesMut, framing: Framing) {
        let target = self.parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        output.reserve(1024);
        output.put_slice(self.parts.method.as_str().as_bytes());
        output.put_u8(b' ');
        output.put_slice(target.as_bytes());
        output.put_slice(b" HTTP/1.1\r\n");
        let mut has_length = false;
        let mut has_host = false;
        for (name, value) in &self.parts.headers {
            has_length |= name == CONTENT_LENGTH;
            if name == CONTENT_LENGTH || name == TRANSFER_ENCODING || (name == HOST && value.is_empty()) {
                continue;
            }
            has_host |= name == HOST;
            put_line(output, name.as_str(), value.as_bytes());
        }
        if !has_host {
            put_line(output, "host", self.host.as_bytes());
        }
        match framing {
            Framing::Length(0) if !has_length && !self.means_content() => {}
            Framing::Length(length) => put_line(output, "content-length", HeaderValue::from(length).as_bytes()),
            Framing::Chunked | Framing::UntilClose => put_line(output, "transfer-encoding", b"chunked"),
        }
        if let Some(protocol) = self.upgrade {
            put_line(output, "connection", b"upgrade");
            put_line(output, "upgrade", protocol.as_bytes());
        }
        output.put_slice(b"\r\n");
    }

    /// RFC 9110, section 8.6: these say that they have no content when they have none.
    fn means_content(&self) -> bool {
        matches!(self.parts.method, Method::POST | Method::PUT | Method::PATCH)
    }
}

pub fn put_line(output: &mut BytesMut, name: &str, value: &[u8]) {
    output.put_slice(name.as_bytes());
    output.put_slice(b": ");
    output.put_slice(value);
    output.put_slice(b"\r\n");
}

/// Trailers may not speak of these (RFC 9110, section 6.5.1).
pub fn belongs_to_framing(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
}

/// Where the head ends, if all of it is there. `from`: what was looked at before.
pub fn find_end(input: &[u8], from: usize) -> Option<usize> {
    // The end may lie across the border.
    let from = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', input.get(from..)?).find_map(|line_feed| {
        let next = from + line_feed + 1;
        match input.get(next..)? {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

impl Head {
    const MAX_HEADERS: usize = 128;

    /// `bytes`: a whole head. `for_head`: the response to HEAD has no body.
    pub fn parse(bytes: &Bytes, for_head: bool) -> Result<Self, Error> {
        let mut headers = [const { MaybeUninit::uninit() }; Self::MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let status = parser
            .parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers)
            .map_err(|error| Error::Malformed(reason(error)))?;
        if status != httparse::Status::Complete(bytes.len()) {
            return Err(Error::Malformed("not one head"));
        }
        let (mut parts, ()) = Response::new(()).into_parts();
        let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        parts.status = code.ok_or(Error::Malformed("no status"))?;
        let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let lasting = Lasting::of(parsed.headers, version);
        let lines = parsed.headers.iter().filter(|line| !Lasting::is_all_of(line));
        parts.headers = header_map(bytes, lines)?;
        let framing = framing_of(&parts, version, for_head)?;
        let keep_alive = framing != Framing::UntilClose && lasting == Lasting::KeepAlive;
        Ok(Self { parts, framing, keep_alive })
    }

    pub fn is_interim(&self) -> bool {
        self.parts.status.is_informational() && self.parts.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Values share the memory of the head that was read.
pub fn header_map<'a>(
    bytes: &Bytes,
    lines: impl Iterator<Item = &'a httparse::Header<'a>>,
) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::with_capacity(lines.size_hint().1.unwrap_or_default());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Error::Malformed("header name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
        map.append(name, value.map_err(|_| Error::Malformed("header value"))?);
    }
    Ok(map)
}

pub fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::Status => "status line",
        httparse::Error::Version => "version",
        httparse::Error::HeaderName => "header name",
        httparse::Error::HeaderValue => "header value",
        httparse::Error::NewLine => "end of line",
        httparse::Error::TooManyHeaders => "more than 128 headers",
        httparse::Error::Token => "token",
    }
}

/// RFC 9112, section 6.3.
fn framing_of(parts: &response::Parts, version: Version, for_head: bool) -> Result<Framing, Error> {
    if for_head || parts.status.is_informational() {
        return Ok(Framing::Length(0));
    }
    if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = parts.headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        if version == Version::HTTP_10 {
            return Err(Error::Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        let last = coding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return Ok(if is_chunked { Framing::Chunked } else { Framing::UntilClose });
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(Framing::UntilClose) };
    if lengths.any(|other| other != first) {
        return Err(Error::Malformed("different Content-Lengths"));
    }
    let text = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = text.and_then(|text| text.parse().ok());
    length.map(Framing::Length).ok_or(Error::Malformed("Content-Length"))
}

/// What becomes of the connection after the response (RFC 9112, section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    KeepAlive,
    Close,
}

impl Lasting {
    fn of(lines: &[httparse::Header], version: Version) -> Self {
        let mut lasting = if version == Version::HTTP_10 { Self::Close } else { Self::KeepAlive };
        for line in lines.iter().filter(|line| line.name.eq_ignore_ascii_case(CONNECTION.as_str())) {
            for word in line.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if word.eq_ignore_ascii_case(b"close") {
                    return Self::Close;
                }
                if word.eq_ignore_ascii_case(b"keep-alive") {
                    lasting = Self::KeepAlive;
                }
            }
        }
        lasting
    }

    /// A line that says no more than this: nobody need see it any more, and most responses have one.
    fn is_all_of(line: &httparse::Header) -> bool {
        line.name.eq_ignore_ascii_case(CONNECTION.as_str())
            && [&b"keep-alive"[..], b"close"].iter().any(|word| line.value.eq_ignore_ascii_case(word))
    }
}

/// The head of a response out of `input`, once all of it is there.
pub fn take_head(input: &mut BytesMut, seen: &mut usize, for_head: bool) -> Result<Option<Head>, Error> {
    let Some(end) = find_end(input, *seen) else {
        *seen = input.len();
        return if input.len() < Connection::MAX_HEAD { Ok(None) } else { Err(Error::HeadTooLong) };
    };
    *seen = 0;
    if end > Connection::MAX_HEAD {
        return Err(Error::HeadTooLong);
    }
    Head::parse(&input.split_to(end).freeze(), for_head).map(Some)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
