//! A store in the proxy's memory: a sharded map, and beside it the order in which entries end.
//!
//! Whoever ends first makes room first, exactly: the order is kept in shards too, each of which
//! says without a lock when its first entry ends. So making room costs a look at sixteen numbers
//! and one lock, however many entries there are.
//!
//! The map's table does not shrink: after many small entries, few large ones take up to half
//! more than they are counted as.
//!
//! An entry's place in the map is locked before its place in the order, never the other way round.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;

use super::{Full, NotAdded, Store, StoreFacts, Swap, Value};

#[derive(Debug)]
pub struct Memory {
    entries: DashMap<Arc<str>, Entry, foldhash::fast::RandomState>,
    ends: [Ends; Self::SHARDS],
    limit: AtomicUsize,
    /// Bytes of all entries, and of those that are about to be written.
    used: AtomicUsize,
    next: AtomicU64,
    evictions: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    rank: Rank,
}

/// When an entry ends, in milliseconds, and a number of its own. One without an end comes after all
/// that have one, in the order in which they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    end: u64,
    number: u64,
}

impl Rank {
    const ENDLESS: u64 = 1 << 63;

    fn is_over(self, now: u64) -> bool {
        self.end <= now
    }
}

/// A part of the order.
#[derive(Debug)]
#[repr(align(64))]
struct Ends {
    /// Of the first one; the largest number when there is none.
    first: AtomicU64,
    order: Mutex<BTreeMap<Rank, Arc<str>>>,
}

impl Memory {
    const SHARDS: usize = 16;
    /// What an entry takes beside its key and its value: two allocations, a place in the map and one in
    /// the order. 230 bytes as measured over 250,000 entries; the test that fills a store checks it.
    pub const OVERHEAD: usize = 256;
    /// Ended entries that a write throws out on its way.
    const SWEPT: usize = 4;

