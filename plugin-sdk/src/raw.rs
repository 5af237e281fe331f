//! The host functions as the contract has them: the component's imports, or the mock host's answers.

#[cfg(target_arch = "wasm32")]
pub use crate::bindings::{
    balancer::jackfield::plugin::{
        clock, counters, delegate, endpoints, http, log, metrics, random, reply, request, state,
    },
    http_filter::jackfield::plugin::{prepared_edits, request_edit, response},
};

#[cfg(not(target_arch = "wasm32"))]
pub use crate::mock::{granted::*, imports::*};
