//! HTTP/1.1 messages as they stand on the wire, read without any of the proxy's libraries.

use std::io::{self, BufRead, Read};

#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Request line or status line.
    pub first: String,
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default)]
pub struct Message {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Interim responses (1xx) that came before it.
    pub interim: Vec<Head>,
}

impl Head {
    /// None at the end of the stream.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = read_line(from)?;
        if first.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { first, headers: read_fields(from)? }))
    }

    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The first line of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All lines of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.header("content-length").map(|length| length.parse().unwrap())
    }
}

impl Message {
    /// A response; `to` is the method of its request. An error when the body ends early.
    pub fn read_response(from: &mut impl BufRead, to: &str) -> io::Result<Self> {
        let mut interim = Vec::new();
        let head = loop {
            let head = Head::read(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match head.status() {
                100 | 102..=199 => interim.push(head),
                _ => break head,
            }
        };
        let bodyless = to == "HEAD" || matches!(head.status(), 101 | 204 | 304);
        let mut message = Self { head, interim, ..Self::default() };
        if bodyless {
        } else if message.head.is_chunked() {
            (message.body, message.trailers) = read_chunked(from)?;
        } else if let Some(length) = message.head.length() {
            message.body = read_exactly(from, length)?;
        } else {
            from.read_to_end(&mut message.body)?;
        }
        Ok(message)
    }

    /// A request; none when the stream ends before it.
    pub fn read_request(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(head) = Head::read(from)? else { return Ok(None) };
        let mut message = Self { head, ..Self::default() };
        if message.head.is_chunked() {
            (message.body, message.trailers) = read_chunked(from)?;
        } else if let Some(length) = message.head.length() {
            message.body = read_exactly(from, length)?;
        }
        Ok(Some(message))
    }

    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn read_fields(from: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(from)?;
        match line.split_once(':') {
            Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(fields),
        }
    }
}

fn read_exactly(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length.try_into().unwrap()];
    from.read_exact(&mut body)?;
    Ok(body)
}

type Chunked = (Vec<u8>, Vec<(String, String)>);

fn read_chunked(from: &mut impl BufRead) -> io::Result<Chunked> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if size == 0 {
            return Ok((body, read_fields(from)?));
        }
        body.extend(read_exactly(from, size)?);
        read_line(from)?;
    }
}
