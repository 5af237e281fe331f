//! The table: which endpoint has which slot.

use std::cmp::Reverse;

use jackfield_plugin::{EndpointSet, hash};

/// Who has which slot.
#[derive(Default)]
struct Slots {
    owners: Vec<u32>,
    /// One bit for each slot. Nearly all of the work is to find a free one, and these few KiB stay in
    /// the fastest cache.
    taken: Vec<u64>,
    free: usize,
}

/// An endpoint while it claims slots.
struct Claimant {
    id: u64,
    position: u32,
    weight: u32,
    /// The next slot of its permutation, and the step from one to the next.
    slot: u32,
    step: u32,
}

/// All endpoints of one weight: they have their turns in the same rounds.
struct Group {
    members: std::ops::Range<usize>,
    weight: u32,
    /// What the rounds without a turn have added up to.
    credit: u32,
}

/// Keeps its memory from one update to the next: they come on a worker's thread.
pub struct Table {
    size: u32,
    slots: Slots,
    claimants: Vec<Claimant>,
}

impl Table {
    /// An empty one of `size` slots, a prime.
    pub fn new(size: u32) -> Self {
        Self { size, slots: Slots::default(), claimants: Vec::new() }
    }

    /// Once around the table from the key's slot.
    #[inline]
    pub fn from(&self, key: u64) -> impl Iterator<Item = u32> {
        let owners = &self.slots.owners;
        let slot = hash::below((key >> 32) as u32, owners.len() as u32) as usize;
        let (before, from) = owners.split_at_checked(slot).unwrap_or_default();
        from.iter().chain(before).copied()
    }

    /// Lets the endpoints at these positions claim all slots anew.
    pub fn fill(&mut self, endpoints: &EndpointSet, positions: &[u32]) {
        let size = if positions.is_empty() { 0 } else { self.size };
        self.slots.reset(size as usize);
        let claimant = |&position: &u32| Claimant::new(endpoints, position, size);
        self.claimants.clear();
        self.claimants.extend(positions.iter().map(claimant));
        // Whatever their positions: all proxies must come to the same table.
        self.claimants.sort_unstable_by_key(|claimant| (Reverse(claimant.weight), claimant.id));
        self.claim_in_rounds();
    }

    /// In a round everyone of the largest weight has a turn, the others when their weights add up to
    /// it.
    fn claim_in_rounds(&mut self) {
        let mut groups = groups(&self.claimants);
        let largest = groups.first().map_or(1, |group| group.weight);
        while self.slots.free > 0 {
            for group in &mut groups {
                group.credit += group.weight;
                if group.credit < largest {
                    continue;
                }
                group.credit -= largest;
                for claimant in &mut self.claimants[group.members.clone()] {
                    claimant.claim(&mut self.slots);
                }
            }
        }
    }
}

fn groups(claimants: &[Claimant]) -> Vec<Group> {
    let mut end = 0;
    let equal = claimants.chunk_by(|one, next| one.weight == next.weight);
    equal
        .map(|group| {
            let start = end;
            end += group.len();
            Group { members: start..end, weight: group[0].weight, credit: 0 }
        })
        .collect()
}

impl Claimant {
    fn new(endpoints: &EndpointSet, position: u32, size: u32) -> Self {
        let id = endpoints.ids[position as usize];
        let hash = hash::mix(id);
        let other = hash::mix(hash ^ 0x9e37_79b9_7f4a_7c15);
        Self {
            id,
            position,
            weight: endpoints.weight(position),
            slot: (hash % u64::from(size)) as u32,
            // As the size is a prime, every step from 1 on goes through all slots.
            step: (other % u64::from(size - 1)) as u32 + 1,
        }
    }

    /// Takes the first slot of its permutation that is free, if there is one at all.
    fn claim(&mut self, slots: &mut Slots) {
        if slots.free == 0 {
            return;
        }
        let size = slots.owners.len() as u32;
        let mut slot = self.slot;
        while slots.is_taken(slot) {
            slot = self.after(slot, size);
        }
        slots.take(slot, self.position);
        self.slot = self.after(slot, size);
    }

    #[inline]
    fn after(&self, slot: u32, size: u32) -> u32 {
        let next = slot + self.step;
        if next < size { next } else { next - size }
    }
}

impl Slots {
    fn reset(&mut self, size: usize) {
        self.free = size;
        self.owners.clear();
        self.owners.resize(size, 0);
        self.taken.clear();
        self.taken.resize(size.div_ceil(64), 0);
    }

    #[inline]
    fn is_taken(&self, slot: u32) -> bool {
        self.taken[slot as usize / 64] & (1 << (slot % 64)) != 0
    }

    fn take(&mut self, slot: u32, position: u32) {
        self.taken[slot as usize / 64] |= 1 << (slot % 64);
        self.owners[slot as usize] = position;
        self.free -= 1;
    }
}
