//! A draw in proportion to weights.

use crate::hash::below;

/// Endpoints, each with as many tickets as its weight. One binary search to draw; none while all
/// weights are equal.
#[derive(Clone, Debug, Default)]
pub struct Lottery {
    entries: Vec<u32>,
    /// Where the tickets of each entry end. Empty while each has just one.
    ends: Vec<u64>,
}

impl Lottery {
    /// Entries and their weights. Those without weight are never drawn.
    pub fn new(weighted: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let mut total = 0u64;
        let (entries, mut ends): (Vec<u32>, Vec<u64>) = weighted
            .into_iter()
            .filter(|&(_, weight)| weight > 0)
            .map(|(entry, weight)| {
                total = total.saturating_add(weight);
                (entry, total)
            })
            .unzip();
        let first = ends.first().copied().unwrap_or(0);
        let equal = (1u64..).zip(&ends).all(|(nth, &end)| end == nth * first);
        if equal {
            ends = Vec::new();
        }
        Self { entries, ends }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One entry, drawn with 64 random bits.
    #[inline]
    pub fn draw(&self, random: u64) -> Option<u32> {
        let point = scale(random, self.total())?;
        self.entries.get(self.slot(point)).copied()
    }

    /// Two different entries, drawn one after the other without putting the first one back.
    #[inline]
    pub fn draw_two(&self, random: u64) -> Option<(u32, Option<u32>)> {
        let total = self.total();
        let first = self.slot(halved(random >> 32, total)?);
        let (start, end) = self.tickets(first);
        let second = halved(random, total - (end - start)).and_then(|point| {
            let skipped = if point < start { point } else { point + (end - start) };
            self.entries.get(self.slot(skipped)).copied()
        });
        Some((*self.entries.get(first)?, second))
    }

    fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or(self.entries.len() as u64)
    }

    fn slot(&self, point: u64) -> usize {
        if self.ends.is_empty() { point as usize } else { self.ends.partition_point(|&end| end <= point) }
    }

    fn tickets(&self, slot: usize) -> (u64, u64) {
        match self.ends.get(slot) {
            None => (slot as u64, slot as u64 + 1),
            Some(&end) => {
                let before = slot.checked_sub(1).and_then(|before| self.ends.get(before));
                (before.copied().unwrap_or(0), end)
            }
        }
    }
}

/// A number below `bound` from 64 random bits; none when there is no such number.
fn scale(random: u64, bound: u64) -> Option<u64> {
    match u32::try_from(bound) {
        Ok(bound) => (bound > 0).then(|| u64::from(below((random >> 32) as u32, bound))),
        Err(_) => Some(random % bound),
    }
}

/// The same from the lower 32 bits, so that one random number serves twice.
fn halved(random: u64, bound: u64) -> Option<u64> {
    match u32::try_from(bound) {
        Ok(bound) => (bound > 0).then(|| u64::from(below(random as u32, bound))),
        Err(_) => Some(crate::hash::mix(random) % bound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Random, assert_proportions};

    #[test]
    fn draws_in_proportion_to_the_weights() {
        for weights in [vec![1, 1, 1], vec![5, 1, 0, 3], vec![1 << 40, 3 << 40, 1 << 41]] {
            let lottery = Lottery::new((0..).zip(weights.clone()));
            let mut random = Random::new(1);
            let mut drawn = vec![0u64; weights.len()];
            let mut firsts = drawn.clone();
            for _ in 0..100_000 {
                drawn[lottery.draw(random.next()).unwrap() as usize] += 1;
                let (first, second) = lottery.draw_two(random.next()).unwrap();
                assert_ne!(Some(first), second);
                firsts[first as usize] += 1;
            }
            assert_proportions(&drawn, &weights);
            assert_proportions(&firsts, &weights);
        }
    }

    #[test]
    fn of_nothing_draws_nothing_and_of_one_draws_one() {
        assert_eq!(Lottery::new([]).draw(7), None);
        assert_eq!(Lottery::new([(4, 0)]).draw_two(7), None);
        assert_eq!(Lottery::new([(4, 9)]).draw_two(7), Some((4, None)));
    }
}
