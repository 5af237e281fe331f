//! A use's lines in the proxy's log: bounded in length and number, and only with the grant `log`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::instance::readable;
use super::usage::Usage;
use crate::clock;

pub use super::bindings::jackfield::plugin::log::Level;

/// A line may be written; so many were not since the last one.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    dropped: u32,
}

impl Usage {
    /// Asked before the line is even read: dropping one costs next to nothing.
    pub(super) fn may_say(&self, level: Level) -> Option<Pass> {
        if !self.may_log || !is_shown(level) {
            return None;
        }
        match self.shared.log_lines.line() {
            Line::Passes { dropped } => Some(Pass { dropped }),
            Line::Dropped => None,
            Line::FirstDropped => {
                let (plugin, place) = (&*self.config.plugin, &*self.config.label);
                let most = LogGate::LINES_PER_SECOND;
                tracing::warn!(plugin, place, "plugin says more than {most} lines in a second; the others are dropped");
                None
            }
        }
    }

    /// `stream`: where it was printed, unless it was said to the host.
    pub(super) fn say(&self, Pass { dropped }: Pass, level: Level, stream: Option<&str>, text: &str) {
        let (plugin, text) = (&*self.config.plugin, readable(text));
        match level {
            Level::Debug => tracing::debug!(target: "plugin", plugin, dropped, stream, "{text}"),
            Level::Info => tracing::info!(target: "plugin", plugin, dropped, stream, "{text}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, dropped, stream, "{text}"),
            Level::Error => tracing::error!(target: "plugin", plugin, dropped, stream, "{text}"),
        }
    }
}

/// What the operator does not want to see takes nobody's place.
fn is_shown(level: Level) -> bool {
    match level {
        Level::Debug => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: "plugin", tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: "plugin", tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: "plugin", tracing::Level::ERROR),
    }
}

/// Lets ten lines a second through, and counts the rest.
#[derive(Debug, Default)]
pub struct LogGate {
    second: AtomicU32,
    lines: AtomicU32,
    /// Whether the second before was one of a flood.
    flooded: AtomicBool,
    dropped: AtomicU64,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So many were dropped since the last one that passed.
    Passes {
        dropped: u32,
    },
    /// The first of a flood that is: worth a word.
    FirstDropped,
    Dropped,
}

impl LogGate {
    const LINES_PER_SECOND: u32 = 10;

    fn line(&self) -> Line {
        let second = clock::millis32() / 1000 + 1;
        let mut dropped = 0;
        if self.second.load(Relaxed) != second && self.second.swap(second, Relaxed) != second {
            dropped = self.lines.swap(0, Relaxed).saturating_sub(Self::LINES_PER_SECOND);
            self.flooded.store(dropped > 0, Relaxed);
        }
        let line = self.lines.fetch_add(1, Relaxed);
        if line < Self::LINES_PER_SECOND {
            return Line::Passes { dropped };
        }
        self.dropped.fetch_add(1, Relaxed);
        let is_news = line == Self::LINES_PER_SECOND && !self.flooded.load(Relaxed);
        if is_news { Line::FirstDropped } else { Line::Dropped }
    }

    /// In all.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_said_once_and_counted() {
        let gate = LogGate::default();
        let lines: Vec<Line> = (0..10_000).map(|_| gate.line()).collect();
        let count = |what: fn(&Line) -> bool| lines.iter().filter(|line| what(line)).count();
        let passed = count(|line| matches!(line, Line::Passes { .. }));
        // The second may have changed meanwhile.
        assert!((10..=20).contains(&passed), "{passed}");
        assert_eq!(count(|line| *line == Line::FirstDropped), 1);
        assert_eq!(gate.dropped(), 10_000 - passed as u64);
    }
}
