//! What a program prints, line by line, as it comes.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::DEADLINE;

#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads on a thread of its own until the end.
    pub fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let printed = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { break };
                printed.change(|all| all.lines.push(String::from_utf8_lossy(&line).into_owned()));
            }
            printed.change(|all| all.ended = true);
        });
        lines
    }

    /// A test that failed while it waited still wants to print what there is.
    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Printed)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    pub fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    pub fn count(&self) -> usize {
        self.lock().lines.len()
    }

    /// All there is, once the program has closed its output.
    #[track_caller]
    pub fn finished(&self) -> Vec<String> {
        crate::wait_until("the end of the output", || self.lock().ended);
        self.all()
    }

    /// The first line from number `from` on that fits.
    #[track_caller]
    pub fn wait(&self, from: usize, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + DEADLINE;
        let mut printed = self.lock();
        loop {
            if let Some(line) = printed.lines.iter().skip(from).find(|line| fits(line)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!printed.ended && !left.is_zero(), "no line says {what}; there are:\n{}", printed.lines.join("\n"));
            printed = self.0.1.wait_timeout(printed, left).unwrap().0;
        }
    }
}
