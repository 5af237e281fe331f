//! Makes what fails smaller, as long as it goes on to fail in the same way: fewer calls, fewer
//! endpoints, fewer and shorter headers, plain values for odd ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;

use crate::config::{CaseEndpoint, Head, RequestGiven, ResponseGiven, Setup, Step};

/// A life that ends in a failure: that of its last step.
#[derive(Debug, Clone)]
pub struct Script {
    pub setup: Setup,
    pub steps: Vec<Step>,
}

/// Tries, and when to stop: a plugin that runs to its deadline takes its time.
pub struct Shrinker<'f> {
    fails: &'f mut dyn FnMut(&Script) -> bool,
    pub tries: usize,
    until: Instant,
}

impl<'f> Shrinker<'f> {
    const MOST_TRIES: usize = 2_000;
    const LONGEST: Duration = Duration::from_secs(5);

    /// `fails`: whether a script fails in the way that is looked for.
    pub fn new(fails: &'f mut dyn FnMut(&Script) -> bool) -> Self {
        Self { fails, tries: 0, until: Instant::now() + Self::LONGEST }
    }

    pub fn shrink(&mut self, mut script: Script) -> Script {
        loop {
            let before = self.tries;
            let mut smaller = self.fewer_steps(script.clone());
            smaller = self.without_delegate(smaller);
            for step in 0..smaller.steps.len() {
                smaller = self.endpoints(smaller, step);
                smaller = self.choice(smaller, step);
                smaller = self.request(smaller, step);
                smaller = self.response(smaller, step);
            }
            let is_same = smaller.steps == script.steps && smaller.setup == script.setup;
            script = smaller;
            if is_same || self.is_over() || self.tries == before {
                return script;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.tries >= Self::MOST_TRIES || Instant::now() >= self.until
    }

    fn still_fails(&mut self, script: &Script) -> bool {
        if self.is_over() {
            return false;
        }
        self.tries += 1;
        (self.fails)(script)
    }

    /// The changed script when it still fails, otherwise the one there was.
    fn attempt(&mut self, script: Script, change: impl FnOnce(&mut Script)) -> Script {
        let mut changed = script.clone();
        change(&mut changed);
        let is_same = changed.steps == script.steps && changed.setup == script.setup;
        if !is_same && self.still_fails(&changed) { changed } else { script }
    }

    /// Takes parts out of a list: all, halves, quarters, to single elements.
    fn fewer<T: Clone>(&mut self, list: &[T], with: impl Fn(&[T]) -> Script) -> Vec<T> {
        if !list.is_empty() && self.still_fails(&with(&[])) {
            return Vec::new();
        }
        let (mut list, mut part) = (list.to_vec(), list.len().div_ceil(2));
        while part > 0 && !list.is_empty() {
            let mut start = 0;
            while start < list.len() {
                let end = (start + part).min(list.len());
                let rest = [&list[..start], &list[end..]].concat();
                if rest.len() < list.len() && self.still_fails(&with(&rest)) {
                    list = rest;
                } else {
                    start = end;
                }
            }
            part = if part == 1 { 0 } else { part.div_ceil(2) };
        }
        list
    }

    fn fewer_steps(&mut self, script: Script) -> Script {
        let Some((last, before)) = script.steps.split_last() else { return script };
        let with = |before: &[Step]| {
            let steps = before.iter().chain([last]).cloned().collect();
            Script { setup: script.setup.clone(), steps }
        };
        let before = self.fewer(before, with);
        with(&before)
    }

    fn without_delegate(&mut self, script: Script) -> Script {
        self.attempt(script, |script| script.setup.then = None)
    }

    fn endpoints(&mut self, script: Script, step: usize) -> Script {
        let set = Arc::clone(&script.steps[step].endpoints);
        if step > 0 && Arc::ptr_eq(&set, &script.steps[step - 1].endpoints) {
            return script;
        }
        let list = self.fewer(&set, |list| with_endpoints(&script, &set, list));
        let mut script = with_endpoints(&script, &set, &list);
        let plain = |endpoint: &CaseEndpoint| CaseEndpoint::new(&endpoint.address);
        let unlabelled = |endpoint: &CaseEndpoint| CaseEndpoint { labels: Vec::new(), ..endpoint.clone() };
        let equal = |endpoint: &CaseEndpoint| CaseEndpoint { weight: 1, ..endpoint.clone() };
        let healthy = |endpoint: &CaseEndpoint| CaseEndpoint { state: plain(endpoint).state, ..endpoint.clone() };
        let unmeasured = |endpoint: &CaseEndpoint| CaseEndpoint {
            weight: endpoint.weight,
            labels: endpoint.labels.clone(),
            state: endpoint.state,
            ..plain(endpoint)
        };
        let changes: [&dyn Fn(&CaseEndpoint) -> CaseEndpoint; 5] = [&plain, &unlabelled, &equal, &healthy, &unmeasured];
        for change in changes {
            let set = Arc::clone(&script.steps[step].endpoints);
            let list: Vec<CaseEndpoint> = set.iter().map(change).collect();
            script = self.attempt(script, |script| *script = with_endpoints(script, &set, &list));
        }
        self.plain_addresses(script, step)
    }

    fn plain_addresses(&mut self, script: Script, step: usize) -> Script {
        let set = Arc::clone(&script.steps[step].endpoints);
        let names: Vec<(String, String)> = (1..)
            .zip(&*set)
            .map(|(number, endpoint)| (endpoint.address.clone(), format!("10.0.0.{number}:80")))
            .filter(|_| set.len() < 250)
            .collect();
        self.attempt(script, |script| rename(script, &names))
    }

    fn choice(&mut self, script: Script, step: usize) -> Script {
        let tried = self.fewer(&script.steps[step].tried, |tried| {
            let mut script = script.clone();
            script.steps[step].tried = tried.to_vec();
            script
        });
        let mut script = script;
        script.steps[step].tried = tried;
        let script = self.attempt(script, |script| script.steps[step].candidates = None);
        let Some(candidates) = script.steps[step].candidates.clone() else { return script };
        let with = |candidates: &[String]| {
            let mut script = script.clone();
            script.steps[step].candidates = Some(candidates.to_vec());
            script
        };
        with(&self.fewer(&candidates, with))
    }

    fn request(&mut self, script: Script, step: usize) -> Script {
        let mut script = self.attempt(script, |script| script.steps[step].request = RequestGiven::default());
        let plain = RequestGiven::default();
        script = self.attempt(script, |script| script.steps[step].request.client = plain.client);
        script = self.attempt(script, |script| {
            let request = &mut script.steps[step].request;
            (request.tls, request.sni) = (false, None);
        });
        script = self.attempt(script, |script| {
            if script.steps[step].request.head.is_some() {
                script.steps[step].request.protocol = plain.protocol;
            }
        });
        let Some(head) = script.steps[step].request.head.clone() else { return script };
        let with = |headers: &[_]| {
            let mut script = script.clone();
            script.steps[step].request.head = Some(Head { headers: headers.to_vec(), ..head.clone() });
            script
        };
        let headers = self.fewer(&head.headers, with);
        let mut script = with(&headers);
        for change in [
            (|head, plain| head.path = plain.path) as fn(&mut Head, Head),
            |head, plain| head.host = plain.host,
            |head, plain| head.method = plain.method,
            |head, plain| head.notes = plain.notes,
        ] {
            script = self.attempt(script, |script| {
                if let Some(head) = &mut script.steps[step].request.head {
                    change(head, Head::default());
                }
            });
        }
        for line in 0..headers.len() {
            script = self.shorter(script, |script| {
                let head = script.steps[step].request.head.as_mut()?;
                head.headers.get_mut(line).map(|(_, value)| value)
            });
        }
        script
    }

    fn response(&mut self, script: Script, step: usize) -> Script {
        let mut script = self.attempt(script, |script| script.steps[step].response = None);
        if script.steps[step].response.is_some() {
            script = self.attempt(script, |script| script.steps[step].response = Some(ResponseGiven::default()));
        }
        let Some(response) = script.steps[step].response.clone() else { return script };
        let with = |headers: &[_]| {
            let mut script = script.clone();
            script.steps[step].response = Some(ResponseGiven { headers: headers.to_vec(), ..response.clone() });
            script
        };
        let headers = self.fewer(&response.headers, with);
        script = with(&headers);
        for line in 0..headers.len() {
            script = self.shorter(script, |script| {
                let response = script.steps[step].response.as_mut()?;
                response.headers.get_mut(line).map(|(_, value)| value)
            });
        }
        script
    }

    /// Halves a value from either end, to nothing.
    fn shorter(&mut self, mut script: Script, value: impl Fn(&mut Script) -> Option<&mut HeaderValue>) -> Script {
        loop {
            let Some(bytes) = value(&mut script).map(|value| value.as_bytes().to_vec()) else { return script };
            if bytes.is_empty() {
                return script;
            }
            let half = bytes.len() / 2;
            let smaller = [&bytes[..0], &bytes[..half], &bytes[half..], &bytes[..bytes.len() - 1], &bytes[1..]];
            let shorter = smaller.into_iter().find_map(|part| {
                let part = HeaderValue::from_bytes(part).ok().filter(|part| part.len() < bytes.len())?;
                let mut changed = script.clone();
                *value(&mut changed)? = part;
                self.still_fails(&changed).then_some(changed)
            });
            match shorter {
                Some(shorter) => script = shorter,
                None => return script,
            }
        }
    }
}

/// Puts a list of endpoints wherever this set is; what is gone was neither tried nor is it a candidate.
fn with_endpoints(script: &Script, set: &Arc<[CaseEndpoint]>, list: &[CaseEndpoint]) -> Script {
    let mut script = script.clone();
    let new: Arc<[CaseEndpoint]> = list.into();
    let is_gone = |address: &String| {
        set.iter().any(|endpoint| endpoint.address == *address)
            && !new.iter().any(|endpoint| endpoint.address == *address)
    };
    for step in script.steps.iter_mut().filter(|step| Arc::ptr_eq(&step.endpoints, set)) {
        step.endpoints = Arc::clone(&new);
        step.tried.retain(|address| !is_gone(address));
        if let Some(candidates) = &mut step.candidates {
            candidates.retain(|address| !is_gone(address));
        }
    }
    // A later step may have tried what was here.
    let known: Vec<String> =
        script.steps.iter().flat_map(|step| &*step.endpoints).map(|endpoint| endpoint.address.clone()).collect();
    for step in &mut script.steps {
        step.tried.retain(|address| known.contains(address));
    }
    script
}

/// Everywhere, so that what is the same endpoint stays the same one.
fn rename(script: &mut Script, names: &[(String, String)]) {
    let new = |address: &str| names.iter().find(|(old, _)| old == address).map(|(_, new)| new.clone());
    let taken = |step: &Step| {
        let kept = step.endpoints.iter().filter(|endpoint| new(&endpoint.address).is_none());
        kept.into_iter().any(|endpoint| names.iter().any(|(_, new)| *new == endpoint.address))
    };
    if script.steps.iter().any(taken) {
        return;
    }
    // The set that was renamed last: the steps that share it go on to share it.
    let (mut old, mut renamed): (Arc<[CaseEndpoint]>, Arc<[CaseEndpoint]>) = Default::default();
    for step in &mut script.steps {
        if !Arc::ptr_eq(&old, &step.endpoints) {
            let address = |endpoint: &CaseEndpoint| new(&endpoint.address).unwrap_or(endpoint.address.clone());
            let rename = |endpoint| CaseEndpoint { address: address(endpoint), ..endpoint.clone() };
            old = Arc::clone(&step.endpoints);
            renamed = old.iter().map(rename).collect();
        }
        step.endpoints = Arc::clone(&renamed);
        for address in step.tried.iter_mut().chain(step.candidates.iter_mut().flatten()) {
            if let Some(new) = new(address) {
                *address = new;
            }
        }
    }
}
