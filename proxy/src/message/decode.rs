//! A body out of the bytes that came (RFC 9112, sections 6 and 7).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::Error;
use super::head::{Framing, belongs_to_framing, find_end, header_map, reason};

#[derive(Debug, PartialEq, Eq)]
pub enum Decoder {
    Length(u64),
    Chunked(Chunk),
    UntilClose,
    Done,
    /// Something came that is no body. What follows it is not the next message either.
    Broken,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    Size,
    Data(u64),
    /// The end of line after the data.
    End,
    Trailers,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// More must be read first.
    Hungry,
}

impl Decoder {
    /// A chunk's size with its extensions, which mean nothing to anybody.
    const MAX_SIZE_LINE: usize = 4 << 10;
    const MAX_TRAILERS: usize = 16 << 10;

    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunk::Size),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }

    /// How many bytes there will be.
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Done => Some(0),
            Self::Chunked(_) | Self::UntilClose | Self::Broken => None,
        }
    }

    /// The peer closes: that is the end of a body, or in the middle of one.
    pub fn close(&mut self) -> Result<(), Error> {
        match self {
            Self::UntilClose | Self::Done => {
                *self = Self::Done;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) | Self::Broken => Err(Error::Closed),
        }
    }

    /// An error is final: asked again, it is one again.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Error> {
        let decoded = self.next(input);
        if decoded.is_err() {
            *self = Self::Broken;
        }
        decoded
    }

    fn next(&mut self, input: &mut BytesMut) -> Result<Decoded, Error> {
        loop {
            match self {
                Self::Done => return Ok(Decoded::End),
                Self::Broken => return Err(Error::Malformed("after an error")),
                _ if input.is_empty() => return Ok(Decoded::Hungry),
                Self::UntilClose => return Ok(Decoded::Data(input.split().freeze())),
                Self::Length(left) => {
                    let data = take(input, left);
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    return Ok(Decoded::Data(data));
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let data = take(input, left);
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::End);
                    }
                    return Ok(Decoded::Data(data));
                }
                Self::Chunked(Chunk::Size) => match size_line(input)? {
                    None => return Ok(Decoded::Hungry),
                    Some(0) => *self = Self::Chunked(Chunk::Trailers),
                    Some(size) => *self = Self::Chunked(Chunk::Data(size)),
                },
                Self::Chunked(Chunk::End) => match input.get(..2) {
                    None => return Ok(Decoded::Hungry),
                    Some(b"\r\n") => {
                        drop(input.split_to(2));
                        *self = Self::Chunked(Chunk::Size);
                    }
                    Some(_) => return Err(Error::Malformed("chunk longer than its size")),
                },
                Self::Chunked(Chunk::Trailers) => {
                    let Some(trailers) = trailers(input)? else { return Ok(Decoded::Hungry) };
                    *self = Self::Done;
                    return Ok(if trailers.is_empty() { Decoded::End } else { Decoded::Trailers(trailers) });
                }
            }
        }
    }
}

fn take(input: &mut BytesMut, left: &mut u64) -> Bytes {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= count as u64;
    input.split_to(count).freeze()
}

/// RFC 9112, section 7.1. A line ends with CRLF here and nothing else: who reads a bare LF as an
/// end sees other chunks than who does not.
fn size_line(input: &mut BytesMut) -> Result<Option<u64>, Error> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        let is_long = input.len() > Decoder::MAX_SIZE_LINE;
        return if is_long { Err(Error::Malformed("chunk size line too long")) } else { Ok(None) };
    };
    let line = input.split_to(end + 1);
    let line = line.strip_suffix(b"\r\n").ok_or(Error::Malformed("end of line after a chunk size"))?;
    if line.contains(&b'\r') {
        return Err(Error::Malformed("carriage return in a chunk size line"));
    }
    let mut digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    while let [before @ .., b' ' | b'\t'] = digits {
        digits = before;
    }
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
    size.map(Some).ok_or(Error::Malformed("chunk size"))
}

