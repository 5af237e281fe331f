//! Jackfield: a programmable edge proxy whose balancing decisions and header changes are made by
//! sandboxed WebAssembly components.

pub mod admin;
pub mod body;
pub mod clock;
pub mod config;
pub mod control;
pub mod endpoint;
pub mod error;
pub mod handover;
pub mod health;
pub mod http;
pub mod inherit;
pub mod listener;
pub mod message;
pub mod plugin;
pub mod privileges;
pub mod program;
pub mod refresh;
pub mod route;
pub mod state;
pub mod systemd;
pub mod tcp;
pub mod telemetry;
pub mod tls;
pub mod trial;
pub mod udp;
pub mod upstream;
pub mod worker;

#[cfg(test)]
mod invariants;
