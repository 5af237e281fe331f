//! The path that an endpoint sees, where a route changes it.

use http::Uri;
use http::uri::PathAndQuery;
use regex::Regex;

use crate::config::Rewrite;

/// A route's rewrite, compiled.
#[derive(Debug, Clone)]
pub struct Rewriter(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Prefix(String),
    Regex { regex: Regex, replacement: String },
}

/// The rewrite made something that is no path: a fault of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("the rewrite of {from} gives {to:?}, which is no valid path")]
pub struct RewriteError {
    pub from: String,
    pub to: String,
}

impl Rewriter {
    pub fn new(rewrite: &Rewrite) -> Result<Self, regex::Error> {
        Ok(Self(match rewrite {
            Rewrite::Prefix(prefix) => Kind::Prefix(prefix.clone()),
            Rewrite::Regex { pattern, replacement } => {
                Kind::Regex { regex: Regex::new(pattern)?, replacement: replacement.clone() }
            }
        }))
    }

    /// The new path with the request's own query; `matched` is [`Found::matched`](super::Found).
    /// `OPTIONS *` has no path and stays as it is.
    pub fn rewrite(&self, uri: &Uri, matched: usize) -> Result<PathAndQuery, RewriteError> {
        let path = uri.path();
        let new = match &self.0 {
            _ if !path.starts_with('/') => path.to_owned(),
            Kind::Prefix(prefix) => swap(prefix, path.get(matched..).unwrap_or_default()),
            Kind::Regex { regex, replacement } => regex.replace(path, replacement.as_str()).into_owned(),
        };
        let new = match uri.query() {
            Some(query) if new.contains('?') => format!("{new}&{query}"),
            Some(query) => format!("{new}?{query}"),
            None => new,
        };
        checked(&new).ok_or_else(|| RewriteError { from: path.to_owned(), to: new })
    }
}

/// `/new` or `/new/` before `/rest`: one slash between them.
fn swap(prefix: &str, rest: &str) -> String {
    match (prefix, rest) {
        ("", "") => "/".to_owned(),
        (_, "") => prefix.to_owned(),
        _ => format!("{}{rest}", prefix.strip_suffix('/').unwrap_or(prefix)),
    }
}

fn checked(text: &str) -> Option<PathAndQuery> {
    let begins = text.starts_with('/') || text == "*";
    // The parser would cut a fragment off and say nothing.
    if begins && !text.contains('#') { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(new: &str, uri: &'static str, matched: usize) -> String {
        let rewriter = Rewriter::new(&Rewrite::Prefix(new.to_owned())).unwrap();
        rewriter
            .rewrite(&Uri::from_static(uri), matched)
            .map_or_else(|error| error.to_string(), |path| path.to_string())
    }

    fn regex(pattern: &str, replacement: &str, uri: &'static str) -> String {
        let rewrite = Rewrite::Regex { pattern: pattern.to_owned(), replacement: replacement.to_owned() };
        let rewriter = Rewriter::new(&rewrite).unwrap();
        rewriter.rewrite(&Uri::from_static(uri), 0).map_or_else(|error| error.to_string(), |path| path.to_string())
    }

    #[test]
    fn a_prefix_is_swapped_and_the_rest_kept() {
        assert_eq!(prefix("/", "/api/users?x=1", 4), "/users?x=1");
        assert_eq!(prefix("/v2", "/api/users", 4), "/v2/users");
        assert_eq!(prefix("/v2/", "/api/users", 4), "/v2/users");
        assert_eq!(prefix("/v2/", "/api", 4), "/v2/");
        assert_eq!(prefix("/", "/api", 4), "/");
        assert_eq!(prefix("", "/api", 4), "/");
        assert_eq!(prefix("/all", "/x", 0), "/all/x");
        assert_eq!(prefix("/all", "http://host/x?q", 0), "/all/x?q");
        assert_eq!(prefix("/all", "*", 0), "*");
    }

    #[test]
    fn a_pattern_replaces_what_it_matches() {
        assert_eq!(regex("^/user/([0-9]+)", "/u/$1", "/user/42/photo?s=1"), "/u/42/photo?s=1");
        assert_eq!(regex("^/find/(?<what>.*)$", "/search?q=$what", "/find/me?page=2"), "/search?q=me&page=2");
        assert_eq!(regex("nothing", "x", "/a"), "/a");
    }

    #[test]
    fn what_is_no_path_is_an_error() {
        assert_eq!(regex("^/", "", "/a"), "the rewrite of /a gives \"a\", which is no valid path");
        assert_eq!(regex("a", " ", "/a"), "the rewrite of /a gives \"/ \", which is no valid path");
        assert_eq!(regex("a", "#", "/a"), "the rewrite of /a gives \"/#\", which is no valid path");
    }
}
