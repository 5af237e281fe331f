//! Hosts: the outer table.

use std::collections::HashMap;

use super::Found;
use super::conditions::Conditions;
use super::path::Paths;
use crate::config::HostMatch;

type ByName = HashMap<Box<str>, Paths, foldhash::fast::RandomState>;

/// The keys come from the configuration, never from a request, so the quick hash does no harm.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: ByName,
    /// By suffix, without the first dot.
    wildcard: ByName,
    /// Length of the longest suffix: longer ones need no look.
    longest_suffix: usize,
    any: Paths,
}

/// The longest name in DNS, RFC 1035 section 2.3.4.
const MAX_NAME: usize = 255;

impl Hosts {
    /// The table of a host, made when it isn't there.
    pub(super) fn paths_of(&mut self, host: &HostMatch) -> &mut Paths {
        let key = |name: &str| bare(name).to_ascii_lowercase().into_boxed_str();
        match host {
            HostMatch::Any => &mut self.any,
            HostMatch::Exact(name) => self.exact.entry(key(name)).or_default(),
            HostMatch::Wildcard(suffix) => {
                self.longest_suffix = self.longest_suffix.max(suffix.len());
                self.wildcard.entry(key(suffix)).or_default()
            }
        }
    }

    pub(super) fn finish(&mut self, conditions: &[Conditions]) {
        let tables = self.exact.values_mut().chain(self.wildcard.values_mut());
        tables.chain([&mut self.any]).for_each(|paths| paths.finish(conditions));
    }

    /// The first answer of the tables that fit, from the most specific on.
    pub(super) fn find(&self, host: Option<&str>, look: impl Fn(&Paths) -> Option<Found>) -> Option<Found> {
        let named = !(self.exact.is_empty() && self.wildcard.is_empty());
        let found =
            host.filter(|_| named).and_then(|host| with_lower_case(bare(host), |host| self.by_name(host, &look)));
        found.or_else(|| look(&self.any))
    }

    fn by_name(&self, host: &str, look: impl Fn(&Paths) -> Option<Found>) -> Option<Found> {
        self.exact.get(host).and_then(&look).or_else(|| {
            let mut suffixes = host.match_indices('.').filter(|(dot, _)| *dot > 0).map(|(dot, _)| &host[dot + 1..]);
            suffixes.find_map(|suffix| {
                if suffix.len() > self.longest_suffix { None } else { self.wildcard.get(suffix).and_then(&look) }
            })
        })
    }
}

/// The name alone: no user, no port, no brackets, no final dot.
fn bare(authority: &str) -> &str {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(address) = host.strip_prefix('[') {
        return address.split_once(']').map_or(address, |(address, _)| address);
    }
    let host = match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Calls with the name in lower case; copies it (to the stack) only when it is not. A name that is
/// longer than names can be is nobody's.
fn with_lower_case<R>(host: &str, call: impl FnOnce(&str) -> Option<R>) -> Option<R> {
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return call(host);
    }
    let mut copy = [0; MAX_NAME];
    let copy = copy.get_mut(..host.len())?;
    copy.copy_from_slice(host.as_bytes());
    copy.make_ascii_lowercase();
    call(std::str::from_utf8(copy).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_taken_out_of_the_authority() {
        for (authority, name) in [
            ("example.com", "example.com"),
            ("example.com:8080", "example.com"),
            ("example.com.:80", "example.com"),
            ("user:secret@example.com", "example.com"),
            ("[::1]:8080", "::1"),
            ("::1", "::1"),
            ("[::1", "::1"),
            ("", ""),
        ] {
            assert_eq!(bare(authority), name, "{authority}");
        }
    }

    #[test]
    fn case_is_folded_up_to_the_longest_name() {
        assert_eq!(with_lower_case("A.b", |host| Some(host.to_owned())).unwrap(), "a.b");
        assert_eq!(with_lower_case(&"A".repeat(300), |_| Some(())), None);
    }
}
