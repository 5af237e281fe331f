//! The store against a plain model, and under many threads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn value(bytes: &[u8]) -> Value {
    bytes.into()
}

const ENTRY: usize = Memory::OVERHEAD + 2;
/// Room for so many entries of one-byte keys and values.
fn room_for(entries: usize) -> Memory {
    Memory::new(entries * ENTRY)
}

fn set(store: &Memory, key: &str, ttl: Option<u64>, now: u64) {
    store.set(key, value(b"x"), ttl, now).unwrap();
}

fn keys(store: &Memory) -> String {
    let mut keys: Vec<String> = store.entries.iter().map(|entry| entry.key().to_string()).collect();
    keys.sort();
    keys.concat()
}

#[test]
fn an_entry_ends_with_its_time() {
    let store = room_for(10);
    set(&store, "a", Some(100), 1_000);
    assert!(store.get("a", 1_099).is_some());
    assert!(store.get("a", 1_100).is_none());
    assert!(!store.remove("a", 1_100), "it is not there any more");
    set(&store, "b", Some(0), 1_000);
    assert!(store.get("b", 1_000).is_none());
    set(&store, "c", Some(u64::MAX), 1_000);
    assert!(store.get("c", u64::MAX / 2 - 1).is_some());
}

#[test]
fn those_closest_to_their_end_make_room_then_the_oldest() {
    let store = room_for(5);
    for (key, ttl) in [("a", None), ("b", Some(900)), ("c", None), ("d", Some(100)), ("e", Some(500))] {
        set(&store, key, ttl, 0);
    }
    for (new, left) in [("f", "abcef"), ("g", "abcfg"), ("h", "acfgh"), ("i", "cfghi"), ("j", "fghij")] {
        set(&store, new, None, 1);
        assert_eq!(keys(&store), left);
    }
    assert_eq!(store.facts(), StoreFacts { entries: 5, bytes: 5 * ENTRY, limit: 5 * ENTRY, evictions: 5 });
}

#[test]
fn only_what_is_larger_than_the_store_is_refused() {
    let store = room_for(2);
    set(&store, "a", None, 0);
    assert_eq!(store.set("b", value(&[0; ENTRY * 2]), None, 0), Err(Full));
    assert_eq!(keys(&store), "a", "and nobody has made room for it");
    store.set("b", value(&[0; ENTRY]), None, 0).unwrap();
    assert_eq!(keys(&store), "b");
    let swap = Swap { key: "b", expected: None, value: Some(value(&[0; ENTRY * 2])), ttl: None };
    assert_eq!(store.compare_and_swap(swap, 0), Err(Full));
    assert_eq!(Memory::new(ENTRY).add("c", 1, None, 0), Err(NotAdded::Full));
}

/// A full store in which the same entries are written again and again loses none.
#[test]
fn what_takes_its_own_place_needs_no_room() {
    let store = room_for(3);
    for turn in 0..100 {
        for key in ["a", "b", "c"] {
            set(&store, key, Some(1_000), turn);
            let swap = Swap { key, expected: Some(b"x"), value: Some(value(b"x")), ttl: Some(1_000) };
            assert_eq!(store.compare_and_swap(swap, turn), Ok(true));
        }
    }
    assert_eq!((keys(&store).as_str(), store.facts().evictions), ("abc", 0));
}

#[test]
fn ended_entries_are_thrown_out_by_whoever_writes() {
    let store = room_for(1_000);
    for number in 0..500 {
        set(&store, &format!("{number}"), Some(10), 0);
    }
    for _ in 0..500 {
        set(&store, "a", None, 10);
    }
    assert_eq!(keys(&store), "a");
    assert_eq!(store.facts(), StoreFacts { entries: 1, bytes: ENTRY, limit: 1_000 * ENTRY, evictions: 0 });
}

/// They go first where room is needed, but nobody has lost them.
#[test]
fn ended_entries_are_no_evictions() {
    let store = room_for(20);
    for number in 0..10 {
        set(&store, &number.to_string(), Some(10), 0);
    }
    let before = store.facts();
    store.set("large", value(&[0; 18 * ENTRY]), None, 10).unwrap();
    assert_eq!((before.evictions, store.facts().evictions, keys(&store)), (0, 0, "large".to_owned()));
}

