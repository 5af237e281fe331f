//! A worker's own part of an upstream: the balancer's warm instance, and a pool of connections
//! for each endpoint. Never leaves its thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::pool::Pool;
use super::{Upstream, tier};
use crate::endpoint::{Active, Endpoint, EndpointSet};
use crate::plugin::{Balancer, Choice, Decision, Exchange};

pub struct Local {
    pub upstream: Arc<Upstream>,
    balancer: RefCell<Option<Balancer>>,
    members: RefCell<Members>,
}

/// The set that this worker knows, and a pool for each position in it.
struct Members {
    set: Arc<EndpointSet>,
    pools: Vec<Rc<Pool>>,
}

/// An endpoint, counted as active from now on.
pub struct Picked {
    pub active: Active,
    pub pool: Rc<Pool>,
}

/// Why there is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    #[error("no endpoint of the upstream can be chosen")]
    Nobody,
    #[error("the balancer failed")]
    BalancerFailed,
}

impl Local {
    pub fn new(upstream: Arc<Upstream>, balancer: Balancer) -> Self {
        let set = upstream.set();
        let members = Members { pools: set.endpoints.iter().map(|_| Rc::default()).collect(), set };
        Self { upstream, balancer: RefCell::new(Some(balancer)), members: RefCell::new(members) }
    }

    /// After a reload: connections to endpoints that are still there are kept, when they are made
    /// in the same way.
    pub fn inherit(&self, before: &Self) {
        let (old, new) = (&before.upstream.config, &self.upstream.config);
        if old.protocol == new.protocol && old.tls == new.tls {
            self.members.borrow_mut().take_pools(&before.members.borrow());
        }
    }

    /// One decision of the balancer. Whoever is chosen counts as tried: a further pick with the
    /// same choice is a retry.
    pub fn pick(&self, exchange: Box<Exchange>, choice: &mut Choice) -> (Box<Exchange>, Result<Picked, NoEndpoint>) {
        let mut members = self.members.borrow_mut();
        if !self.upstream.is_current(&members.set) {
            members.move_to(self.upstream.set());
        }
        // Calls never overlap on a worker, so the balancer is always here; a panic would not be
        // worth finding out otherwise.
        let Some(mut balancer) = self.balancer.take() else { return (exchange, Err(NoEndpoint::BalancerFailed)) };
        let narrowed = tier::narrow(choice, &members.set);
        let (exchange, decision) = balancer.pick(exchange, choice, &members.set);
        if narrowed {
            choice.widen(None);
        }
        self.balancer.replace(Some(balancer));
        let index = match decision {
            Decision::Endpoint(index) => index,
            Decision::Nobody => return (exchange, Err(NoEndpoint::Nobody)),
            Decision::Failed => return (exchange, Err(NoEndpoint::BalancerFailed)),
        };
        let (Some(endpoint), Some(pool)) = (members.set.endpoints.get(index), members.pools.get(index)) else {
            return (exchange, Err(NoEndpoint::BalancerFailed));
        };
        choice.mark_tried(endpoint.id);
        (exchange, Ok(Picked { active: Active::new(Arc::clone(endpoint)), pool: Rc::clone(pool) }))
    }

    /// Closes connections that idle for too long. Called now and then.
    pub fn sweep(&self) {
        for pool in &self.members.borrow().pools {
            pool.sweep(self.upstream.config.keep_alive);
        }
    }
}

impl Members {
    fn move_to(&mut self, set: Arc<EndpointSet>) {
        let mut next = Self { pools: set.endpoints.iter().map(|_| Rc::default()).collect(), set };
        next.take_pools(self);
        *self = next;
    }

    fn take_pools(&mut self, from: &Self) {
        // By address too: a name may lead elsewhere now.
        let key = |endpoint: &Endpoint| (endpoint.id, endpoint.config.address);
        let old: HashMap<(u64, SocketAddr), &Rc<Pool>> =
            from.set.endpoints.iter().map(|endpoint| key(endpoint)).zip(&from.pools).collect();
        for (endpoint, pool) in self.set.endpoints.iter().zip(&mut self.pools) {
            if let Some(kept) = old.get(&key(endpoint)) {
                *pool = Rc::clone(kept);
            }
        }
    }
}
