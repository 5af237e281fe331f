//! `state`: key-value stores that all workers and instances share.

use super::Host;
use crate::plugin::bindings::jackfield::plugin::state::{self, StateError};

impl state::Host for Host {
    fn open(&mut self, _name: String) -> Result<u32, StateError> {
        Err(StateError::NotGranted)
    }

    fn get(&mut self, _store: u32, _key: String) -> Option<Vec<u8>> {
        None
    }

    fn set(&mut self, _store: u32, _key: String, _value: Vec<u8>, _ttl: Option<u64>) -> Result<(), StateError> {
        Err(StateError::Malformed)
    }

    fn remove(&mut self, _store: u32, _key: String) -> bool {
        false
    }

    fn compare_and_swap(
        &mut self,
        _store: u32,
        _key: String,
        _expected: Option<Vec<u8>>,
        _value: Option<Vec<u8>>,
        _ttl: Option<u64>,
    ) -> Result<bool, StateError> {
        Err(StateError::Malformed)
    }

    fn add(&mut self, _store: u32, _key: String, _delta: i64, _ttl: Option<u64>) -> Result<i64, StateError> {
        Err(StateError::Malformed)
    }
}
