//! The request's head as it is written to an endpoint, the response's as it is read.

use std::mem::MaybeUninit;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request;
use http::response;
use http::{Method, Response, StatusCode, Version};

use crate::message::{
    Error, Framing, Lasting, MAX_HEADERS, find_end, header_map, is_chunked, length_of, put_line, reason,
};

/// More than any origin sends that means well.
const MAX_HEAD: usize = 64 << 10;

/// A request, and what it is sent with in place of what it says.
pub struct Outgoing<'a> {
    pub parts: &'a request::Parts,
    /// `Host` when the request names none: HTTP/1.0 needs none, endpoints do.
    pub host: &'a str,
    /// The protocol to ask for (RFC 9110, section 7.8).
    pub upgrade: Option<&'a HeaderValue>,
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub parts: response::Parts,
    pub framing: Framing,
    /// The endpoint takes another request on this connection.
    pub keep_alive: bool,
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

impl Head {
    /// `bytes`: a whole head. `for_head`: the response to HEAD has no body.
    pub fn parse(bytes: &Bytes, for_head: bool) -> Result<Self, Error> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
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
        parts.headers = header_map(bytes, parsed.headers)?;
        let framing = framing_of(&parts, version, for_head)?;
        // With both lengths the endpoint may mean the other one (RFC 9112, section 6.3).
        let is_sure = framing != Framing::Chunked || !parts.headers.contains_key(CONTENT_LENGTH);
        let keep_alive = is_sure && framing != Framing::UntilClose && lasting == Lasting::KeepAlive;
        Ok(Self { parts, framing, keep_alive })
    }

    pub fn is_interim(&self) -> bool {
        self.parts.status.is_informational() && self.parts.status != StatusCode::SWITCHING_PROTOCOLS
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
    if is_chunked(&parts.headers)? {
        let is_old = version == Version::HTTP_10;
        return if is_old { Err(Error::Malformed("Transfer-Encoding in HTTP/1.0")) } else { Ok(Framing::Chunked) };
    }
    Ok(length_of(&parts.headers)?.map_or(Framing::UntilClose, Framing::Length))
}

/// The head of a response out of `input`, once all of it is there.
pub fn take_head(input: &mut BytesMut, seen: &mut usize, for_head: bool) -> Result<Option<Head>, Error> {
    let Some(end) = find_end(input, *seen) else {
        *seen = input.len();
        return if input.len() < MAX_HEAD { Ok(None) } else { Err(Error::HeadTooLong) };
    };
    *seen = 0;
    if end > MAX_HEAD {
        return Err(Error::HeadTooLong);
    }
    Head::parse(&input.split_to(end).freeze(), for_head).map(Some)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
