//! The outer shape of a TLS client's first message (RFC 8446, sections 4.1.2 and 5.1), as far as
//! the server name in it (RFC 6066, section 3). Reads whatever bytes the network has: every length
//! is checked against what is there.

/// Longest first message that is looked at, in bytes with its record headers. Browsers send 0.5 to
/// 2 KB, keys for post-quantum agreement included.
pub const SIZE_LIMIT: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// So far it is one.
    #[error("the client's TLS handshake is incomplete")]
    Incomplete,
    #[error("the client does not begin with a TLS handshake")]
    NotTls,
    #[error("the client's TLS handshake is malformed")]
    Malformed,
    #[error("the client's TLS handshake is longer than {SIZE_LIMIT} bytes")]
    TooLong,
    #[error("the client names no server in its TLS handshake")]
    Nameless,
}

use Unreadable::{Incomplete, Malformed, Nameless, NotTls, TooLong};

/// The name in lower case, without a final dot. `bytes` begin where the connection begins.
pub fn server_name(bytes: &[u8]) -> Result<String, Unreadable> {
    let message = first_message(bytes)?;
    let name = name_of(extensions(&message)?)?;
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    if name.is_empty() || name.len() > 253 || !name.iter().all(is_host) {
        return Err(Malformed);
    }
    Ok(name.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect())
}

/// The body of the `ClientHello`, put together from as many records as it is spread over.
fn first_message(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    const HANDSHAKE: u8 = 22;
    /// Major version of every record since SSL 3.
    const TLS: u8 = 3;
    const CLIENT_HELLO: u8 = 1;
    const LONGEST_RECORD: usize = 1 << 14;
    let mut rest = Reader(bytes);
    let mut message = Vec::new();
    loop {
        let other = rest.0.iter().zip([HANDSHAKE, TLS]).any(|(byte, expected)| *byte != expected);
        if other {
            return Err(if message.is_empty() { NotTls } else { Malformed });
        }
        let length = rest.take(3).and_then(|_| rest.number(2)).ok_or(Incomplete)?;
        if length == 0 || length > LONGEST_RECORD {
            return Err(Malformed);
        }
        let fragment = &rest.0[..length.min(rest.0.len())];
        message.extend_from_slice(fragment);
        rest.0 = &rest.0[fragment.len()..];
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(Malformed);
        }
        let mut body = Reader(&message);
        if let Some(length) = body.take(1).and_then(|_| body.number(3)) {
            if length > SIZE_LIMIT {
                return Err(TooLong);
            }
            if let Some(body) = body.take(length) {
                return Ok(body.to_vec());
            }
        }
    }
}

fn extensions(message: &[u8]) -> Result<&[u8], Unreadable> {
    const VERSION_AND_RANDOM: usize = 2 + 32;
    let mut rest = Reader(message);
    rest.take(VERSION_AND_RANDOM).ok_or(Malformed)?;
    let _session = rest.vector(1).ok_or(Malformed)?;
    let _cipher_suites = rest.vector(2).ok_or(Malformed)?;
    let _compression = rest.vector(1).ok_or(Malformed)?;
    if rest.0.is_empty() {
        return Err(Nameless);
    }
    rest.vector(2).ok_or(Malformed)
}

fn name_of(extensions: &[u8]) -> Result<&[u8], Unreadable> {
    const SERVER_NAME: usize = 0;
    const HOST_NAME: usize = 0;
    let mut rest = Reader(extensions);
    while !rest.0.is_empty() {
        let kind = rest.number(2).ok_or(Malformed)?;
        let data = rest.vector(2).ok_or(Malformed)?;
        if kind == SERVER_NAME {
            let mut names = Reader(Reader(data).vector(2).ok_or(Malformed)?);
            return match names.number(1).ok_or(Malformed)? {
                HOST_NAME => names.vector(2).ok_or(Malformed),
                _ => Err(Nameless),
            };
        }
    }
    Err(Nameless)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Of so many bytes, at most 3.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// A length of so many bytes, and as many bytes as it says.
    fn vector(&mut self, length_bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(length_bytes)?;
        self.take(length)
    }
}

