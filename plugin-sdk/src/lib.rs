//! Write Jackfield plugins in Rust: a type, a trait and one macro line for each kind.
//!
//! The shortest balancer:
//!
//! ```
//! use jackfield_plugin::{Balancer, PickContext, endpoints};
//!
//! struct First;
//!
//! impl Balancer for First {
//!     fn configure(_settings: &str) -> Result<Self, String> {
//!         Ok(First)
//!     }
//!     fn pick(&mut self, context: &PickContext) -> Option<u32> {
//!         (0..context.endpoints).find(|&endpoint| endpoints::eligible(endpoint))
//!     }
//! }
//! jackfield_plugin::balancer!(First);
//! ```
//!
//! Build it as a `cdylib` for `wasm32-unknown-unknown`, make it a component
//! (`wasm-tools component new`), put it into the proxy's plugins folder: its file name is its name.
//!
//! An HTTP filter is the same with [`HttpFilter`] and [`http_filter!`]. One crate may have both lines.
//! What a plugin is beside its kind follows its type in the line: [`Replies`] to requests of its own
//! ([`http`]), [`Refreshing`] by a timer, a [`BodyFilter`].
//!
//! # The host
//!
//! What a plugin can ask and do stands in modules named like the interfaces of the contract
//! (`wit/jackfield.wit`): [`endpoints`], [`request`], [`delegate`], [`reply`], [`counters`],
//! [`clock`], [`random`], and for filters [`prepared_edits`], [`request_edit`] and [`response`]. With a
//! line in the configuration, `grants = ["log", "metrics", "state:NAME"]`, there are also [`log`],
//! [`metrics`] and [`state`]. A component imports only what it calls.
//!
//! # Tests
//!
//! On every target but wasm32 the same functions ask a mock host of the current thread
#![cfg_attr(not(target_arch = "wasm32"), doc = "([`mock`]),")]
#![cfg_attr(target_arch = "wasm32", doc = "(`mock`),")]
//! so that plain `cargo test` tests a plugin's logic:
//!
#![cfg_attr(not(target_arch = "wasm32"), doc = "```")]
#![cfg_attr(target_arch = "wasm32", doc = "```ignore")]
//! use jackfield_plugin::{endpoints, mock};
//!
//! mock::Host::with_endpoints(3).install();
//! mock::host(|host| host.endpoints[1].active = 7);
//! assert_eq!(endpoints::active(1), 7);
//! ```

// The generated export macros name the crate by its name, here as in a plugin.
extern crate self as jackfield_plugin;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub use wit_bindgen;

mod balancer;
mod body;
mod extras;
mod http_filter;
#[doc(hidden)]
pub mod refreshing;

mod host;
mod raw;

pub mod hash;
pub mod http;
mod least;
mod lottery;
pub mod metrics;
pub mod settings;
pub mod state;

#[cfg(not(target_arch = "wasm32"))]
pub mod mock;

pub use balancer::{Balancer, BalancerInstance, EndpointSet, EndpointState, PickContext};
pub use body::{BodyFilter, Delivery, Verdict, Wishes};
pub use host::{
    clock, counters, delegate, endpoints, log, prepared_edits, random, reply, request, request_edit, response,
};
pub use http::Replies;
pub use http_filter::{FilterContext, FilterInstance, HttpFilter, Phases};
pub use least::least;
pub use lottery::Lottery;
pub use refreshing::Refreshing;

pub use bindings::balancer::jackfield::plugin::edits::EditError;
pub use bindings::balancer::jackfield::plugin::types::{Address, Protocol};

/// How the contract says "none" where a `u32` may be absent.
pub const NONE: u32 = u32::MAX;
