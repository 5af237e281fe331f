//! What is left to choose from for one request: everything healthy, less what was tried, within
//! the candidates of the balancers further out.

use crate::endpoint::EndpointSet;

#[derive(Debug, Default)]
pub struct Choice {
    /// Endpoint ids, in the order in which they were tried: ids, because an update between two
    /// tries may move positions.
    tried: Vec<u64>,
    /// Positions, ascending; none means all.
    candidates: Option<Vec<u32>>,
}

impl Choice {
    pub fn mark_tried(&mut self, id: u64) {
        self.tried.push(id);
    }

    /// How many tries there were.
    pub fn attempts(&self) -> u32 {
        self.tried.len() as u32
    }

    pub fn is_tried(&self, set: &EndpointSet, index: u32) -> bool {
        !self.tried.is_empty()
            && set.endpoints.get(index as usize).is_some_and(|endpoint| self.tried.contains(&endpoint.id))
    }

    pub fn is_candidate(&self, index: u32) -> bool {
        self.candidates.as_ref().is_none_or(|list| list.binary_search(&index).is_ok())
    }

    /// Whether an endpoint may be chosen on purpose, whatever its state.
    pub fn allows(&self, set: &EndpointSet, index: u32) -> bool {
        (index as usize) < set.len() && self.is_candidate(index) && !self.is_tried(set, index)
    }

    pub fn is_eligible(&self, set: &EndpointSet, index: u32) -> bool {
        set.is_healthy(index as usize) && self.allows(set, index)
    }

    pub fn eligible_count(&self, set: &EndpointSet) -> u32 {
        if self.tried.is_empty() && self.candidates.is_none() {
            return set.healthy();
        }
        self.eligible(set).count() as u32
    }

    pub fn eligible<'a>(&'a self, set: &'a EndpointSet) -> impl Iterator<Item = u32> + 'a {
        (0..set.len() as u32).filter(|index| self.is_eligible(set, *index))
    }

    /// Narrows to these positions of so many (and to what it was narrowed to before); answers what to hand
    /// to [`Choice::widen`].
    pub fn narrow(&mut self, positions: &[u32], endpoints: usize) -> Option<Vec<u32>> {
        let mut named = vec![false; endpoints];
        for position in positions {
            if let Some(named) = named.get_mut(*position as usize) {
                *named = true;
            }
        }
        let kept = |index: &u32| named[*index as usize] && self.is_candidate(*index);
        let candidates = (0..endpoints as u32).filter(kept).collect();
        self.candidates.replace(candidates)
    }

    pub fn widen(&mut self, before: Option<Vec<u32>>) {
        self.candidates = before;
    }
}
