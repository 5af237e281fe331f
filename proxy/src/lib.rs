//! Jackfield: a programmable edge proxy whose balancing decisions and header changes are made by
//! sandboxed WebAssembly components.

pub mod clock;
pub mod config;
pub mod endpoint;
pub mod http;
pub mod plugin;
