//! The only door to Wasm. A plugin is loaded ([`Library`]), put to use in a configuration
//! ([`Usage`]), and called through a worker's own [`Balancer`] or [`Filter`]. Knows no server and
//! no socket, and no plugin by name.

mod balancer;
mod bindings;
mod body;
mod cache;
mod choice;
mod component;
mod deadline;
mod engine;
mod exchange;
mod filter;
mod host;
mod instance;
mod library;
mod relay;
mod usage;

pub use balancer::{Balancer, Decision};
pub use body::{Delivery, Side, Verdict};
pub use choice::Choice;
pub use component::{Inspection, LoadError, Plugin};
pub use engine::Engine;
pub use exchange::{Answer, Client, Exchange, Protocol};
pub use filter::{Filter, Outcome};
pub use library::{FileProblem, Library};
pub use usage::{Health, Names, Totals, Usage};