#[cfg(test)]
pub mod example {
    fn vector(length_bytes: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - length_bytes..], content].concat()
    }

    fn extension(kind: u8, data: &[u8]) -> Vec<u8> {
        [&[0, kind][..], &vector(2, data)].concat()
    }

    pub fn record(fragment: &[u8]) -> Vec<u8> {
        [&[22, 3, 1][..], &vector(2, fragment)].concat()
    }

    pub fn message(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend(vector(1, &[9; 32]));
        body.extend(vector(2, &[0x13, 0x01, 0x13, 0x02]));
        body.extend(vector(1, &[0]));
        body.extend_from_slice(extensions);
        [&[1][..], &vector(3, &body)].concat()
    }

    pub fn handshake(name: &str) -> Vec<u8> {
        let server_name = vector(2, &[&[0][..], &vector(2, name.as_bytes())].concat());
        let all =
            [extension(43, &[2, 3, 4]), extension(0, &server_name), extension(16, &[0, 3, 2, b'h', b'2'])].concat();
        message(&vector(2, &all))
    }

    pub fn client_hello(name: &str) -> Vec<u8> {
        record(&handshake(name))
    }
}

#[cfg(test)]
mod tests {
    use super::example::{client_hello, handshake, message, record};
    use super::*;

    #[test]
    fn a_name_is_found_and_made_lower_case() {
        assert_eq!(server_name(&client_hello("Db.Example.COM.")).as_deref(), Ok("db.example.com"));
    }

    #[test]
    fn bytes_after_the_hello_do_not_matter() {
        let bytes = [client_hello("db"), vec![20, 3, 3, 0, 1, 1], vec![0xff; 100]].concat();
        assert_eq!(server_name(&bytes).as_deref(), Ok("db"));
    }

    #[test]
    fn a_hello_may_be_spread_over_records() {
        let bytes: Vec<u8> = handshake("db.example.com").chunks(3).flat_map(record).collect();
        assert_eq!(server_name(&bytes).as_deref(), Ok("db.example.com"));
    }

    #[test]
    fn every_beginning_of_a_hello_is_incomplete() {
        let whole = client_hello("db.example.com");
        for length in 0..whole.len() {
            assert_eq!(server_name(&whole[..length]), Err(Incomplete), "{length}");
        }
    }

    #[test]
    fn other_things_are_told_apart() {
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n\r\n"), Err(NotTls));
        assert_eq!(server_name(&[22, 2]), Err(NotTls));
        assert_eq!(server_name(&record(&message(&[]))), Err(Nameless));
        assert_eq!(server_name(&record(&message(&[0, 0]))), Err(Nameless));
        assert_eq!(server_name(&record(&message(&[0, 9, 0]))), Err(Malformed));
        assert_eq!(server_name(&client_hello("")), Err(Malformed));
        assert_eq!(server_name(&client_hello("a b")), Err(Malformed));
        assert_eq!(server_name(&client_hello(&"a".repeat(254))), Err(Malformed));
        assert_eq!(server_name(&record(&[2, 0, 0, 1, 0])), Err(Malformed), "no ClientHello");
        assert_eq!(server_name(&record(&[1, 0xff, 0xff, 0xff])), Err(TooLong));
        assert_eq!(server_name(&[22, 3, 1, 0, 0]), Err(Malformed), "an empty record");
        assert_eq!(server_name(&[22, 3, 1, 0xff, 0xff]), Err(Malformed), "a record longer than allowed");
    }

    /// xorshift64*: the same bytes in every run.
    fn random(state: &mut u64) -> usize {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    }

    #[test]
    fn damaged_bytes_never_panic_and_never_give_a_name_that_is_none() {
        let mut state = 42;
        let whole = client_hello("db.example.com");
        for _ in 0..200_000 {
            let mut bytes = whole.clone();
            for _ in 0..=random(&mut state) % 4 {
                let place = random(&mut state) % bytes.len();
                bytes[place] = random(&mut state) as u8;
            }
            bytes.truncate(random(&mut state) % (bytes.len() + 1) + random(&mut state) % 2 * whole.len());
            if let Ok(name) = server_name(&bytes) {
                assert!(!name.is_empty() && name.len() <= 253 && name.is_ascii());
            }
        }
    }

    #[test]
    fn bytes_of_chance_never_panic() {
        let mut state = 7;
        for _ in 0..50_000 {
            let mut bytes: Vec<u8> = (0..random(&mut state) % 200).map(|_| random(&mut state) as u8).collect();
            for (byte, header) in bytes.iter_mut().zip([22, 3, 1, 0]) {
                *byte = header;
            }
            let _ = server_name(&bytes);
        }
    }
}
