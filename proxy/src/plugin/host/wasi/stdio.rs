//! What a plugin prints, line by line, for the log: panic messages above all. Without the grant `log`
//! nothing of it goes there but the last words of a call that failed, as the reason of that.

use crate::plugin::host::Host;
use crate::plugin::log::Level;
use crate::plugin::usage::Usage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out = 1,
    Error = 2,
}

impl Stream {
    /// Of a resource's number.
    pub fn of(number: u32) -> Self {
        if number == Self::Out as u32 { Self::Out } else { Self::Error }
    }
}

#[derive(Debug, Default)]
pub struct Stdio {
    /// The lines that are not finished yet.
    out: Line,
    error: Line,
    /// What was said on standard error in this call.
    said: String,
}

#[derive(Debug, Default)]
struct Line(Vec<u8>);

impl Stdio {
    /// More is not needed to know why it died.
    const MOST_SAID: usize = 1024;

    pub fn forget(&mut self) {
        self.said.clear();
    }

    /// Of the call that failed: the reason stands there, in the words of the language's runtime.
    pub fn last_words(&self) -> Option<String> {
        let words = format!("{}{}", self.said, String::from_utf8_lossy(&self.error.0));
        Some(words.trim_end().to_owned()).filter(|words| !words.is_empty())
    }
}

impl Host {
    pub(in crate::plugin::host) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        let Stdio { out, error, said } = &mut self.stdio;
        match stream {
            Stream::Out if !self.usage.may_log => {}
            Stream::Out => out.push(bytes, |line| log(&self.usage, stream, line)),
            Stream::Error => error.push(bytes, |line| {
                say(said, line);
                log(&self.usage, stream, line);
            }),
        }
    }
}

fn say(said: &mut String, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    let room = Stdio::MOST_SAID.saturating_sub(said.len());
    if room > 0 {
        said.push_str(&line[..line.floor_char_boundary(room)]);
        said.push(' ');
    }
}

impl Drop for Host {
    /// The last words may have no end.
    fn drop(&mut self) {
        for (line, stream) in [(&mut self.stdio.out, Stream::Out), (&mut self.stdio.error, Stream::Error)] {
            line.push(b"\n", |line| log(&self.usage, stream, line));
        }
    }
}

fn log(usage: &Usage, stream: Stream, line: &[u8]) {
    let (level, name) = match stream {
        Stream::Out => (Level::Info, "stdout"),
        Stream::Error => (Level::Warn, "stderr"),
    };
    if let Some(pass) = usage.may_say(level) {
        usage.say(pass, level, Some(name), &String::from_utf8_lossy(line));
    }
}

impl Line {
    /// What is longer is cut.
    const MOST_BYTES: usize = 2048;

    /// Hands over each line that ends, unless it is empty.
    fn push(&mut self, bytes: &[u8], mut hand_over: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = Self::MOST_BYTES - self.0.len();
            self.0.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < piece.len() {
                if !self.0.is_empty() {
                    hand_over(&self.0);
                }
                self.0.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut line, mut lines) = (Line::default(), Vec::new());
        for piece in pieces {
            line.push(piece, |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines
    }

    #[test]
    fn lines_are_told_when_they_end() {
        assert_eq!(
            lines(&[b"thread 'main' ", b"panicked:\nthe rea", b"son", b"\n\n", b"rest"]),
            ["thread 'main' panicked:", "the reason"]
        );
    }

    #[test]
    fn a_line_is_bounded_however_it_comes() {
        let long = [b'x'; 5000];
        assert_eq!(lines(&[&long, &long, b"\nshort\n"]), ["x".repeat(Line::MOST_BYTES), "short".to_owned()]);
    }
}
