//! What the random calls had in them: a run that never tried something proves nothing about it.

use std::fmt;
use std::sync::Arc;

use super::super::life::{Done, Picked};
use crate::config::{CaseEndpoint, Head, PluginKind, Setup, Step};
use crate::endpoint::EndpointState;

#[derive(Debug, Default)]
pub struct Tally {
    pub calls: u64,
    pub instances: u64,
    /// The plugin wants neither requests nor responses.
    pub idle: bool,
    picks: u64,
    exchanges: u64,
    /// In the order in which they are told.
    features: Vec<(&'static str, u64)>,
}

impl Tally {
    /// `before`: the step before this one in the same life.
    pub fn count(&mut self, setup: &Setup, before: Option<&Step>, step: &Step) {
        match setup.kind {
            PluginKind::Balancer => {
                self.picks += 1;
                self.pick(setup, before, step);
            }
            PluginKind::HttpFilter => {
                self.exchanges += 1;
                self.feature("with a response", step.response.is_some());
            }
        }
        let head = step.request.head.as_ref();
        self.feature("over TLS", step.request.tls);
        self.feature("with bytes that are not UTF-8", head.is_some_and(has_bytes));
        self.feature("with more than 4 KiB of headers", head.is_some_and(is_huge));
        self.feature("without headers", head.is_some_and(|head| head.headers.is_empty()));
    }

    fn pick(&mut self, setup: &Setup, before: Option<&Step>, step: &Step) {
        let endpoints = &step.endpoints;
        let changed = before.is_some_and(|before| !Arc::ptr_eq(&before.endpoints, endpoints));
        self.feature("with no endpoint", endpoints.is_empty());
        self.feature("with 100 endpoints or more", endpoints.len() >= 100);
        self.feature("after an update of the endpoints", changed);
        self.feature("with endpoints tried before", !step.tried.is_empty());
        self.feature("narrowed to candidates", step.candidates.is_some());
        self.feature("with none eligible", !step.endpoints.iter().any(|endpoint| is_eligible(step, endpoint)));
        self.feature("with a delegate", setup.then.is_some());
        self.feature("without HTTP", step.request.head.is_none());
    }

    /// What is no failure, and yet seldom what its author means.
    pub fn count_outcome(&mut self, step: &Step, done: &Done) {
        match done {
            Done::Picked(Picked { endpoint: chosen, .. }) => {
                let one = chosen.as_ref().and_then(|address| step.endpoints.iter().find(|one| one.address == *address));
                let somebody = step.endpoints.iter().any(|endpoint| is_eligible(step, endpoint));
                self.feature(NOBODY, chosen.is_none() && somebody);
                self.feature(INELIGIBLE, one.is_some_and(|one| !is_eligible(step, one)));
            }
            Done::Passed { answered } => self.feature("answered by the plugin", *answered),
        }
    }

    fn feature(&mut self, name: &'static str, is_there: bool) {
        let count = u64::from(is_there);
        match self.features.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += count,
            None => self.features.push((name, count)),
        }
    }
}

const NOBODY: &str = "for which it chose nobody though somebody was eligible";
const INELIGIBLE: &str = "for which it chose an endpoint that was not eligible";

fn is_eligible(step: &Step, endpoint: &CaseEndpoint) -> bool {
    let address = &endpoint.address;
    let is_candidate = step.candidates.as_ref().is_none_or(|list| list.contains(address));
    endpoint.state == EndpointState::Healthy && is_candidate && !step.tried.contains(address)
}

fn has_bytes(head: &Head) -> bool {
    head.headers.iter().any(|(_, value)| std::str::from_utf8(value.as_bytes()).is_err())
}

fn is_huge(head: &Head) -> bool {
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > 4 << 10
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [(self.picks, "picks"), (self.exchanges, "requests")];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
        let kinds = kinds.collect::<Vec<_>>().join(" and ");
        write!(f, "{} calls of {} instances", self.calls, self.instances)?;
        if !kinds.is_empty() {
            write!(f, ": {kinds}, of these")?;
        }
        for (name, count) in &self.features {
            write!(f, "\n  {count:>9} {name}")?;
        }
        if self.idle {
            let help = "with some settings the plugin wants neither requests nor responses: it was not called then";
            write!(f, "\n  {help}")?;
        }
        Ok(())
    }
}