#[test]
fn a_smaller_limit_throws_out_at_once() {
    let store = room_for(1_000);
    for number in 0..900_u64 {
        set(&store, &format!("{number:03}"), Some(1_000 - number), 0);
    }
    store.resize(10 * (ENTRY + 2), 0);
    assert_eq!(store.facts().entries, 10);
    assert!(store.get("000", 0).is_some() && store.get("899", 0).is_none());
}

#[test]
fn counters_saturate_and_keep_their_end() {
    let store = room_for(10);
    assert_eq!(store.add("a", i64::MAX, Some(100), 0), Ok(i64::MAX));
    let read = store.get("a", 0);
    assert_eq!(store.add("a", 1, Some(100), 50), Ok(i64::MAX));
    assert_eq!(store.add("a", -2, None, 99), Ok(i64::MAX - 2));
    assert_eq!(read, Some(value(&i64::MAX.to_le_bytes())), "what was read does not change");
    assert_eq!(store.add("a", 7, None, 100), Ok(7), "a new one");
    set(&store, "b", None, 0);
    assert_eq!(store.add("b", 1, None, 0), Err(NotAdded::NotANumber));
}

#[derive(Debug, Clone)]
enum Operation {
    Get,
    Set(Vec<u8>, Option<u64>),
    Remove,
    Swap(Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>),
    Add(i64, Option<u64>),
    Wait(u64),
}

fn operation() -> impl Strategy<Value = (String, Operation)> {
    let key = "[a-e]{1,2}";
    let bytes = || prop_oneof![Just(vec![]), Just(b"x".to_vec()), Just(vec![7; 8]), Just(vec![1; 600])];
    let ttl = || prop_oneof![Just(None), (0..200_u64).prop_map(Some)];
    let operation = prop_oneof![
        Just(Operation::Get),
        (bytes(), ttl()).prop_map(|(value, ttl)| Operation::Set(value, ttl)),
        Just(Operation::Remove),
        (proptest::option::of(bytes()), proptest::option::of(bytes()), ttl())
            .prop_map(|(expected, value, ttl)| Operation::Swap(expected, value, ttl)),
        (any::<i64>(), ttl()).prop_map(|(delta, ttl)| Operation::Add(delta, ttl)),
        (0..100_u64).prop_map(Operation::Wait),
    ];
    (key, operation)
}

/// Never full.
#[derive(Default)]
struct Model(BTreeMap<String, (Vec<u8>, Option<u64>)>);

impl Model {
    fn get(&self, key: &str, now: u64) -> Option<Vec<u8>> {
        let (value, end) = self.0.get(key)?;
        end.is_none_or(|end| end > now).then(|| value.clone())
    }

    fn set(&mut self, key: &str, value: Option<Vec<u8>>, end: Option<u64>) {
        match value {
            Some(value) => self.0.insert(key.to_owned(), (value, end)),
            None => self.0.remove(key),
        };
    }
}

proptest! {
    #[test]
    fn is_a_plain_map(operations in proptest::collection::vec(operation(), 1..200)) {
        let (store, mut model, mut now) = (Memory::new(1 << 20), Model::default(), 0);
        for (key, operation) in &operations {
            let end = |ttl: &Option<u64>| ttl.map(|ttl| now + ttl);
            let before = model.get(key, now);
            match operation {
                Operation::Get => {}
                Operation::Set(bytes, ttl) => {
                    store.set(key, value(bytes), *ttl, now).unwrap();
                    model.set(key, Some(bytes.clone()), end(ttl));
                }
                Operation::Remove => {
                    prop_assert_eq!(store.remove(key, now), before.is_some());
                    model.set(key, None, None);
                }
                Operation::Swap(expected, new, ttl) => {
                    let new_value = new.as_deref().map(value);
                    let swap = Swap { key, expected: expected.as_deref(), value: new_value, ttl: *ttl };
                    let swapped = store.compare_and_swap(swap, now).unwrap();
                    prop_assert_eq!(swapped, before == *expected);
                    if swapped {
                        model.set(key, new.clone(), end(ttl));
                    }
                }
                Operation::Add(delta, ttl) => {
                    let number = before.as_deref().map_or(Some(0), |bytes| bytes.try_into().ok().map(i64::from_le_bytes));
                    let sum = number.map(|number| number.saturating_add(*delta)).ok_or(NotAdded::NotANumber);
                    prop_assert_eq!(store.add(key, *delta, *ttl, now), sum);
                    if let Ok(sum) = sum {
                        let end = if before.is_some() { model.0[key].1 } else { end(ttl) };
                        model.set(key, Some(sum.to_le_bytes().to_vec()), end);
                    }
                }
                Operation::Wait(time) => now += time,
            }
            prop_assert_eq!(store.get(key, now).map(|value| value.to_vec()), model.get(key, now));
            consistent(&store);
        }
    }

    #[test]
    fn never_holds_more_than_its_limit(operations in proptest::collection::vec(operation(), 1..300)) {
        let (store, mut now) = (Memory::new(4 * ENTRY), 0);
        for (key, operation) in operations {
            match operation {
                Operation::Set(bytes, ttl) => {
                    let fits = Memory::cost(&key, &bytes) <= 4 * ENTRY;
                    prop_assert_eq!(store.set(&key, value(&bytes), ttl, now).is_ok(), fits);
                    let there = store.get(&key, now).is_some();
                    prop_assert!(!fits || ttl == Some(0) || there, "what was just written is there");
                }
                Operation::Add(delta, ttl) => drop(store.add(&key, delta, ttl, now)),
                Operation::Swap(expected, new, ttl) => {
                    let new = new.as_deref().map(value);
                    let swap = Swap { key: &key, expected: expected.as_deref(), value: new, ttl };
                    let _ = store.compare_and_swap(swap, now);
                }
                Operation::Remove => drop(store.remove(&key, now)),
                Operation::Get => drop(store.get(&key, now)),
                Operation::Wait(time) => now += time,
            }
            consistent(&store);
            prop_assert!(store.facts().bytes <= 4 * ENTRY);
        }
    }
}

