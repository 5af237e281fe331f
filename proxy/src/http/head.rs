//! The head of an HTTP/1.1 request as it came, for what hyper does not tell: that both lengths were
//! there (it drops one without a word), and that a target does not end.

/// What was read since the connection was idle, as far as it can be a head.
#[derive(Default)]
pub struct Head(Vec<u8>);

impl Head {
    pub fn push(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(&bytes[..room]);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The target alone is longer than this.
    pub fn has_longer_target_than(&self, limit: usize) -> bool {
        self.0.len() > limit && !self.0[..limit].contains(&b'\n')
    }

    /// Whether a line of it begins with this name.
    pub fn names(&self, name: &str) -> bool {
        let lines = self.0.split(|byte| *byte == b'\n').skip(1);
        let mut headers = lines.take_while(|line| !matches!(line, [] | [b'\r']));
        headers.any(|line| line.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_lines_count() {
        let mut head = Head::default();
        head.push(b"POST /content-length HTTP/1.1\r\nHost: a\r\nConte", 1000);
        assert!(!head.names("content-length"));
        head.push(b"nt-Length: 5\r\n\r\n", 1000);
        assert!(head.names("content-length"));
        head.clear();
        head.push(b"POST / HTTP/1.1\r\nhost: a\r\n\r\ncontent-length: 5\r\n", 1000);
        assert!(!head.names("content-length"));
    }

    #[test]
    fn a_target_that_does_not_end_is_too_long() {
        let mut head = Head::default();
        head.push(b"GET /aaaa HTTP/1.1\r\n", 1000);
        assert!(!head.has_longer_target_than(20) && head.has_longer_target_than(10));
    }
}
