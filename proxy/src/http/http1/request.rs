//! The head of a client's request: read, checked, and answered when it is no honest one.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::TRANSFER_ENCODING;
use http::request::Parts;
use http::{Method, Request, Uri, Version};

use crate::error::Fault;
use crate::message::{Framing, Lasting, MAX_HEADERS, find_end, header_map, length_of};

pub struct Head {
    pub parts: Parts,
    pub framing: Framing,
    pub lasting: Lasting,
}

/// What heads may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub head_bytes: usize,
    pub target_bytes: usize,
}

impl Limits {
    /// What may stand before the target.
    const MAX_METHOD: usize = 64;

    pub fn new(head_bytes: usize) -> Self {
        const LEAST_TARGET: usize = 8 << 10;
        Self { head_bytes, target_bytes: (head_bytes / 2).max(LEAST_TARGET) }
    }

    /// Whether what came, and is no whole head, can still become one.
    fn check(self, input: &[u8]) -> Result<(), Fault> {
        let before_version = self.target_bytes + Self::MAX_METHOD;
        if input.len() > before_version && !input[..before_version].contains(&b'\n') {
            return Err(Fault::TargetTooLong);
        }
        if input.len() > self.head_bytes.max(before_version) { Err(Fault::HeadTooLarge) } else { Ok(()) }
    }
}

/// The next head out of `input`, once all of it is there. `seen`: how much was looked at before.
pub fn take_head(input: &mut BytesMut, seen: &mut usize, limits: Limits) -> Result<Option<Head>, Fault> {
    // RFC 9112, section 2.2: an empty line before a request is forgiven.
    while input.starts_with(b"\r\n") {
        drop(input.split_to(2));
        *seen = 0;
    }
    let Some(end) = find_end(input, *seen) else {
        limits.check(input)?;
        // What can never become a head is refused before all of it has come.
        if *seen == 0 && !input.is_empty() {
            parse_lines(input, |_, _| Ok(()))?;
        }
        *seen = input.len();
        return Ok(None);
    };
    *seen = 0;
    if end > limits.head_bytes {
        limits.check(&input[..end])?;
        return Err(Fault::HeadTooLarge);
    }
    let bytes = input.split_to(end).freeze();
    parse(&bytes).map(Some)
}

/// Runs `work` on the lines of a whole head and how long it is; nothing when more is to come.
fn parse_lines<T: Default>(
    bytes: &[u8],
    work: impl FnOnce(&httparse::Request, usize) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut lines) {
        Ok(httparse::Status::Complete(length)) => work(&request, length),
        Ok(httparse::Status::Partial) => Ok(T::default()),
        Err(httparse::Error::TooManyHeaders) => Err(Fault::HeadTooLarge),
        Err(error) => Err(Fault::BadRequest(crate::message::reason(error))),
    }
}

fn parse(bytes: &Bytes) -> Result<Head, Fault> {
    let head = parse_lines(bytes, |lines, length| {
        if length != bytes.len() {
            return Err(Fault::BadRequest("not one head"));
        }
        build(bytes, lines).map(Some)
    })?;
    head.ok_or(Fault::BadRequest("not one head"))
}

fn build(bytes: &Bytes, lines: &httparse::Request) -> Result<Head, Fault> {
    let version = if lines.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let method =
        Method::from_bytes(lines.method.unwrap_or_default().as_bytes()).map_err(|_| Fault::BadRequest("method"))?;
    let target = bytes.slice_ref(lines.path.unwrap_or_default().as_bytes());
    let headers = header_map(bytes, lines.headers).map_err(|_| Fault::BadRequest("header"))?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = Uri::from_maybe_shared(target).map_err(|_| Fault::BadRequest("malformed target"))?;
    (parts.method, parts.version, parts.headers) = (method, version, headers);
    let length = length_of(&parts.headers).map_err(|_| Fault::BadRequest("Content-Length"))?;
    let framing = match (parts.headers.get_all(TRANSFER_ENCODING).iter().next_back(), length) {
        (None, length) => Framing::Length(length.unwrap_or(0)),
        // With a length beside it the request may be two for somebody else (RFC 9112, section 6.3).
        (Some(_), Some(_)) => return Err(Fault::BadRequest("both Content-Length and Transfer-Encoding")),
        (Some(_), None) if version == Version::HTTP_10 => {
            return Err(Fault::BadRequest("Transfer-Encoding in HTTP/1.0"));
        }
        (Some(coding), None) => {
            let last = coding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
            if !last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::BadRequest("chunked is not the last transfer coding"));
            }
            Framing::Chunked
        }
    };
    Ok(Head { parts, framing, lasting: Lasting::of(lines.headers, version) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes: 32 << 10, target_bytes: 16 << 10 };

    fn taken(text: &[u8]) -> Result<Option<Head>, Fault> {
        take_head(&mut BytesMut::from(text), &mut 0, LIMITS)
    }

    #[test]
    fn a_head_is_the_same_in_whatever_pieces_it_comes() {
        let text = b"\r\nPOST /a?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
        for piece in 1..text.len() {
            let (mut input, mut seen, mut head) = (BytesMut::new(), 0, None);
            for bytes in text.chunks(piece) {
                input.extend_from_slice(bytes);
                head = head.or_else(|| take_head(&mut input, &mut seen, LIMITS).unwrap());
            }
            let head = head.unwrap();
            assert_eq!((head.framing, head.lasting), (Framing::Length(4), Lasting::Close));
            assert_eq!((head.parts.uri.to_string().as_str(), head.parts.headers.len()), ("/a?b", 2));
            assert_eq!(&input[..], b"body");
        }
    }

    #[test]
    fn what_can_never_become_a_head_is_refused_at_once() {
        assert!(matches!(taken(b"\x16\x03\x01\x02"), Err(Fault::BadRequest(_))));
        assert!(matches!(taken(b"GET / HTTP/7"), Err(Fault::BadRequest(_))));
        assert!(matches!(taken(&vec![b'a'; 20 << 10]), Err(Fault::TargetTooLong)));
        let mut long = b"GET / HTTP/1.1\r\nx: ".to_vec();
        long.resize(40 << 10, b'a');
        assert!(matches!(taken(&long), Err(Fault::HeadTooLarge)));
        assert!(taken(b"GET / HTTP/1.1\r\nhos").unwrap().is_none());
    }

    #[test]
    fn the_length_of_a_body_is_beyond_doubt_or_the_request_is_refused() {
        let post = |lines: &str| taken(format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n").as_bytes());
        let framing = |lines: &str| post(lines).unwrap().unwrap().framing;
        assert_eq!(framing("x: y"), Framing::Length(0));
        assert_eq!(framing("transfer-encoding: CHUNKED"), Framing::Chunked);
        assert_eq!(framing("content-length: 7\r\ncontent-length: 7"), Framing::Length(7));
        for lines in [
            "content-length: 7\r\ncontent-length: 8",
            "content-length: 7, 7",
            "content-length: +7",
            "content-length:",
            "transfer-encoding: gzip",
            "transfer-encoding: chunked, gzip",
            "transfer-encoding: chunked\r\ntransfer-encoding: gzip",
            "transfer-encoding: chunked\r\ncontent-length: 7",
            "transfer-encoding : chunked",
        ] {
            assert!(matches!(post(lines), Err(Fault::BadRequest(_))), "{lines:?}");
        }
    }
}
