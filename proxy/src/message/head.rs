//! What heads of requests and of responses have in common.

use bytes::{BufMut, Bytes, BytesMut};
use http::Version;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::Error;

/// More lines than this are no honest head.
pub const MAX_HEADERS: usize = 128;

/// How a body ends (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What becomes of the connection after the message (RFC 9112, section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    KeepAlive,
    Close,
}

impl Lasting {
    pub fn of(lines: &[httparse::Header], version: Version) -> Self {
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

    /// A line that says no more than this: nobody need see it any more, and most messages have one.
    fn is_all_of(line: &httparse::Header) -> bool {
        line.name.eq_ignore_ascii_case(CONNECTION.as_str())
            && [&b"keep-alive"[..], b"close"].iter().any(|word| line.value.eq_ignore_ascii_case(word))
    }
}

/// Of trailers, and of `Content-Length` beside `Transfer-Encoding`: RFC 9110, section 6.5.1.
pub fn belongs_to_framing(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
}

pub fn put_line(output: &mut BytesMut, name: &str, value: &[u8]) {
    output.put_slice(name.as_bytes());
    output.put_slice(b": ");
    output.put_slice(value);
    output.put_slice(b"\r\n");
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

/// Values share the memory of the head that was read. What a `Connection` line said, if it said no
/// more than [`Lasting`] tells, is left out.
pub fn header_map(bytes: &Bytes, lines: &[httparse::Header]) -> Result<HeaderMap, Error> {
    // Filters add some: growing means hashing all names again.
    const ADDED: usize = 4;
    let mut map = HeaderMap::with_capacity(lines.len() + ADDED);
    for line in lines.iter().filter(|line| !Lasting::is_all_of(line)) {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Error::Malformed("header name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
        map.append(name, value.map_err(|_| Error::Malformed("header value"))?);
    }
    Ok(map)
}

/// What `Content-Length` says: once, or several times the same (RFC 9112, section 6.3).
pub fn length_of(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    if lengths.any(|other| other != first) {
        return Err(Error::Malformed("different Content-Lengths"));
    }
    let text = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = text.and_then(|text| text.parse().ok());
    length.map(Some).ok_or(Error::Malformed("Content-Length"))
}

/// Whether a body comes in chunks, by its `Transfer-Encoding`: other codings are nobody's here.
pub fn is_chunked(headers: &HeaderMap) -> Result<bool, Error> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Error::Malformed("Transfer-Encoding")),
    }
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
