//! The only door to Wasm. A plugin is loaded ([`Library`]), put to use in a configuration
//! ([`Usage`]), and called through a worker's own [`Balancer`] or [`Filter`]. Knows no server and
//! no socket, and no plugin by name.

mod ask;
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
mod health;
mod host;
mod instance;
mod library;
mod log;
mod metrics;
mod needs;
mod refresher;
mod relay;
mod state;
mod usage;
mod wrap;

pub use ask::{Ask, Asks, NoReply, Pending, Replied, Reply};
pub use balancer::{Balancer, Decision};
pub use body::{Delivery, Holding, Side, Verdict};
pub use choice::Choice;
pub use component::{Inspection, LoadError, Plugin};
pub use engine::Engine;
pub use exchange::{Answer, Client, Exchange, Protocol};
pub use filter::{Asking, Filter, Outcome};
pub use health::Health;
pub use instance::Failure;
pub use library::{FileProblem, Library};
pub use metrics::{Metric, Reading, Registry};
pub use refresher::Refresher;
pub use state::{Memory, Store, StoreFacts, Stores};
pub use usage::{Names, Timer, Totals, Usage};
pub use wrap::Wrapped;
