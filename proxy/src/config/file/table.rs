//! A table whose keys we know: each is taken by name, and `finish` reports those that nobody took.

use std::time::Duration;

use toml::de::DeTable;

use super::check::{Check, Problem};
use super::units;
use super::value::{Value, place};
use crate::config::Place;

pub struct Table<'c, 't> {
    pub check: &'c Check<'c>,
    /// The header, or the inline table.
    pub place: Place,
    context: &'static str,
    entries: &'t DeTable<'t>,
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl<'c, 't> Table<'c, 't> {
    pub fn new(check: &'c Check<'c>, context: &'static str, place: Place, entries: &'t DeTable<'t>) -> Self {
        Self { check, place, context, entries, known: Vec::new(), refused: Vec::new() }
    }

    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A value that somebody else takes.
    pub fn peek(&self, key: &str) -> Option<Value<'t>> {
        self.entries.get(key).map(|value| Value::new(key, value))
    }

    /// The value of a key that may be left out.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.peek(key)
    }

    /// A key that may be left out, read. A value that is wrong is reported and then counts as left
    /// out: with an error in the list no configuration comes of it.
    pub fn read<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'t>) -> Result<T, Problem>) -> Option<T> {
        let value = self.take(key)?;
        self.check.accept(value.place, read(&value))
    }

    /// A key that must be there. `example` says what to write.
    pub fn require(&mut self, key: &'static str, example: &str) -> Option<Value<'t>> {
        let value = self.take(key);
        if value.is_none() {
            let problem = Problem::new(format!("missing key `{key}` {}", self.context));
            self.check.report(self.place, problem.help(format!("write `{key} = {example}`")));
        }
        value
    }

    /// Keys that are known, but have no meaning here.
    pub fn refuse(&mut self, keys: &[&'static str], why: &str) {
        for key in keys {
            self.refused.push(key);
            if let Some((written, _)) = self.entries.get_key_value(*key) {
                self.check.report(place(written), Problem::new(format!("`{key}` does not go with {why}")));
            }
        }
    }

    pub fn text(&mut self, key: &'static str) -> Option<&'t str> {
        self.read(key, Value::text)
    }

    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.read(key, Value::flag).unwrap_or(default)
    }

    pub fn integer(&mut self, key: &'static str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.read(key, |value| value.integer(range)).unwrap_or(default)
    }

    pub fn count(&mut self, key: &'static str, default: usize, range: std::ops::RangeInclusive<u64>) -> usize {
        self.integer(key, default as u64, range) as usize
    }

    pub fn number(&mut self, key: &'static str, default: f64, range: std::ops::RangeInclusive<f64>) -> f64 {
        self.read(key, |value| value.number(range)).unwrap_or(default)
    }

    pub fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.read(key, units::duration).unwrap_or(default)
    }

    pub fn report(&self, problem: Problem) {
        self.check.report(self.place, problem);
    }

    /// Ends the reading: what nobody asked for is unknown.
    pub fn finish(self) {
        for (key, _) in self.entries {
            let written = key.get_ref().as_ref();
            if !self.known.contains(&written) && !self.refused.contains(&written) {
                let problem = Problem::new(format!("unknown key `{written}` {}", self.context));
                let help = super::name::suggest(written, "known keys", self.known.iter().copied());
                self.check.report(place(key), problem.help(help));
            }
        }
    }
}
