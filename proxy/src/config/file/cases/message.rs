//! Heads of messages: paths, headers, cookies. What is no text is written in hexadecimal digits.

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};

use super::super::check::{Check, Problem};
use super::super::matcher;
use super::super::value::{Entry, Value};

pub fn path(value: &Value<'_>) -> Result<PathAndQuery, Problem> {
    let written = value.text()?;
    let path = PathAndQuery::try_from(written).ok().filter(|_| written.starts_with('/') && !written.contains('#'));
    path.ok_or_else(|| {
        let help = "begin with `/`, and write it as it is sent, percent-encoded: \"/a?b=c\"";
        Problem::new(format!("`{written}` is not a path")).help(help)
    })
}

/// Name and value of each line.
pub fn headers(check: &Check<'_>, value: &Value<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let fields = fields(check, value);
    fields.into_iter().flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value))).collect()
}

/// All values of each name.
pub fn fields(check: &Check<'_>, value: &Value<'_>) -> Vec<(HeaderName, Vec<HeaderValue>)> {
    let entries = check.accept(value.place, value.entries()).unwrap_or_default();
    let field = |entry: &Entry<'_>| {
        let name = check.accept(entry.key_place, matcher::header_name(entry))?;
        let values = match entry.value.as_list() {
            Some(list) => list.iter().map(|value| header_value(check, value)).collect::<Vec<_>>(),
            None => vec![header_value(check, &entry.value)],
        };
        Some((name, values.into_iter().collect::<Option<_>>()?))
    };
    entries.iter().filter_map(field).collect()
}

/// Text, or `{ hex = "…" }`.
pub fn header_value(check: &Check<'_>, value: &Value<'_>) -> Option<HeaderValue> {
    let bytes = if let Some(text) = value.as_text() {
        text.as_bytes().to_vec()
    } else if value.is_table() {
        let mut table = value.table(check, "in a value of bytes")?;
        let digits = table.require("hex", "\"c3a9\"");
        table.finish();
        let digits = digits?;
        check.accept(digits.place, hexadecimal(&digits))?
    } else {
        let expected = "a string, a list of strings or `{ hex = \"…\" }`";
        return check.accept(value.place, Err(value.mismatch(expected)));
    };
    let problem = |_| {
        Problem::new(format!("`{}` cannot be the value of a header", value.name))
            .help("any bytes but control characters; a tab may be in it")
    };
    check.accept(value.place, HeaderValue::from_bytes(&bytes).map_err(problem))
}

fn hexadecimal(value: &Value<'_>) -> Result<Vec<u8>, Problem> {
    let written = value.text()?;
    let digits: Option<Vec<u8>> = written.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2)).ok_or_else(|| {
        Problem::new(format!("`{written}` is not a row of bytes")).help("two hexadecimal digits for each: \"c3a9\"")
    })?;
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// As the lines that clients send.
pub fn cookies(check: &Check<'_>, value: &Value<'_>) -> Option<(HeaderName, HeaderValue)> {
    let entries = check.accept(value.place, value.entries())?;
    let pair = |entry: &Entry<'_>| {
        let name = check.accept(entry.key_place, matcher::cookie_name(entry))?;
        let text = check.accept(entry.value.place, entry.value.text())?;
        Some(format!("{name}={text}"))
    };
    let line = entries.iter().map(pair).collect::<Option<Vec<_>>>()?.join("; ");
    if line.is_empty() {
        return None;
    }
    let problem = |_| Problem::new("a cookie has no control characters in it");
    let line = check.accept(value.place, HeaderValue::from_bytes(line.as_bytes()).map_err(problem))?;
    Some((header::COOKIE, line))
}

/// A list of headers' names.
pub fn names(check: &Check<'_>, value: &Value<'_>) -> Vec<HeaderName> {
    let list = check.accept(value.place, value.list()).unwrap_or_default();
    let name = |value: &Value<'_>| {
        let written = value.text()?;
        HeaderName::try_from(written).map_err(|_| {
            Problem::new(format!("`{written}` is not the name of a header")).help("letters, digits and `-`")
        })
    };
    list.iter().filter_map(|value| check.accept(value.place, name(value))).collect()
}
