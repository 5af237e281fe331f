//! Key-value stores in the proxy's memory, shared by all workers and by every plugin that is granted
//! the same store. They outlive instances, reloads and new versions of a plugin, not the process.
//!
//! The use needs the grant `state:NAME`:
//!
//! ```toml
//! filters = [{ plugin = "quota", grants = ["state:quota"] }]
//! ```
//!
//! A counter for each client and minute, here that of a filter:
//!
//! ```
//! use std::time::Duration;
//! use jackfield_plugin::{request, request_edit, state};
//!
//! struct Quota {
//!     store: state::Store,
//! }
//!
//! impl Quota {
//!     fn configure() -> Result<Self, String> {
//!         Ok(Self { store: state::Store::open("quota").map_err(|error| error.message().to_owned())? })
//!     }
//!     fn on_request(&mut self) {
//!         let key = request::client_address();
//!         let asked = self.store.add(&key, 1, Some(Duration::from_secs(60)));
//!         if asked.is_ok_and(|asked| asked > 100) {
//!             let _ = request_edit::answer(429, &[], b"too many requests\n");
//!         }
//!     }
//! }
//! # #[cfg(not(target_arch = "wasm32"))]
//! # {
//! # use jackfield_plugin::mock;
//! # mock::Host::default().store("quota").install();
//! # let mut quota = Quota::configure().unwrap();
//! # (0..101).for_each(|_| quota.on_request());
//! # assert!(mock::host(|host| host.answer.is_some()));
//! # }
//! ```

use std::time::Duration;

pub use crate::bindings::balancer::jackfield::plugin::state::StateError;
use crate::raw;

/// A store that this use is granted.
#[derive(Clone, Copy, Debug)]
pub struct Store(u32);

impl Store {
    /// Best done once, in `configure`. Refused with [`StateError::NotGranted`].
    pub fn open(name: &str) -> Result<Self, StateError> {
        raw::state::open(name).map(Self)
    }

    /// What was set, unless it has ended or had to make room.
    pub fn get(self, key: &str) -> Option<Vec<u8>> {
        raw::state::get(self.0, key)
    }

    /// The same as text; none when it is not UTF-8.
    pub fn get_text(self, key: &str) -> Option<String> {
        String::from_utf8(self.get(key)?).ok()
    }

    /// A number, as [`add`](Self::add) keeps it.
    pub fn get_number(self, key: &str) -> Option<i64> {
        self.get(key)?.try_into().ok().map(i64::from_le_bytes)
    }

    /// For so long from now; `None`: until it is removed.
    pub fn set(self, key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<(), StateError> {
        raw::state::set(self.0, key, value.as_ref(), millis(ttl))
    }

    /// Whether there was such an entry.
    pub fn remove(self, key: &str) -> bool {
        raw::state::remove(self.0, key)
    }

    /// Writes `value` (`None`: removes) when the entry is what was `expected` (`None`: absent), as one
    /// step; answers whether it was.
    pub fn compare_and_swap(
        self,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl: Option<Duration>,
    ) -> Result<bool, StateError> {
        raw::state::compare_and_swap(self.0, key, expected, value, millis(ttl))
    }

    /// Adds to a number (absent: 0), as one step, and answers the sum, saturating. `ttl` counts from
    /// when the entry was made.
    pub fn add(self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StateError> {
        raw::state::add(self.0, key, delta, millis(ttl))
    }
}

/// What is longer than the clock is without end.
fn millis(ttl: Option<Duration>) -> Option<u64> {
    ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}
