//! The host functions that filters call on every request, without the copies that `bindgen!` makes
//! of text: names and values are read where they lie in the plugin's memory. They stand in the
//! linker in the place of the generated ones; so do those that take much text, or text for nothing.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

use super::request_edit::{append_value, join_value, set_value};
use super::{Host, header_name, text};
use crate::endpoint::stable_hash;
use crate::plugin::bindings::jackfield::plugin::edits::EditError;
use crate::plugin::log::Level;

type Store<'a> = StoreContextMut<'a, Host>;
type Edit = fn(&mut HeaderMap, &HeaderName, HeaderValue) -> Result<(), EditError>;

pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut edits = linker.instance("jackfield:plugin/request-edit@0.1.0")?;
    for (name, edit) in
        [("set-header", set_value as Edit), ("append-header", append_value), ("join-header", join_value)]
    {
        edits.func_wrap(name, move |mut store: Store<'_>, (name, value): (WasmStr, WasmStr)| {
            let (name, value) = (name.to_str(&store)?, value.to_str(&store)?);
            let bytes = value.len();
            let line = header_name(&name).and_then(|name| Ok((name, own_value(&value)?)));
            let edited =
                line.and_then(|(name, value)| edit(&mut store.data_mut().request_mut(bytes)?.headers, &name, value));
            Ok((edited,))
        })?;
    }
    edits.func_wrap("copy-header", |mut store: Store<'_>, (source, name): (WasmStr, WasmStr)| {
        let value = store.data().first(&source.to_str(&store)?).cloned();
        let name = header_name(&name.to_str(&store)?);
        let copied = name.and_then(|name| store.data_mut().set_copied(&name, value));
        Ok((copied,))
    })?;
    let mut request = linker.instance("jackfield:plugin/request@0.1.0")?;
    request.func_wrap("header", |store: Store<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        Ok((store.data().first(&name).and_then(text),))
    })?;
    request.func_wrap("header-hash", |store: Store<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        Ok((store.data().first(&name).map(|value| stable_hash(value.as_bytes())),))
    })?;
    request.func_wrap("cookie-hash", |store: Store<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let value = store.data().exchange.as_deref().and_then(|exchange| exchange.cookie(&name));
        Ok((value.map(|value| stable_hash(value.as_bytes())),))
    })?;
    // Most lines of a flood are never read.
    let mut log = linker.instance("jackfield:plugin/log@0.1.0")?;
    log.func_wrap("write", |store: Store<'_>, (level, message): (Level, WasmStr)| {
        if let Some(pass) = store.data().usage.may_say(level) {
            store.data().usage.say(pass, level, None, &message.to_str(&store)?);
        }
        Ok(())
    })?;
    super::state::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn own_value(value: &str) -> Result<HeaderValue, EditError> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| EditError::Malformed)
}
