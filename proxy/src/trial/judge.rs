//! What came against what was wanted: one line for each difference, headers line by line.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::{AnswerWanted, FieldsWanted, RequestWanted, ResponseWanted, Wanted};
use crate::plugin::{Answer, Exchange};

pub fn pick(what: &str, Wanted(wanted): &Wanted, got: Option<&String>) -> Option<String> {
    let fits = wanted.is_empty() || wanted.iter().any(|wanted| wanted.as_ref() == got);
    let name = |endpoint: Option<&String>| endpoint.map_or_else(|| "none".to_owned(), Clone::clone);
    let list = wanted.iter().map(|wanted| name(wanted.as_ref())).collect::<Vec<_>>().join(" or ");
    (!fits).then(|| format!("{what}: expected {list}, got {}", name(got)))
}

pub fn request(wanted: &RequestWanted, exchange: &Exchange, upstreams: &[String]) -> Vec<String> {
    let Some(request) = &exchange.request else { return vec!["request: there is none".to_owned()] };
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = request.headers.get(header::HOST).map(shown).unwrap_or_default();
    let upstream = exchange.upstream.and_then(|index| upstreams.get(index)).map_or("none", String::as_str);
    let wanted_upstream = wanted.upstream.as_ref().map(|name| name.as_deref().unwrap_or("none"));
    let mut differences: Vec<String> = [
        text("method", wanted.method.as_deref(), request.method.as_str()),
        text("path", wanted.path.as_deref(), path),
        text("host", wanted.host.as_deref(), &host),
        text("upstream", wanted_upstream, upstream),
    ]
    .into_iter()
    .flatten()
    .collect();
    differences.extend(fields("request headers", &wanted.fields, &request.headers));
    let notes = wanted.notes.iter().filter(|(key, value)| exchange.note(key).as_ref() != Some(value));
    differences.extend(notes.map(|(key, value)| {
        let got = exchange.note(key).map_or_else(|| "no such note".to_owned(), |note| format!("{note:?}"));
        format!("note {key}: expected {value:?}, got {got}")
    }));
    differences
}

pub fn answer(wanted: &AnswerWanted, got: Option<&Answer>) -> Vec<String> {
    match (wanted, got) {
        (AnswerWanted::Nothing, None) => Vec::new(),
        (AnswerWanted::Nothing, Some(answer)) => {
            vec![format!("answer: expected none, got one with status {}", answer.status.as_u16())]
        }
        (AnswerWanted::Given(_), None) => vec!["answer: expected one, got none: the request goes on".to_owned()],
        (AnswerWanted::Given(wanted), Some(answer)) => {
            let mut differences = status("answer", wanted.status, answer.status);
            differences.extend(fields("answer headers", &wanted.fields, &answer.headers));
            let body = String::from_utf8_lossy(&answer.body);
            differences.extend(wanted.body.iter().filter(|wanted| **wanted != body).flat_map(|wanted| {
                let lines = [("-", wanted.as_str()), ("+", &*body)];
                let lines = lines.map(|(mark, body)| format!("  {mark} {body:?}"));
                std::iter::once("answer body:".to_owned()).chain(lines)
            }));
            differences
        }
    }
}

pub fn response(wanted: &ResponseWanted, got: Option<&http::response::Parts>) -> Vec<String> {
    let Some(got) = got else {
        let why = "the filter answered nothing, and the case has no `response` that an endpoint would give";
        return vec![format!("response: there is none: {why}")];
    };
    let mut differences = status("response", wanted.status, got.status);
    differences.extend(fields("response headers", &wanted.fields, &got.headers));
    differences
}

fn text(what: &str, wanted: Option<&str>, got: &str) -> Option<String> {
    wanted.filter(|wanted| *wanted != got).map(|wanted| format!("{what}: expected {wanted}, got {got}"))
}

fn status(what: &str, wanted: Option<u16>, got: http::StatusCode) -> Vec<String> {
    let wrong = wanted.filter(|wanted| *wanted != got.as_u16());
    wrong.map(|wanted| format!("{what} status: expected {wanted}, got {}", got.as_u16())).into_iter().collect()
}

/// A title and the lines that differ: `-` what is missing, `+` what is there in its place.
pub fn fields(title: &str, wanted: &FieldsWanted, got: &HeaderMap) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, wanted) in &wanted.values {
        let values: Vec<&HeaderValue> = got.get_all(name).iter().collect();
        if values.iter().copied().eq(wanted) {
            continue;
        }
        lines.extend(wanted.iter().map(|value| line('-', name, &shown(value))));
        lines.extend(values.into_iter().map(|value| line('+', name, &shown(value))));
    }
    let missing = wanted.present.iter().filter(|name| !got.contains_key(*name));
    lines.extend(missing.map(|name| line('-', name, "(any value)")));
    for name in &wanted.absent {
        lines.extend(
            got.get_all(name).iter().map(|value| line('+', name, &format!("{} (expected absent)", shown(value)))),
        );
    }
    if lines.is_empty() { lines } else { std::iter::once(format!("{title}:")).chain(lines).collect() }
}

fn line(mark: char, name: &HeaderName, value: &str) -> String {
    format!("  {mark} {name}: {value}")
}

/// Bytes that are no text as `\xff`.
fn shown(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(pair).collect()
    }

    fn wanted(name: &'static str, values: &[&'static str]) -> FieldsWanted {
        let values = values.iter().map(|value| HeaderValue::from_static(value)).collect();
        FieldsWanted { values: vec![(HeaderName::from_static(name), values)], ..FieldsWanted::default() }
    }

    #[test]
    fn headers_differ_line_by_line() {
        let got = map(&[("x-a", "1"), ("x-a", "2"), ("x-b", "3")]);
        assert_eq!(fields("headers", &wanted("x-a", &["1", "2"]), &got), [""; 0]);
        let lines = ["headers:", "  - x-a: 2", "  - x-a: 1", "  + x-a: 1", "  + x-a: 2"];
        assert_eq!(fields("headers", &wanted("x-a", &["2", "1"]), &got), lines, "the order counts");
        assert_eq!(fields("headers", &wanted("x-c", &["1"]), &got), ["headers:", "  - x-c: 1"]);
    }

    #[test]
    fn present_and_absent() {
        let got = map(&[("x-a", "1")]);
        let name = |name: &'static str| vec![HeaderName::from_static(name)];
        let right = FieldsWanted { present: name("x-a"), absent: name("x-b"), ..FieldsWanted::default() };
        assert_eq!(fields("headers", &right, &got), [""; 0]);
        let wrong = FieldsWanted { present: name("x-b"), absent: name("x-a"), ..FieldsWanted::default() };
        let lines = ["headers:", "  - x-b: (any value)", "  + x-a: 1 (expected absent)"];
        assert_eq!(fields("headers", &wrong, &got), lines);
    }

    #[test]
    fn any_of_several_endpoints_will_do() {
        let wanted = Wanted(vec![Some("a:1".to_owned()), None]);
        let got = |endpoint: &str| pick("endpoint", &wanted, Some(&endpoint.to_owned()));
        assert_eq!(got("a:1"), None);
        assert_eq!(pick("endpoint", &wanted, None), None);
        assert_eq!(got("b:1").unwrap(), "endpoint: expected a:1 or none, got b:1");
    }
}
