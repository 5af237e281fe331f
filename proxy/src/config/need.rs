//! What plugins need to be granted, and how a configuration says that they are.

use std::fmt;

use super::{Grant, PluginKind};

/// What the checks know of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownPlugin {
    /// The kinds that it exports.
    pub kinds: Vec<PluginKind>,
    /// What each use of it must be granted.
    pub needs: Vec<Needed>,
}

/// An interface of a plugin that only a grant opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// As it stands in the component, `wasi:clocks/wall-clock@0.2.6`.
    pub interface: String,
    pub need: Need,
}

/// One for each sort of [`Grant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Clock,
    Random,
    Log,
    Metrics,
    Timer,
    Body,
    /// At least one store.
    State,
    /// At least one upstream.
    Http,
}

impl Need {
    /// The grant that meets it, where there is no name to choose.
    pub fn nameless(self) -> Option<Grant> {
        match self {
            Self::Clock => Some(Grant::Clock),
            Self::Random => Some(Grant::Random),
            Self::Log => Some(Grant::Log),
            Self::Metrics => Some(Grant::Metrics),
            Self::Timer => Some(Grant::Timer),
            Self::Body => Some(Grant::Body),
            Self::State | Self::Http => None,
        }
    }

    /// Whether the plugin exports the interface (and wants to be called) instead of importing it.
    pub fn is_export(self) -> bool {
        matches!(self, Self::Timer | Self::Body)
    }
}

/// As it is written, with capitals where a name is to be chosen.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Log => "log",
            Self::Metrics => "metrics",
            Self::Timer => "timer",
            Self::Body => "body",
            Self::State => "state:NAME",
            Self::Http => "http:UPSTREAM",
        })
    }
}

impl Grant {
    pub fn meets(&self) -> Need {
        match self {
            Self::Clock => Need::Clock,
            Self::Random => Need::Random,
            Self::Log => Need::Log,
            Self::Metrics => Need::Metrics,
            Self::Timer => Need::Timer,
            Self::Body => Need::Body,
            Self::State(_) => Need::State,
            Self::Http(_) => Need::Http,
        }
    }
}

/// As it is written.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(store) => write!(f, "state:{store}"),
            Self::Http(upstream) => write!(f, "http:{upstream}"),
            plain => plain.meets().fmt(f),
        }
    }
}

/// What of the needs these grants do not meet.
pub fn missing<'n>(needs: &'n [Needed], grants: &[Grant]) -> Vec<&'n Needed> {
    needs.iter().filter(|needed| !grants.iter().any(|grant| grant.meets() == needed.need)).collect()
}

/// The line that would be right: what is granted, and what is missing.
pub fn line(grants: &[Grant], missing: &[&Needed]) -> String {
    let mut words: Vec<String> = grants.iter().map(Grant::to_string).collect();
    for needed in missing {
        let word = needed.need.to_string();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("grants = [{}]", words.join(", "))
}