    pub fn new(limit: usize) -> Self {
        Self {
            entries: DashMap::default(),
            ends: std::array::from_fn(|_| Ends { first: AtomicU64::new(u64::MAX), order: Mutex::default() }),
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    fn cost(key: &str, value: &[u8]) -> usize {
        key.len() + value.len() + Self::OVERHEAD
    }

    fn rank(&self, ttl: Option<u64>, now: u64) -> Rank {
        let number = self.next.fetch_add(1, Relaxed);
        let end = ttl.and_then(|ttl| now.checked_add(ttl)).filter(|end| *end < Rank::ENDLESS);
        Rank { end: end.unwrap_or(Rank::ENDLESS | number), number }
    }

    fn ends(&self, number: u64) -> &Ends {
        &self.ends[number as usize % Self::SHARDS]
    }

    /// Takes so many bytes and makes room for them. What is taken must be written or given back.
    fn reserve(&self, bytes: usize, now: u64) {
        self.used.fetch_add(bytes, Relaxed);
        self.make_room(now);
    }

    /// Call it without holding a place in the map.
    fn make_room(&self, now: u64) {
        while self.used.load(Relaxed) > self.limit.load(Relaxed) && self.evict(now) {}
    }

    /// Throws out whoever ends first; false when there is nobody.
    fn evict(&self, now: u64) -> bool {
        let first = |ends: &&Ends| ends.first.load(Relaxed);
        let Some(ends) = self.ends.iter().min_by_key(first) else { return false };
        let popped = ends.pop_if(|_| true);
        if let Some((rank, key)) = popped
            && self.drop_entry(&key, rank)
        {
            if !rank.is_over(now) {
                self.evictions.fetch_add(1, Relaxed);
            }
            return true;
        }
        // Somebody else was there first; there may be others.
        self.ends.iter().any(|ends| ends.first.load(Relaxed) != u64::MAX)
    }

    /// Those that ended: a few of one shard, each in its turn.
    fn sweep(&self, now: u64) {
        let ends = self.ends(self.next.load(Relaxed));
        for _ in 0..Self::SWEPT {
            if ends.first.load(Relaxed) > now {
                return;
            }
            let Some((rank, key)) = ends.pop_if(|rank| rank.is_over(now)) else { return };
            self.drop_entry(&key, rank);
        }
    }

    /// An entry that is not in the order any more, unless another was written in its place.
    fn drop_entry(&self, key: &str, rank: Rank) -> bool {
        let dropped = self.entries.remove_if(key, |_, entry| entry.rank == rank);
        if let Some((key, entry)) = &dropped {
            self.used.fetch_sub(Self::cost(key, &entry.value), Relaxed);
        }
        dropped.is_some()
    }

    /// Takes the bytes that a new entry needs beyond those of the one whose place it takes, which may
    /// itself have to go. Answers how many.
    fn reserve_for(&self, key: &str, cost: usize, now: u64) -> usize {
        let mut reserved = 0;
        loop {
            let replaced = self.entries.get(key).map_or(0, |entry| Self::cost(key, &entry.value));
            let needed = cost.saturating_sub(replaced);
            if needed <= reserved {
                return reserved;
            }
            self.reserve(needed - reserved, now);
            reserved = needed;
        }
    }

    /// Writes into a place that the caller holds. `reserved` bytes, not more than it takes, are counted
    /// already; the rest is before anybody can see the entry, so that the sum is never below zero.
    fn write(&self, place: Place<'_, Arc<str>, Entry>, value: Value, rank: Rank, reserved: usize) {
        let (key, rest) = (Arc::clone(place.key()), Self::cost(place.key(), &value) - reserved);
        match place {
            Place::Occupied(mut place) => {
                let old = place.insert(Entry { value, rank });
                self.unlink(&key, &old);
                self.used.fetch_add(rest, Relaxed);
                self.ends(rank.number).insert(rank, key);
            }
            Place::Vacant(place) => {
                self.used.fetch_add(rest, Relaxed);
                let _held = place.insert(Entry { value, rank });
                self.ends(rank.number).insert(rank, key);
            }
        }
    }

    fn unlink(&self, key: &str, entry: &Entry) {
        self.ends(entry.rank.number).remove(entry.rank);
        self.used.fetch_sub(Self::cost(key, &entry.value), Relaxed);
    }

    fn fits(&self, cost: usize) -> Result<(), Full> {
        if cost <= self.limit.load(Relaxed) { Ok(()) } else { Err(Full) }
    }
}

impl Store for Memory {
    fn get(&self, key: &str, now: u64) -> Option<Value> {
        let entry = self.entries.get(key)?;
        (!entry.rank.is_over(now)).then(|| Arc::clone(&entry.value))
    }

    fn set(&self, key: &str, value: Value, ttl: Option<u64>, now: u64) -> Result<(), Full> {
        let cost = Self::cost(key, &value);
        self.fits(cost)?;
        self.sweep(now);
        let reserved = self.reserve_for(key, cost, now);
        self.write(self.entries.entry(key.into()), value, self.rank(ttl, now), reserved);
        self.make_room(now);
        Ok(())
    }

    fn remove(&self, key: &str, now: u64) -> bool {
        let Some((key, entry)) = self.entries.remove(key) else { return false };
        self.unlink(&key, &entry);
        !entry.rank.is_over(now)
    }

    fn compare_and_swap(&self, swap: Swap<'_>, now: u64) -> Result<bool, Full> {
        let Swap { key, expected, value, ttl } = swap;
        let cost = value.as_ref().map_or(0, |value| Self::cost(key, value));
        self.fits(cost)?;
        self.sweep(now);
        let reserved = self.reserve_for(key, cost, now);
        let place = self.entries.entry(key.into());
        let found = match &place {
            Place::Occupied(place) if !place.get().rank.is_over(now) => Some(&*place.get().value),
            _ => None,
        };
        let swapped = found == expected;
        match (swapped, value, place) {
            (true, Some(value), place) => self.write(place, value, self.rank(ttl, now), reserved),
            (true, None, Place::Occupied(place)) => {
                let (key, entry) = place.remove_entry();
                self.unlink(&key, &entry);
            }
            // Nothing is written, so nothing is reserved any more.
            _ => {
                self.used.fetch_sub(reserved, Relaxed);
            }
        }
        self.make_room(now);
        Ok(swapped)
    }

    fn add(&self, key: &str, delta: i64, ttl: Option<u64>, now: u64) -> Result<i64, NotAdded> {
        if let Some(mut entry) = self.entries.get_mut(key)
            && !entry.rank.is_over(now)
        {
            return add_to(&mut entry.value, delta);
        }
        self.sweep(now);
        let reserved = Self::cost(key, &delta.to_le_bytes());
        self.fits(reserved)?;
        self.reserve(reserved, now);
        let mut place = self.entries.entry(key.into());
        let sum = match &mut place {
            // Somebody else has made it meanwhile.
            Place::Occupied(place) if !place.get().rank.is_over(now) => {
                let sum = add_to(&mut place.get_mut().value, delta);
                self.used.fetch_sub(reserved, Relaxed);
                sum
            }
            _ => {
                self.write(place, Arc::new(delta.to_le_bytes()), self.rank(ttl, now), reserved);
                Ok(delta)
            }
        };
        self.make_room(now);
        sum
    }

    fn resize(&self, limit: usize, now: u64) {
        while self.used.load(Relaxed) > limit && self.evict(now) {}
        self.limit.store(limit, Relaxed);
    }

    fn facts(&self) -> StoreFacts {
        StoreFacts {
            entries: self.entries.len(),
            bytes: self.used.load(Relaxed),
            limit: self.limit.load(Relaxed),
            evictions: self.evictions.load(Relaxed),
        }
    }
}

fn add_to(value: &mut Value, delta: i64) -> Result<i64, NotAdded> {
    let number = <[u8; 8]>::try_from(&**value).map_err(|_| NotAdded::NotANumber)?;
    let sum = i64::from_le_bytes(number).saturating_add(delta);
    match Arc::get_mut(value) {
        Some(bytes) => bytes.copy_from_slice(&sum.to_le_bytes()),
        // Somebody still reads it.
        None => *value = Arc::new(sum.to_le_bytes()),
    }
    Ok(sum)
}

impl Ends {
    fn order(&self) -> Order<'_> {
        Order { first: &self.first, map: self.order.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    fn insert(&self, rank: Rank, key: Arc<str>) {
        self.order().map.insert(rank, key);
    }

    fn remove(&self, rank: Rank) {
        self.order().map.remove(&rank);
    }

    fn pop_if(&self, is_it: impl FnOnce(Rank) -> bool) -> Option<(Rank, Arc<str>)> {
        let mut order = self.order();
        let (rank, _) = order.map.first_key_value()?;
        if is_it(*rank) { order.map.pop_first() } else { None }
    }
}

/// Locked; says who is first when it is let go.
struct Order<'a> {
    first: &'a AtomicU64,
    map: MutexGuard<'a, BTreeMap<Rank, Arc<str>>>,
}

impl Drop for Order<'_> {
    fn drop(&mut self) {
        let first = self.map.first_key_value().map_or(u64::MAX, |(rank, _)| rank.end);
        self.first.store(first, Relaxed);
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
