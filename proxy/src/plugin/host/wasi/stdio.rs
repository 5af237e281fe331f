//! What a plugin prints, line by line, for the log: panic messages above all.

use crate::plugin::host::Host;
use crate::plugin::instance::readable;
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

/// The lines that are not finished yet.
#[derive(Debug, Default)]
pub struct Stdio {
    out: Line,
    error: Line,
}

#[derive(Debug, Default)]
struct Line(Vec<u8>);

impl Host {
    pub(super) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        let line = match stream {
            Stream::Out => &mut self.stdio.out,
            Stream::Error => &mut self.stdio.error,
        };
        line.push(bytes, |line| log(&self.usage, stream, line));
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
    let Some(dropped) = usage.shared.log_lines.pass() else { return };
    let (plugin, line) = (&*usage.config.plugin, readable(&String::from_utf8_lossy(line)));
    match stream {
        Stream::Out => tracing::info!(target: "plugin", plugin, dropped, stream = "stdout", "{line}"),
        Stream::Error => tracing::warn!(target: "plugin", plugin, dropped, stream = "stderr", "{line}"),
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
