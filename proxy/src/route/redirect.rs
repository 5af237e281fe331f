//! Where a redirect leads: a text with `{scheme}`, `{host}`, `{path}` and `{query}` in it.

use http::{HeaderValue, Uri};

/// A redirect's target, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Scheme,
    Host,
    Path,
    Query,
}

/// What a request puts in.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `http` or `https`, as the client spoke it.
    pub scheme: &'a str,
    /// The authority as the client sent it, port included.
    pub host: &'a str,
    pub uri: &'a Uri,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{{{0}}} is not known here; a location may hold {{scheme}}, {{host}}, {{path}} and {{query}}")]
pub struct UnknownVariable(pub String);

impl Location {
    /// A brace that is not closed stands for itself.
    pub fn parse(written: &str) -> Result<Self, UnknownVariable> {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some((before, name, after)) = next_variable(rest) {
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "scheme" => Part::Scheme,
                "host" => Part::Host,
                "path" => Part::Path,
                "query" => Part::Query,
                _ => return Err(UnknownVariable(name.to_owned())),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// None when the host that the client sent cannot stand in a header.
    pub fn render(&self, target: Target<'_>) -> Option<HeaderValue> {
        let mut location = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => location.push_str(text),
                Part::Scheme => location.push_str(target.scheme),
                Part::Host => location.push_str(target.host),
                Part::Path if location.is_empty() => {
                    // `//evil.example` as a location would lead to that host.
                    location.push('/');
                    location.push_str(target.uri.path().trim_start_matches(['/', '\\']));
                }
                Part::Path => location.push_str(target.uri.path()),
                Part::Query => {
                    if let Some(query) = target.uri.query() {
                        location.push('?');
                        location.push_str(query);
                    }
                }
            }
        }
        HeaderValue::try_from(location).ok()
    }
}

fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(location: &str, uri: &'static str) -> String {
        let uri = Uri::from_static(uri);
        let target = Target { scheme: "http", host: "a.example:8080", uri: &uri };
        Location::parse(location).unwrap().render(target).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn variables_are_filled_in() {
        assert_eq!(render("https://{host}{path}{query}", "/a/b?c=d"), "https://a.example:8080/a/b?c=d");
        assert_eq!(render("{scheme}://www.example{path}", "/a"), "http://www.example/a");
        assert_eq!(render("/plain", "/a?b"), "/plain");
        assert_eq!(render("/new{query}", "/a"), "/new");
        assert_eq!(render("/{", "/a"), "/{");
    }

    #[test]
    fn a_path_does_not_become_a_host() {
        assert_eq!(render("{path}", "//evil.example/x"), "/evil.example/x");
    }

    #[test]
    fn unknown_variables_are_errors() {
        assert_eq!(Location::parse("/{user}"), Err(UnknownVariable("user".to_owned())));
        assert_eq!(
            UnknownVariable("user".to_owned()).to_string(),
            "{user} is not known here; a location may hold {scheme}, {host}, {path} and {query}"
        );
    }
}
