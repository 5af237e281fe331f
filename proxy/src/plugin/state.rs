//! The key-value stores that plugins share: what a store can do, and which there are. They belong
//! to the process; nothing of them is written to a disk.

mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use memory::Memory;

/// By name: those that the running configuration grants to somebody.
pub type Stores = BTreeMap<Arc<str>, Arc<dyn Store>>;

/// A value as it is kept: reading one copies nothing.
pub type Value = Arc<[u8]>;

/// One store. Every operation is one step to all workers. A trait so that a store may be shared by
/// several proxies one day; then a worker must not wait for it.
///
/// `now` is the proxy's clock in milliseconds, `ttl` what an entry has from then on.
pub trait Store: std::fmt::Debug + Send + Sync {
    fn get(&self, key: &str, now: u64) -> Option<Value>;
    fn set(&self, key: &str, value: Value, ttl: Option<u64>, now: u64) -> Result<(), Full>;
    /// Whether there was one.
    fn remove(&self, key: &str, now: u64) -> bool;
    /// Whether the entry was as expected, and is what it should be now.
    fn compare_and_swap(&self, swap: Swap<'_>, now: u64) -> Result<bool, Full>;
    /// The sum, saturating; an entry that is there keeps its end.
    fn add(&self, key: &str, delta: i64, ttl: Option<u64>, now: u64) -> Result<i64, NotAdded>;
    /// Another limit, in bytes. Not for workers: it may have much to throw out.
    fn resize(&self, limit: usize, now: u64);
    fn facts(&self) -> StoreFacts;
}

/// What is to be written where something else is expected; none is "no entry".
#[derive(Debug)]
pub struct Swap<'a> {
    pub key: &'a str,
    pub expected: Option<&'a [u8]>,
    pub value: Option<Value>,
    pub ttl: Option<u64>,
}

/// The entry alone is larger than the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdded {
    Full,
    NotANumber,
}

impl From<Full> for NotAdded {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// For the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreFacts {
    /// Those that have ended and were not thrown out yet among them.
    pub entries: usize,
    pub bytes: usize,
    pub limit: usize,
    /// Entries thrown out before their end.
    pub evictions: u64,
}
