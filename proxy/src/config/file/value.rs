//! One value of the file, with its name and place, read as one of the types that values may have.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::check::{Check, Problem};
use super::table::Table;
use crate::config::Place;

#[derive(Clone)]
pub struct Value<'t> {
    /// The key, or `key[3]` for an element of a list.
    pub name: String,
    pub place: Place,
    inner: &'t DeValue<'t>,
}

impl<'t> Value<'t> {
    pub fn new(name: impl Into<String>, spanned: &'t Spanned<DeValue<'t>>) -> Self {
        Self { name: name.into(), place: place(spanned), inner: spanned.get_ref() }
    }

    pub fn text(&self) -> Result<&'t str, Problem> {
        self.inner.as_str().ok_or_else(|| self.mismatch("a string"))
    }

    pub fn flag(&self) -> Result<bool, Problem> {
        self.inner.as_bool().ok_or_else(|| self.mismatch("true or false"))
    }

    pub fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, Problem> {
        let written = self.inner.as_integer().ok_or_else(|| self.mismatch("a whole number"))?;
        // i128: a number too large for the range is out of range, not of the wrong type.
        i128::from_str_radix(written.as_str(), written.radix())
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (low, high) = range.into_inner();
                Problem::new(format!("`{}` must be from {low} to {high}, found {written}", self.name))
            })
    }

    /// A share of a whole, or any other number: `0.5`, `1`.
    pub fn number(&self, range: RangeInclusive<f64>) -> Result<f64, Problem> {
        let written = match self.inner {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) => number.as_str(),
            _ => return Err(self.mismatch("a number")),
        };
        written.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let (low, high) = range.into_inner();
            Problem::new(format!("`{}` must be from {low} to {high}, found {written}", self.name))
        })
    }

    pub fn list(&self) -> Result<Vec<Value<'t>>, Problem> {
        self.as_list().ok_or_else(|| self.mismatch("a list"))
    }

    /// `help` says what to do about an empty one.
    pub fn nonempty_list(&self, help: &str) -> Result<Vec<Value<'t>>, Problem> {
        let list = self.list()?;
        if list.is_empty() {
            return Err(Problem::new(format!("`{}` is empty", self.name)).help(help));
        }
        Ok(list)
    }

    pub fn as_list(&self) -> Option<Vec<Value<'t>>> {
        let array = self.inner.as_array()?;
        Some(array.iter().enumerate().map(|(i, element)| Value::new(format!("{}[{i}]", self.name), element)).collect())
    }

    pub fn as_text(&self) -> Option<&'t str> {
        self.inner.as_str()
    }

    pub fn as_flag(&self) -> Option<bool> {
        self.inner.as_bool()
    }

    pub fn is_integer(&self) -> bool {
        self.inner.is_integer()
    }

    pub fn is_table(&self) -> bool {
        self.inner.is_table()
    }

    /// `context` ends the message about an unknown or missing key: "in a route".
    pub fn table<'c>(&self, check: &'c Check<'c>, context: &'static str) -> Option<Table<'c, 't>> {
        match self.inner {
            DeValue::Table(entries) => Some(Table::new(check, context, self.place, entries)),
            _ => check.accept(self.place, Err(self.mismatch("a table"))),
        }
    }

    /// The entries of a table whose keys the user chooses, in file order.
    pub fn entries(&self) -> Result<Vec<Entry<'t>>, Problem> {
        let table = self.inner.as_table().ok_or_else(|| self.mismatch("a table"))?;
        let mut entries: Vec<Entry<'t>> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().as_ref(),
                key_place: place(key),
                value: Value::new(key.get_ref().as_ref(), value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_place.start);
        Ok(entries)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Problem> {
        let written = self.text()?;
        words.iter().find(|(word, _)| *word == written).map(|(_, meaning)| *meaning).ok_or_else(|| {
            Problem::new(format!("unknown `{}`: `{written}`", self.name)).help(super::name::suggest(
                written,
                "known",
                words.iter().map(|(word, _)| *word),
            ))
        })
    }

    /// As plugins get their settings.
    pub fn json(&self) -> Result<serde_json::Value, Problem> {
        json(self.inner).map_err(|value| {
            Problem::new(format!("`{}` holds `{value}`, which is not a JSON number", self.name))
                .help("plugins get their settings as JSON")
        })
    }

    pub fn mismatch(&self, expected: &str) -> Problem {
        let found = match self.inner {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        Problem::new(format!("`{}` must be {expected}, found {found}", self.name))
    }
}

/// A key that the user chose, and its value.
pub struct Entry<'t> {
    pub key: &'t str,
    pub key_place: Place,
    pub value: Value<'t>,
}

pub fn place<T>(spanned: &Spanned<T>) -> Place {
    let span = spanned.span();
    Place { start: span.start, end: span.end }
}

fn json(value: &DeValue<'_>) -> Result<serde_json::Value, String> {
    use serde_json::Value as Json;
    Ok(match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Boolean(flag) => Json::from(*flag),
        DeValue::Datetime(date) => Json::from(date.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map(Json::from).map_err(|_| number.to_string())?
        }
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Json::Number)
            .ok_or_else(|| number.to_string())?,
        DeValue::Array(list) => list.iter().map(|element| json(element.get_ref())).collect::<Result<_, _>>()?,
        DeValue::Table(table) => Json::Object(
            table
                .iter()
                .map(|(key, value)| Ok((DeString::into_owned(key.get_ref().clone()), json(value.get_ref())?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}