/// The map, the order and the sum say the same.
#[track_caller]
fn consistent(store: &Memory) {
    let mut ranks: Vec<Rank> = store.entries.iter().map(|entry| entry.rank).collect();
    let mut order: Vec<Rank> =
        store.ends.iter().flat_map(|ends| ends.order().map.keys().copied().collect::<Vec<_>>()).collect();
    ranks.sort();
    order.sort();
    assert_eq!(ranks, order);
    let bytes: usize = store.entries.iter().map(|entry| Memory::cost(entry.key(), &entry.value)).sum();
    assert_eq!(store.facts().bytes, bytes);
    for ends in &store.ends {
        let first = ends.order().map.keys().next().map_or(u64::MAX, |rank| rank.end);
        assert_eq!(ends.first.load(Relaxed), first);
    }
}

#[test]
fn many_threads_lose_nothing() {
    const THREADS: u64 = 8;
    const TURNS: u64 = 5_000;
    let store = Memory::new(1 << 20);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TURNS {
                    store.add("sum", 1, None, 0).unwrap();
                    loop {
                        let old = store.get("swapped", 0);
                        let number = old.as_deref().map_or(0, |old| u64::from_le_bytes(old.try_into().unwrap()));
                        let new = Some(value(&(number + 1).to_le_bytes()));
                        let swap = Swap { key: "swapped", expected: old.as_deref(), value: new, ttl: None };
                        if store.compare_and_swap(swap, 0).unwrap() {
                            break;
                        }
                    }
                }
            });
        }
    });
    let number = |key| u64::from_le_bytes((*store.get(key, 0).unwrap()).try_into().unwrap());
    assert_eq!((number("sum"), number("swapped")), (THREADS * TURNS, THREADS * TURNS));
    consistent(&store);
}

/// What they write together never makes the sum wrong, and ends within the limit.
#[test]
fn many_threads_in_a_full_store_stay_within_it() {
    const LIMIT: usize = 50 * ENTRY;
    let store = Memory::new(LIMIT);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let store = &store;
            scope.spawn(move || {
                for turn in 0..20_000_u64 {
                    let key = format!("{}", (turn * 7 + thread) % 120);
                    let ttl = (turn % 3 > 0).then_some(turn % 50);
                    match turn % 5 {
                        0 => drop(store.remove(&key, turn / 100)),
                        1 => drop(store.add(&key, 1, ttl, turn / 100)),
                        2 => {
                            let swap = Swap { key: &key, expected: Some(b"x"), value: Some(value(b"xyz")), ttl };
                            store.compare_and_swap(swap, turn / 100).map(drop).unwrap();
                        }
                        _ => set(store, &key, ttl, turn / 100),
                    }
                    // Eight entries may be on their way.
                    assert!(store.facts().bytes <= LIMIT + 16 * (ENTRY + 10), "{:?}", store.facts());
                }
            });
        }
    });
    consistent(&store);
    assert!(store.facts().bytes <= LIMIT);
}
