//! Which route a request takes. Pure: no socket, no clock, nothing is changed, nothing is
//! allocated. Hosts are found by hash and paths by a tree of segments, so that thousands of routes
//! cost no more than a few.
//!
//! The most specific route whose conditions hold wins, in this order:
//!
//! 1. **Host**: an exact one, then wildcards from the longest suffix to the shortest, then any.
//! 2. **Path**: an exact one, then prefixes from the longest to the shortest, then regular
//!    expressions in the order of the file, then `/`, which matches everything, `OPTIONS *` too. A
//!    prefix covers whole segments: `/api/` matches `/api` and `/api/x`, and not `/apis`.
//! 3. **Conditions**: with the same host and path, the route with more of them (the methods count
//!    as one, each header, cookie and query parameter as one), then the order of the file.
//!
//! Where the conditions of a more specific path fail, the next less specific one is tried: a
//! shorter prefix, a regular expression, a wildcard host, any host. Paths are compared as they were
//! sent, percent-encoding included.

mod conditions;
mod host;
mod path;
mod redirect;
mod rewrite;
#[cfg(test)]
mod tests;

use http::request::Parts;

pub use redirect::{Location, Target, UnknownVariable};
pub use rewrite::{RewriteError, Rewriter};

use crate::config::Route;
use conditions::Conditions;
use host::Hosts;

/// The routes of a listener, ready to be searched.
#[derive(Debug)]
pub struct Router {
    hosts: Hosts,
    /// As long as the routes.
    conditions: Vec<Conditions>,
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Position in the routes that the router was made of.
    pub index: usize,
    /// How many bytes of the path the route's own path covers: a prefix without its last slash, all
    /// of an exact path or a regular expression.
    pub matched: usize,
}

/// A route's pattern is no regular expression, or one that is too large.
#[derive(Debug, thiserror::Error)]
#[error("route {index}: {source}")]
pub struct BadPattern {
    /// Position of the route.
    pub index: usize,
    pub source: regex::Error,
}

/// Positions of routes with the same host and path: more conditions first, then file order.
type Bucket = Vec<u32>;

impl Router {
    pub fn new(routes: &[Route]) -> Result<Self, BadPattern> {
        let conditions: Vec<_> = routes.iter().map(|route| Conditions::new(&route.matches)).collect();
        let mut hosts = Hosts::default();
        for (index, route) in routes.iter().enumerate() {
            hosts
                .paths_of(&route.matches.host)
                .insert(&route.matches.path, index as u32)
                .map_err(|source| BadPattern { index, source })?;
        }
        hosts.finish(&conditions);
        Ok(Self { hosts, conditions })
    }

    /// `host` is the authority as it was sent: case, port and all.
    pub fn find(&self, host: Option<&str>, request: &Parts) -> Option<Found> {
        self.hosts.find(host, |paths| paths.find(request.uri.path(), |bucket| self.first_that_holds(bucket, request)))
    }

    fn first_that_holds(&self, bucket: &[u32], request: &Parts) -> Option<usize> {
        bucket.iter().map(|index| *index as usize).find(|index| self.conditions[*index].hold(request))
    }
}
