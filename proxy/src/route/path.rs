//! Paths of one host: a tree of segments for exact paths and prefixes, then regular expressions.

use std::cmp::Reverse;
use std::collections::HashMap;

use regex::{Regex, RegexSet};

use super::conditions::Conditions;
use super::{Bucket, Found};
use crate::config::PathMatch;

#[derive(Debug)]
pub(super) struct Paths {
    /// The first is the root: what lies before the first slash.
    nodes: Vec<Node>,
    patterns: Vec<Pattern>,
    /// All patterns as one automaton, asked first when there are several.
    any_pattern: Option<RegexSet>,
}

/// A segment. The way down takes one hash for each segment of the request's path and ends where
/// the tree does; `up` then leads through the prefixes only.
#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    exact: Bucket,
    prefix: Bucket,
    /// The nearest node above that is a prefix.
    up: Option<u32>,
    /// Bytes from the start of the path to the end of this segment.
    length: usize,
}

#[derive(Debug)]
struct Pattern {
    written: String,
    regex: Regex,
    bucket: Bucket,
}

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], patterns: Vec::new(), any_pattern: None }
    }
}

impl Paths {
    pub(super) fn insert(&mut self, path: &PathMatch, route: u32) -> Result<(), regex::Error> {
        match path {
            PathMatch::Exact(path) => {
                let node = self.node(path);
                self.nodes[node].exact.push(route);
            }
            PathMatch::Prefix(path) => {
                let node = self.node(path.strip_suffix('/').unwrap_or(path));
                self.nodes[node].prefix.push(route);
            }
            PathMatch::Regex(written) => match self.patterns.iter_mut().find(|old| old.written == *written) {
                Some(same) => same.bucket.push(route),
                None => self.patterns.push(Pattern::new(written, route)?),
            },
        }
        Ok(())
    }

    /// The node of a path; an empty one is the root.
    fn node(&mut self, path: &str) -> usize {
        let mut at = 0;
        for segment in path.split('/').skip(1) {
            at = if let Some(child) = self.nodes[at].children.get(segment) {
                *child as usize
            } else {
                let child = self.nodes.len();
                let length = self.nodes[at].length + 1 + segment.len();
                self.nodes.push(Node { length, ..Node::default() });
                self.nodes[at].children.insert(segment.into(), child as u32);
                child
            };
        }
        at
    }

    /// Orders the buckets and joins the nodes to the prefixes above them.
    pub(super) fn finish(&mut self, conditions: &[Conditions]) {
        // Stable: the order of the file stays where the number of conditions is the same.
        let order = |bucket: &mut Bucket| bucket.sort_by_key(|route| Reverse(conditions[*route as usize].count()));
        // Children stand behind their parents.
        for at in 0..self.nodes.len() {
            order(&mut self.nodes[at].exact);
            order(&mut self.nodes[at].prefix);
            let up = if self.nodes[at].prefix.is_empty() { self.nodes[at].up } else { Some(at as u32) };
            let children: Vec<u32> = self.nodes[at].children.values().copied().collect();
            for child in children {
                self.nodes[child as usize].up = up;
            }
        }
        self.patterns.iter_mut().for_each(|pattern| order(&mut pattern.bucket));
        if self.patterns.len() > 1 {
            // One that becomes too large is done without.
            self.any_pattern = RegexSet::new(self.patterns.iter().map(|pattern| anchored(&pattern.written))).ok();
        }
    }

    /// `choose` takes a route out of a bucket, if the request fulfils the conditions of one.
    pub(super) fn find(&self, path: &str, choose: impl Fn(&[u32]) -> Option<usize>) -> Option<Found> {
        let (node, whole) = self.descend(path);
        let exact = || choose(&node.exact).filter(|_| whole).map(|index| Found { index, matched: path.len() });
        let rest = || choose(&self.nodes[0].prefix).map(|index| Found { index, matched: 0 });
        exact().or_else(|| self.prefixes(node, &choose)).or_else(|| self.patterns(path, &choose)).or_else(rest)
    }

    /// The deepest node on the path, and whether the path ends there.
    fn descend(&self, path: &str) -> (&Node, bool) {
        let mut node = &self.nodes[0];
        let Some(segments) = path.strip_prefix('/') else { return (node, false) };
        for segment in segments.split('/') {
            match node.children.get(segment) {
                Some(child) => node = &self.nodes[*child as usize],
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// Without the root: `/` says nothing of a path, so patterns come before it.
    fn prefixes(&self, deepest: &Node, choose: impl Fn(&[u32]) -> Option<usize>) -> Option<Found> {
        let mut next = Some(deepest).filter(|node| node.length > 0);
        while let Some(node) = next {
            if let Some(index) = choose(&node.prefix) {
                return Some(Found { index, matched: node.length });
            }
            next = node.up.map(|up| &self.nodes[up as usize]).filter(|node| node.length > 0);
        }
        None
    }

    fn patterns(&self, path: &str, choose: impl Fn(&[u32]) -> Option<usize>) -> Option<Found> {
        if self.any_pattern.as_ref().is_some_and(|any| !any.is_match(path)) {
            return None;
        }
        let mut matching = self.patterns.iter().filter(|pattern| pattern.regex.is_match(path));
        matching.find_map(|pattern| choose(&pattern.bucket)).map(|index| Found { index, matched: path.len() })
    }
}

impl Pattern {
    fn new(written: &str, route: u32) -> Result<Self, regex::Error> {
        // First as it is: a lone `)` must not close the group around it.
        Regex::new(written)?;
        Ok(Self { written: written.to_owned(), regex: Regex::new(&anchored(written))?, bucket: vec![route] })
    }
}

/// The line break ends a comment that the pattern may end with (`(?x)`).
fn anchored(pattern: &str) -> String {
    if pattern.contains("(?x") { format!("^(?:{pattern}\n)$") } else { format!("^(?:{pattern})$") }
}
