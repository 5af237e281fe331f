//! Which tier serves a request. Balancers know nothing of tiers: theirs is the choice within one.

use std::hash::{BuildHasher, RandomState};

use crate::endpoint::{EndpointSet, Tier};
use crate::plugin::Choice;

/// Where there are several tiers, narrows a choice to the endpoints of one: drawn in proportion to
/// the traffic that each takes, or the next one in which somebody is left. Answers whether it did:
/// after the pick the choice is to be widened again.
pub(super) fn narrow(choice: &mut Choice, set: &EndpointSet) -> bool {
    if set.tiers.len() < 2 {
        return false;
    }
    let drawn = draw(&set.tiers);
    // Those behind it first: they are there to take over.
    let order = (drawn..set.tiers.len()).chain((0..drawn).rev());
    let has_room = |tier: &usize| set.tiers[*tier].positions.iter().any(|position| choice.is_eligible(set, *position));
    // Where nobody is left the balancer may still know somebody: a session's draining endpoint.
    let Some(tier) = { order }.find(has_room) else { return false };
    choice.narrow(&set.tiers[tier].positions, set.len());
    true
}

fn draw(tiers: &[Tier]) -> usize {
    let random = RandomState::new().hash_one(0) >> 11;
    let mut point = random as f64 / (1_u64 << 53) as f64;
    for (position, tier) in tiers.iter().enumerate() {
        if point < tier.share {
            return position;
        }
        point -= tier.share;
    }
    // The shares do not add up to one: rounding, or nobody is healthy.
    0
}
