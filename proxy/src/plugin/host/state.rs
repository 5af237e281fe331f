//! `state`: key-value stores that all workers and instances share. What a filter may call for each
//! request reads keys and values where they lie in the plugin's memory, as in `hot`.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList, WasmStr};

use super::Host;
use crate::clock;
use crate::plugin::bindings::jackfield::plugin::state::{self, StateError};
use crate::plugin::state::{Full, NotAdded, Store, Swap, Value};

const LONGEST_KEY: usize = 1 << 10;
const LONGEST_VALUE: usize = 64 << 10;

type Context<'a> = StoreContextMut<'a, Host>;

/// In the place of the generated ones.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut state = linker.instance("jackfield:plugin/state@0.1.0")?;
    state.func_wrap("get", |context: Context<'_>, (store, key): (u32, WasmStr)| {
        let key = key.to_str(&context)?;
        Ok((context.data().store(store, &key).ok().and_then(|store| store.get(&key, now())),))
    })?;
    state.func_wrap(
        "set",
        |context: Context<'_>, (store, key, value, ttl): (u32, WasmStr, WasmList<u8>, Option<u64>)| {
            let (key, value) = (key.to_str(&context)?, value.as_le_slice(&context));
            let store = context.data().store(store, &key);
            let set = store.and_then(|store| Ok(store.set(&key, checked(value)?, ttl, now())?));
            Ok((set,))
        },
    )?;
    state.func_wrap("add", |context: Context<'_>, (store, key, delta, ttl): (u32, WasmStr, i64, Option<u64>)| {
        let key = key.to_str(&context)?;
        let store = context.data().store(store, &key);
        Ok((store.and_then(|store| Ok(store.add(&key, delta, ttl, now())?)),))
    })
}

impl Host {
    /// The store of this number, for this key.
    fn store(&self, number: u32, key: &str) -> Result<&dyn Store, StateError> {
        let granted = self.usage.stores.get(number as usize).filter(|_| key.len() <= LONGEST_KEY);
        granted.map(|(_, store)| &**store).ok_or(StateError::Malformed)
    }
}

impl state::Host for Host {
    fn open(&mut self, name: String) -> Result<u32, StateError> {
        let granted = self.usage.stores.iter().position(|(granted, _)| **granted == *name);
        granted.map(|number| number as u32).ok_or(StateError::NotGranted)
    }

    fn get(&mut self, store: u32, key: String) -> Option<Vec<u8>> {
        Some(self.store(store, &key).ok()?.get(&key, now())?.to_vec())
    }

    fn set(&mut self, store: u32, key: String, value: Vec<u8>, ttl: Option<u64>) -> Result<(), StateError> {
        Ok(self.store(store, &key)?.set(&key, checked(&value)?, ttl, now())?)
    }

    fn remove(&mut self, store: u32, key: String) -> bool {
        self.store(store, &key).is_ok_and(|store| store.remove(&key, now()))
    }

    fn compare_and_swap(
        &mut self,
        store: u32,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        ttl: Option<u64>,
    ) -> Result<bool, StateError> {
        let value = value.as_deref().map(checked).transpose()?;
        let swap = Swap { key: &key, expected: expected.as_deref(), value, ttl };
        Ok(self.store(store, &key)?.compare_and_swap(swap, now())?)
    }

    fn add(&mut self, store: u32, key: String, delta: i64, ttl: Option<u64>) -> Result<i64, StateError> {
        Ok(self.store(store, &key)?.add(&key, delta, ttl, now())?)
    }
}

/// The proxy's own clock, not the plugin's, which stands still during a call.
fn now() -> u64 {
    clock::elapsed().as_millis() as u64
}

fn checked(value: &[u8]) -> Result<Value, StateError> {
    if value.len() <= LONGEST_VALUE { Ok(value.into()) } else { Err(StateError::Malformed) }
}

impl From<Full> for StateError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl From<NotAdded> for StateError {
    fn from(error: NotAdded) -> Self {
        match error {
            NotAdded::Full => Self::Full,
            NotAdded::NotANumber => Self::NotANumber,
        }
    }
}
