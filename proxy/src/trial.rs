//! A plugin tried by its author: in the real plugin host, with no proxy around it. Cases that he
//! wrote, random input that he did not think of, and what a call costs. Knows no socket.

mod bench;
mod case;
mod fuzz;
mod journal;
mod judge;
mod life;
mod stage;
mod subject;

pub use bench::bench;
pub use case::{Score, run as run_cases};
pub use fuzz::{Order, fuzz, setups as fuzz_setups};
pub use journal::Journal;
pub use life::refusal;
pub use subject::{Subject, usage, usage_with_stores};
