//! Harness of the end-to-end tests: the real program, real sockets, real clients.
//!
//! Everything here is blocking and panics when something is not as expected: a test reads as what
//! it says. Nothing sleeps to let something happen; [`wait_for`] looks until a deadline.

#![allow(clippy::missing_panics_doc, reason = "a harness fails by panicking")]

pub mod authority;
pub mod client;
pub mod declarations;
pub mod host;
pub mod http2;
pub mod lines;
pub mod message;
pub mod origin;
pub mod proxy;
pub mod raw;
pub mod tool;

use std::time::{Duration, Instant};

pub use authority::Authority;
pub use client::Client;
pub use message::{Head, Message};
pub use origin::Origin;
pub use proxy::Proxy;
pub use raw::RawOrigin;

/// Long enough for a busy machine; nothing that works waits so long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something, and panics at the [`DEADLINE`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Looks until it is so.
#[track_caller]
pub fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    wait_for(what, || look().then_some(()));
}

/// The program under test; only a test target knows where it is built.
#[macro_export]
macro_rules! program {
    () => {
        env!("CARGO_BIN_EXE_jackfield-under-test")
    };
}
