//! The endpoint that costs least.

use crate::counters;

/// The endpoint of `set` whose cost is least. Equal ones take turns, by the shared counter 0: else
/// the first would get all that comes to an idle upstream.
pub fn least<C: PartialOrd + Copy>(set: &[u32], cost: impl Fn(u32) -> C) -> Option<u32> {
    let (&first, rest) = set.split_first()?;
    let (mut best, mut chosen, mut equals) = (cost(first), first, 1u64);
    for &endpoint in rest {
        let cost = cost(endpoint);
        if cost < best {
            (best, chosen, equals) = (cost, endpoint, 1);
        } else if cost == best {
            equals += 1;
        }
    }
    if equals == 1 {
        return Some(chosen);
    }
    let turn = counters::add(0, 1) % equals;
    let mut equal = set.iter().copied().filter(|&endpoint| cost(endpoint) == best);
    equal.nth(turn as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ones_take_turns() {
        let costs = [3, 1, 2, 1, 1];
        let picks: Vec<_> = (0..4).map(|_| least(&[0, 1, 2, 3, 4], |e| costs[e as usize]).unwrap()).collect();
        assert_eq!(picks, [1, 3, 4, 1]);
        assert_eq!(least(&[], |_| 0), None);
    }
}
