//! The gRPC health protocol (`grpc.health.v1.Health/Check`, github.com/grpc/grpc/blob/master/doc/health-checking.md):
//! a message with one string goes out, one with one number comes back. Both are a handful of bytes,
//! so they are read and written here and not by a library.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// `HealthCheckRequest { string service = 1; }`, length-prefixed as gRPC does it.
pub(super) fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    frame.freeze()
}

fn put_varint(to: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        to.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    to.put_u8(number as u8);
}

/// Whether the call itself went well; `fields` are the trailers, or the headers of a response that
/// has nothing but headers.
pub(super) fn call(fields: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| fields.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        Some(code) => Err(format!("grpc-status {code} {}", text("grpc-message").unwrap_or_default()).trim_end().into()),
        None => Err("no grpc-status".to_owned()),
    }
}

/// `HealthCheckResponse { ServingStatus status = 1; }` must say SERVING.
pub(super) fn serving(body: &[u8]) -> Result<(), String> {
    let message = match body {
        [0, a, b, c, d, message @ ..] if u32::from_be_bytes([*a, *b, *c, *d]) as usize == message.len() => message,
        _ => return Err("no uncompressed gRPC message in the answer".to_owned()),
    };
    match status(message) {
        Some(1) => Ok(()),
        Some(0) => Err("UNKNOWN".to_owned()),
        Some(2) => Err("NOT_SERVING".to_owned()),
        Some(3) => Err("SERVICE_UNKNOWN".to_owned()),
        Some(other) => Err(format!("status {other}")),
        None => Err("the answer is no HealthCheckResponse".to_owned()),
    }
}

/// The last field 1 counts, fields that we don't know are passed over (Protocol Buffers, "Encoding").
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = varint(&mut message)?,
            (_, 0) => drop(varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_as_protoc_writes_it() {
        assert_eq!(&request("")[..], b"\0\0\0\0\0");
        assert_eq!(&request("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        let long = request(&"x".repeat(300));
        assert_eq!(&long[..8], &[0, 0, 0, 0x01, 0x2f, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_serving_is_well() {
        assert_eq!(serving(b"\0\0\0\0\x02\x08\x01"), Ok(()));
        assert_eq!(serving(b"\0\0\0\0\x02\x08\x02"), Err("NOT_SERVING".to_owned()));
        // Proto3 leaves a zero out.
        assert_eq!(serving(b"\0\0\0\0\0"), Err("UNKNOWN".to_owned()));
        // An unknown field of each wire type, then the status.
        assert_eq!(serving(b"\0\0\0\0\x16\x10\x05\x1a\x02hi\x21\0\0\0\0\0\0\0\0\x2d\0\0\0\0\x08\x01"), Ok(()));
    }

    #[test]
    fn nonsense_is_no_answer() {
        let nonsense: [&[u8]; 7] = [
            b"",
            b"\0\0\0\0",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x03\x08\x01",
            b"\0\0\0\0\x01\x08",
            b"\0\0\0\0\x03\x0a\x7f\x01",
            b"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        for body in nonsense {
            assert!(serving(body).is_err(), "{body:?}");
        }
    }
}
