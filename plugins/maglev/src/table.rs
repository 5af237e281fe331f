//! The table: which endpoint has which slot.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use jackfield_plugin::{EndpointSet, hash};

const FREE: u32 = u32::MAX;

/// An endpoint while it claims slots.
struct Claimant {
    id: u64,
    position: u32,
    weight: u64,
    /// Its turns so far.
    turns: u64,
    /// The next slot of its permutation, and the step from one to the next.
    slot: u32,
    step: u32,
}

pub struct Table {
    slots: Vec<u32>,
    size: u32,
    /// Kept for its memory: updates come on a worker's thread.
    claimants: Vec<Claimant>,
}

impl Table {
    /// An empty one of `size` slots, a prime.
    pub fn new(size: u32) -> Self {
        Self {
            slots: Vec::new(),
            size,
            claimants: Vec::new(),
        }
    }

    /// Once around the table from the key's slot.
    #[inline]
    pub fn from(&self, key: u64) -> impl Iterator<Item = u32> {
        let slot = hash::below((key >> 32) as u32, self.slots.len() as u32) as usize;
        let (before, from) = self.slots.split_at_checked(slot).unwrap_or_default();
        from.iter().chain(before).copied()
    }

    /// Lets the endpoints at these positions claim all slots anew.
    pub fn fill(&mut self, endpoints: &EndpointSet, positions: &[u32]) {
        self.slots.clear();
        if positions.is_empty() {
            return;
        }
        self.slots.resize(self.size as usize, FREE);
        let size = self.size;
        let claimant = |&position: &u32| Claimant::new(endpoints, position, size);
        self.claimants.clear();
        self.claimants.extend(positions.iter().map(claimant));
        // Whatever their positions: all proxies must come to the same table.
        self.claimants.sort_unstable_by_key(|claimant| claimant.id);
        self.claim_in_turns();
    }

    /// In a round everyone of the largest weight has a turn, the others when their weight adds up to
    /// one; a heap says who is next, as most would not be in a round where weights differ much.
    fn claim_in_turns(&mut self) {
        let largest = self.claimants.iter().map(|c| c.weight).max().unwrap_or(1);
        let order = 0u32..;
        let mut turns: BinaryHeap<Reverse<(u64, u32)>> = order
            .zip(&self.claimants)
            .map(|(order, claimant)| Reverse((claimant.next_round(largest), order)))
            .collect();
        for _ in 0..self.slots.len() {
            let Some(mut turn) = turns.peek_mut() else {
                return;
            };
            let claimant = &mut self.claimants[turn.0.1 as usize];
            claimant.claim(&mut self.slots);
            turn.0.0 = claimant.next_round(largest);
            drop::<PeekMut<_>>(turn); // which puts it into its new place
        }
    }
}

impl Claimant {
    fn new(endpoints: &EndpointSet, position: u32, size: u32) -> Self {
        let id = endpoints.ids[position as usize];
        let hash = hash::mix(id);
        let other = hash::mix(hash ^ 0x9e37_79b9_7f4a_7c15);
        Self {
            id,
            position,
            weight: endpoints.weight(position).max(1).into(),
            turns: 0,
            slot: (hash % u64::from(size)) as u32,
            // As the size is a prime, every step from 1 on goes through all slots.
            step: (other % u64::from(size - 1)) as u32 + 1,
        }
    }

    /// The round of its next turn.
    fn next_round(&self, largest: u64) -> u64 {
        ((self.turns + 1) * largest).div_ceil(self.weight)
    }

    /// Takes the first slot of its permutation that is free; there is one.
    fn claim(&mut self, slots: &mut [u32]) {
        self.turns += 1;
        loop {
            let here = self.slot as usize;
            self.slot += self.step;
            if self.slot as usize >= slots.len() {
                self.slot -= slots.len() as u32;
            }
            if slots[here] == FREE {
                slots[here] = self.position;
                return;
            }
        }
    }
}
