//! What every part of the check shares: the errors found so far, and the names that may be used.

use std::cell::RefCell;
use std::path::PathBuf;

use super::diagnostic::{Diagnostic, position};
use super::endpoint::Resolve;
use super::{KnownPlugins, Source};
use crate::config::{Place, PluginUse, UpstreamIndex, UseIndex};

/// What is wrong with a value; whoever holds the value knows the place.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Errors and plugin uses are collected behind shared references: the reader of a table and the
/// readers of the tables in it are alive at the same time.
pub struct Check<'s> {
    source: &'s Source,
    pub plugins: KnownPlugins,
    pub resolve: Resolve,
    upstreams: RefCell<Vec<String>>,
    uses: RefCell<Vec<PluginUse>>,
    errors: RefCell<Vec<Diagnostic>>,
}

impl<'s> Check<'s> {
    pub fn new(source: &'s Source, plugins: KnownPlugins, resolve: Resolve) -> Self {
        Self {
            source,
            plugins,
            resolve,
            upstreams: RefCell::default(),
            uses: RefCell::default(),
            errors: RefCell::default(),
        }
    }

    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.errors.into_inner()
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.errors.borrow().len()
    }

    pub fn report(&self, place: Place, Problem { message, help }: Problem) {
        self.errors.borrow_mut().push(Diagnostic { place, message, help });
    }

    /// The value, or nothing and a report.
    pub fn accept<T>(&self, place: Place, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.report(place, problem)).ok()
    }

    /// For messages that name a second place.
    pub fn line(&self, place: Place) -> usize {
        position(&self.source.text, place.start).line
    }

    pub fn path(&self, written: &str) -> PathBuf {
        self.source.folder.join(written)
    }

    pub fn name_upstreams(&self, names: Vec<String>) {
        *self.upstreams.borrow_mut() = names;
    }

    pub fn upstream(&self, name: &str) -> Result<UpstreamIndex, Problem> {
        let upstreams = self.upstreams.borrow();
        upstreams.iter().position(|upstream| upstream == name).ok_or_else(|| {
            let problem = Problem::new(format!("no upstream `{name}`"));
            if upstreams.is_empty() {
                return problem.help(format!("add `[upstream.{name}]` with its endpoints"));
            }
            problem.help(super::name::suggest(name, "upstreams", upstreams.iter().map(String::as_str)))
        })
    }

    /// For a help.
    pub fn upstream_names(&self) -> String {
        let names: Vec<String> = self.upstreams.borrow().iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }

    pub fn add_use(&self, plugin_use: PluginUse) -> UseIndex {
        let mut uses = self.uses.borrow_mut();
        uses.push(plugin_use);
        uses.len() - 1
    }

    pub fn take_uses(&self) -> Vec<PluginUse> {
        self.uses.take()
    }
}
