//! `http`: requests of a plugin's own, to upstreams that it is granted.

use super::Host;
use crate::plugin::bindings::jackfield::plugin::http::{self, Outgoing, SendError};

impl http::Host for Host {
    fn send(&mut self, _request: Outgoing) -> Result<u32, SendError> {
        Err(SendError::NotGranted)
    }
}