fn trailers(input: &mut BytesMut) -> Result<Option<HeaderMap>, Error> {
    let end = if input.starts_with(b"\r\n") { Some(2) } else { find_end(input, 0) };
    let Some(end) = end else {
        let is_long = input.len() > Decoder::MAX_TRAILERS;
        return if is_long { Err(Error::Malformed("trailers too long")) } else { Ok(None) };
    };
    let bytes = input.split_to(end).freeze();
    let mut lines = [httparse::EMPTY_HEADER; 64];
    match httparse::parse_headers(&bytes, &mut lines) {
        Ok(httparse::Status::Complete((length, lines))) if length == bytes.len() => {
            let mut map = header_map(&bytes, lines)?;
            let framing: Vec<_> = map.keys().filter(|name| belongs_to_framing(name)).cloned().collect();
            for name in framing {
                map.remove(name);
            }
            Ok(Some(map))
        }
        Ok(_) => Err(Error::Malformed("trailers")),
        Err(error) => Err(Error::Malformed(reason(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a body that arrives in pieces of this many bytes.
    fn decoded(framing: Framing, body: &[u8], piece: usize) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Error> {
        let mut decoder = Decoder::new(framing);
        let (mut input, mut data, mut trailers) = (BytesMut::new(), Vec::new(), HeaderMap::new());
        let mut pieces = body.chunks(piece);
        loop {
            match decoder.decode(&mut input)? {
                Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                Decoded::Trailers(map) => trailers = map,
                Decoded::End => return Ok((data, trailers, input.to_vec())),
                Decoded::Hungry => match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => decoder.close()?,
                },
            }
        }
    }

    #[test]
    fn a_body_is_the_same_in_whatever_pieces_it_comes() {
        let chunked = b"5\r\nhello\r\n06 ; name=value\r\n world\r\n0\r\nx-sum: 1\r\ncontent-length: 9\r\n\r\nrest";
        for piece in 1..chunked.len() {
            let (data, trailers, rest) = decoded(Framing::Chunked, chunked, piece).unwrap();
            assert_eq!((data.as_slice(), trailers.len()), (b"hello world".as_slice(), 1));
            assert_eq!(trailers["x-sum"], "1");
            assert!(b"rest".starts_with(rest.as_slice()));
            let (data, ..) = decoded(Framing::Length(7), b"0123456789", piece).unwrap();
            assert_eq!(data, b"0123456");
            let (data, ..) = decoded(Framing::UntilClose, b"0123456789", piece).unwrap();
            assert_eq!(data, b"0123456789");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "-1\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5\r\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "10000000000000000\r\nhello",
            "0\r\nno header\r\n\r\n",
        ] {
            let result = decoded(Framing::Chunked, body.as_bytes(), 1000);
            assert!(matches!(result, Err(Error::Malformed(_))), "{body:?}: {result:?}");
        }
        let endless = "1".repeat(10_000);
        assert!(decoded(Framing::Chunked, endless.as_bytes(), 100).is_err());
        let endless = format!("0\r\na: {}", "b".repeat(20_000));
        assert!(decoded(Framing::Chunked, endless.as_bytes(), 100).is_err());
    }

    /// Otherwise a request could hide behind the error.
    #[test]
    fn an_error_is_final() {
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut input = BytesMut::from(&b"29\n0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n"[..]);
        for _ in 0..3 {
            assert!(decoder.decode(&mut input).is_err());
            assert!(!decoder.is_done() && decoder.close().is_err());
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_no_whole_one() {
        for (framing, body) in [
            (Framing::Length(5), "hell"),
            (Framing::Chunked, "5\r\nhell"),
            (Framing::Chunked, "5\r\nhello\r\n"),
            (Framing::Chunked, "5\r\nhello\r\n0\r\n"),
        ] {
            assert!(matches!(decoded(framing, body.as_bytes(), 3), Err(Error::Closed)), "{body:?}");
        }
    }
}
