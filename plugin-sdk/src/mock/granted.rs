//! What a configuration grants, as the mock host has it: `state` and `metrics`.
#![allow(clippy::needless_pass_by_value)] // the generated signatures

use std::collections::BTreeMap;

/// A store: each value, and the millisecond of [`Host::now`](super::Host::now) at which it ends.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub entries: BTreeMap<String, (Vec<u8>, Option<u64>)>,
}

impl Store {
    fn get(&self, key: &str, now: u64) -> Option<&(Vec<u8>, Option<u64>)> {
        self.entries.get(key).filter(|(_, end)| end.is_none_or(|end| end > now))
    }
}

pub mod state {
    use super::Store;
    pub use crate::bindings::balancer::jackfield::plugin::state::StateError;

    const LONGEST_KEY: usize = 1 << 10;
    const LONGEST_VALUE: usize = 64 << 10;

    pub fn open(name: &str) -> Result<u32, StateError> {
        let found = crate::mock::host(|host| host.stores.keys().position(|granted| granted == name));
        found.map(|number| number as u32).ok_or(StateError::NotGranted)
    }

    /// With the store of this number, and the time in milliseconds.
    fn with<R>(store: u32, key: &str, act: impl FnOnce(&mut Store, u64) -> R) -> Result<R, StateError> {
        crate::mock::host(|host| {
            host.calls += 1;
            let now = host.now / 1_000_000;
            let store = host.stores.values_mut().nth(store as usize).filter(|_| key.len() <= LONGEST_KEY);
            store.map(|store| act(store, now)).ok_or(StateError::Malformed)
        })
    }

    fn checked(value: &[u8]) -> Result<Vec<u8>, StateError> {
        if value.len() <= LONGEST_VALUE { Ok(value.to_vec()) } else { Err(StateError::Malformed) }
    }

    fn end(ttl: Option<u64>, now: u64) -> Option<u64> {
        ttl.map(|ttl| now.saturating_add(ttl))
    }

    pub fn get(store: u32, key: &str) -> Option<Vec<u8>> {
        with(store, key, |store, now| store.get(key, now).map(|(value, _)| value.clone())).ok()?
    }

    pub fn set(store: u32, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), StateError> {
        let value = checked(value)?;
        with(store, key, |store, now| drop(store.entries.insert(key.to_owned(), (value, end(ttl, now)))))
    }

    pub fn remove(store: u32, key: &str) -> bool {
        let remove = |store: &mut Store, now| {
            let there = store.get(key, now).is_some();
            store.entries.remove(key);
            there
        };
        with(store, key, remove).unwrap_or(false)
    }

    pub fn compare_and_swap(
        store: u32,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl: Option<u64>,
    ) -> Result<bool, StateError> {
        let value = value.map(checked).transpose()?;
        with(store, key, |store, now| {
            let is_so = store.get(key, now).map(|(found, _)| found.as_slice()) == expected;
            match value {
                Some(value) if is_so => drop(store.entries.insert(key.to_owned(), (value, end(ttl, now)))),
                None if is_so => drop(store.entries.remove(key)),
                _ => {}
            }
            is_so
        })
    }

    pub fn add(store: u32, key: &str, delta: i64, ttl: Option<u64>) -> Result<i64, StateError> {
        let add = |store: &mut Store, now| {
            let (number, end) = match store.get(key, now) {
                Some((value, end)) => (value.as_slice().try_into().map_err(|_| StateError::NotANumber)?, *end),
                None => ([0; 8], end(ttl, now)),
            };
            let sum = i64::from_le_bytes(number).saturating_add(delta);
            store.entries.insert(key.to_owned(), (sum.to_le_bytes().to_vec(), end));
            Ok(sum)
        };
        with(store, key, add)?
    }
}

pub mod metrics {
    use std::cell::RefCell;

    pub use crate::bindings::balancer::jackfield::plugin::metrics::MetricError;
    use crate::mock::host;

    thread_local! {
        // Not in the host, which a test installs anew for each request: numbers live as long as the plugin.
        static NAMES: RefCell<Vec<(String, Kind)>> = const { RefCell::new(Vec::new()) };
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Counter,
        Histogram,
    }

    fn register(name: &str, kind: Kind) -> Result<u32, MetricError> {
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let first = |c: char| c.is_ascii_lowercase();
        if name.len() > 64 || !name.starts_with(first) || !name.bytes().all(rest) {
            return Err(MetricError::Malformed);
        }
        NAMES.with_borrow_mut(|names| match names.iter().position(|(known, _)| known == name) {
            Some(number) if names[number].1 == kind => Ok(number as u32),
            Some(_) => Err(MetricError::Malformed),
            None if names.len() == 64 => Err(MetricError::TooMany),
            None => {
                names.push((name.to_owned(), kind));
                Ok(names.len() as u32 - 1)
            }
        })
    }

    fn name(number: u32, kind: Kind) -> Option<String> {
        let found = NAMES.with_borrow(|names| names.get(number as usize).cloned());
        found.filter(|(_, known)| *known == kind).map(|(name, _)| name)
    }

    pub fn counter(name: &str) -> Result<u32, MetricError> {
        register(name, Kind::Counter)
    }

    pub fn histogram(name: &str, bounds: &[f64]) -> Result<u32, MetricError> {
        let ascending = bounds.iter().all(|bound| bound.is_finite()) && bounds.is_sorted_by(|a, b| a < b);
        if bounds.len() > 32 || !ascending {
            return Err(MetricError::Malformed);
        }
        register(name, Kind::Histogram)
    }

    pub fn increment(counter: u32, delta: u64) {
        let name = name(counter, Kind::Counter);
        host(|host| {
            host.calls += 1;
            if let Some(name) = name {
                *host.own_counters.entry(name).or_default() += delta;
            }
        });
    }

    pub fn observe(histogram: u32, value: f64) {
        let name = name(histogram, Kind::Histogram).filter(|_| value.is_finite());
        host(|host| {
            host.calls += 1;
            if let Some(name) = name {
                host.own_histograms.entry(name).or_default().push(value);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::mock::{self, Host};
    use crate::state::{StateError, Store};

    #[test]
    fn a_store_is_as_the_contract_has_it() {
        Host::default().store("b").store("a").install();
        assert_eq!(Store::open("c").unwrap_err(), StateError::NotGranted);
        let (store, other) = (Store::open("a").unwrap(), Store::open("b").unwrap());
        let second = Some(Duration::from_secs(1));
        store.set("key", "value", second).unwrap();
        assert_eq!((store.get_text("key").as_deref(), other.get("key")), (Some("value"), None));
        assert_eq!(store.add("key", 1, None), Err(StateError::NotANumber));
        assert_eq!(store.compare_and_swap("key", Some(b"other"), None, None), Ok(false));
        assert_eq!(store.compare_and_swap("key", Some(b"value"), Some(b"new"), None), Ok(true));
        assert_eq!((store.add("sum", 2, second), store.add("sum", 3, second)), (Ok(2), Ok(5)));
        assert_eq!(store.get_number("sum"), Some(5));
        mock::host(|host| host.now += 1_000_000_000);
        assert_eq!((store.get("key").as_deref(), store.get("sum")), (Some(&b"new"[..]), None));
        assert!(store.remove("key") && !store.remove("key"));
        assert_eq!(store.set(&"k".repeat(1025), "", None), Err(StateError::Malformed));
        assert_eq!(store.set("k", vec![0; (64 << 10) + 1], None), Err(StateError::Malformed));
    }
}
