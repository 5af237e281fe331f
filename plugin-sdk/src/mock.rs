//! A host for tests: what the functions of the crate ask natively. It belongs to the current thread,
//! so tests do not see each other's.
//!
//! [`Host`] holds everything as plain public fields; [`install`](Host::install) makes one current,
//! [`host`] reads and changes the current one. [`walk`] drives a balancer through random changes.

mod bodies;
pub(crate) mod granted;
mod host;
pub(crate) mod http;
pub(crate) mod imports;
mod statistics;
mod walk;

use std::cell::RefCell;

pub use crate::bindings::balancer::jackfield::plugin::http::Outgoing;
pub use bodies::{MOST_AT_ONCE, pass_request, pass_response};
pub use granted::Store;
pub use host::{Delegate, Endpoint, Header, Host, Response};
pub use statistics::{assert_proportions, chi_square, chi_square_limit};
pub use walk::{Step, walk};

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host::default());
}

/// Reads or changes the current host.
pub fn host<R>(with: impl FnOnce(&mut Host) -> R) -> R {
    HOST.with_borrow_mut(with)
}

/// Evenly spread numbers, the same for the same seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait)] // it never ends: an iterator's Option would be noise
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::hash::mix(self.0)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
