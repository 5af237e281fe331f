//! The host functions as the mock host has them: the same names and types as the generated imports.
#![allow(clippy::needless_pass_by_value)] // the generated signatures

use super::host::Header;
pub(crate) use super::http;
use crate::EditError;

type Edit = Result<(), EditError>;

/// Counts the call and asks the host.
fn ask<R>(with: impl FnOnce(&mut super::Host) -> R) -> R {
    super::host(|host| {
        host.calls += 1;
        with(host)
    })
}

fn first(headers: &[Header], name: &str) -> Option<Vec<u8>> {
    let name = name.to_ascii_lowercase();
    let found = headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.clone())
}

fn all(headers: &[Header], name: &str) -> Vec<Vec<u8>> {
    let name = name.to_ascii_lowercase();
    let named = headers.iter().filter(|(known, _)| *known == name);
    named.map(|(_, value)| value.clone()).collect()
}

fn text(value: Option<Vec<u8>>) -> Option<String> {
    String::from_utf8(value?).ok()
}

/// The header's name in lower case, if the contract allows to edit it in this way.
pub(super) fn editable(name: &str, value: &[u8]) -> Result<String, EditError> {
    const FRAMING: [&str; 9] = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let plain = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 127);
    if name.is_empty() || !name.bytes().all(token) || !value.iter().all(plain) {
        return Err(EditError::Malformed);
    }
    let name = name.to_ascii_lowercase();
    if FRAMING.contains(&name.as_str()) {
        return Err(EditError::Forbidden);
    }
    Ok(name)
}

fn remove(headers: &mut Vec<Header>, name: &str) -> Edit {
    let name = editable(name, &[])?;
    headers.retain(|(known, _)| *known != name);
    Ok(())
}

fn append(headers: &mut Vec<Header>, name: &str, value: &[u8]) -> Edit {
    headers.push((editable(name, value)?, value.to_vec()));
    Ok(())
}

fn set(headers: &mut Vec<Header>, name: &str, value: &[u8]) -> Edit {
    editable(name, value)?;
    remove(headers, name)?;
    append(headers, name, value)
}

pub mod endpoints {
    use super::ask;
    use crate::NONE;
    pub use crate::bindings::balancer::jackfield::plugin::endpoints::Measure;
    use crate::mock::Endpoint;

    fn of(endpoint: u32, read: impl Fn(&Endpoint) -> u32, absent: u32) -> u32 {
        ask(|host| host.endpoints.get(endpoint as usize).map_or(absent, read))
    }

    pub fn active(endpoint: u32) -> u32 {
        of(endpoint, |e| e.active, 0)
    }
    pub fn weight(endpoint: u32) -> u32 {
        of(endpoint, |e| e.weight, 0)
    }
    pub fn latency(endpoint: u32) -> u32 {
        of(endpoint, |e| e.latency, 0)
    }
    pub fn error_rate(endpoint: u32) -> u32 {
        of(endpoint, |e| e.error_rate, 0)
    }
    pub fn cpu(endpoint: u32) -> u32 {
        of(endpoint, |e| e.cpu.unwrap_or(NONE), NONE)
    }
    pub fn memory(endpoint: u32) -> u32 {
        of(endpoint, |e| e.memory.unwrap_or(NONE), NONE)
    }
    pub fn eligible(endpoint: u32) -> bool {
        of(endpoint, |e| e.eligible().into(), 0) == 1
    }
    pub fn tried(endpoint: u32) -> bool {
        of(endpoint, |e| e.tried.into(), 0) == 1
    }
    pub fn candidate(endpoint: u32) -> bool {
        of(endpoint, |e| (e.candidate && !e.tried).into(), 0) == 1
    }
    pub fn column(of: Measure) -> Vec<u32> {
        let read = |e: &Endpoint| match of {
            Measure::Active => e.active,
            Measure::Weight => e.weight,
            Measure::Latency => e.latency,
            Measure::ErrorRate => e.error_rate,
            Measure::Cpu => e.cpu.unwrap_or(NONE),
            Measure::Memory => e.memory.unwrap_or(NONE),
            Measure::Eligible => e.eligible().into(),
        };
        ask(|host| host.endpoints.iter().map(read).collect())
    }
}

pub mod request {
    use super::{all, ask, first, text};
    use crate::Address;
    use crate::hash;

    pub fn client_address() -> String {
        ask(|host| host.client.to_string())
    }
    pub fn client_ip() -> Address {
        ask(|host| host.client.into())
    }
    pub fn client_port() -> u16 {
        ask(|host| host.client_port)
    }
    pub fn is_tls() -> bool {
        ask(|host| host.is_tls)
    }
    pub fn sni() -> Option<String> {
        ask(|host| host.sni.clone())
    }
    pub fn id() -> String {
        ask(|host| host.request_id.clone())
    }
    pub fn method() -> Option<String> {
        ask(|host| host.method.clone())
    }
    pub fn host() -> Option<String> {
        let written = ask(|host| host.host.clone())?.to_ascii_lowercase();
        let end = match written.rfind(':') {
            Some(colon) if !written[colon..].contains(']') => colon,
            _ => written.len(),
        };
        Some(written[..end].to_owned())
    }
    pub fn path() -> Option<String> {
        ask(|host| host.path.clone())
    }
    pub fn path_hash() -> Option<u64> {
        path().map(|path| hash::bytes(path.as_bytes()))
    }
    pub fn query() -> Option<String> {
        ask(|host| host.query.clone())
    }
    pub fn header(name: &str) -> Option<String> {
        text(header_bytes(name))
    }
    pub fn header_bytes(name: &str) -> Option<Vec<u8>> {
        ask(|host| first(&host.headers, name))
    }
    pub fn header_hash(name: &str) -> Option<u64> {
        header_bytes(name).map(|value| hash::bytes(&value))
    }
    pub fn header_values(name: &str) -> Vec<Vec<u8>> {
        ask(|host| all(&host.headers, name))
    }
    pub fn cookie(name: &str) -> Option<String> {
        let lines = ask(|host| all(&host.headers, "cookie"));
        let lines = lines.iter().filter_map(|line| std::str::from_utf8(line).ok());
        lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(known, value)| (known == name).then(|| value.to_owned()))
    }
    pub fn cookie_hash(name: &str) -> Option<u64> {
        cookie(name).map(|value| hash::bytes(value.as_bytes()))
    }
    pub fn note(key: &str) -> Option<String> {
        ask(|host| {
            let found = host.notes.iter().find(|(known, _)| known == key);
            found.map(|(_, value)| value.clone())
        })
    }
}

pub mod prepared_edits {
    use std::cell::RefCell;

    use super::{all, append, ask, editable, first, remove, set};
    pub use crate::bindings::http_filter::jackfield::plugin::prepared_edits::{Action, Edit, Value};
    use crate::mock::{Header, Host};
    use crate::{EditError, NONE};

    thread_local! {
        // Not in the host, which a test installs anew for each request: lists live as long as the plugin.
        static LISTS: RefCell<Vec<Vec<Edit>>> = const { RefCell::new(Vec::new()) };
    }

    pub fn prepare(edits: &[Edit]) -> Result<u32, EditError> {
        ask(|_| ());
        for Edit { name, action } in edits {
            let text = match action {
                Action::Set(Value::Text(text))
                | Action::SetIfAbsent(Value::Text(text))
                | Action::Append(Value::Text(text))
                | Action::Join(Value::Text(text)) => text,
                _ => "",
            };
            editable(name, text.as_bytes())?;
        }
        LISTS.with_borrow_mut(|lists| {
            lists.push(edits.to_vec());
            Ok(lists.len() as u32 - 1)
        })
    }

    pub(super) fn apply(prepared: u32, headers: impl Fn(&mut Host) -> &mut Vec<Header>) -> u32 {
        let list = LISTS.with_borrow(|lists| lists.get(prepared as usize).cloned());
        ask(|host| list.map_or(NONE, |list| list.iter().filter(|edit| !make(edit, host, &headers)).count() as u32))
    }

    /// Whether it could be made.
    fn make(Edit { name, action }: &Edit, host: &mut Host, headers: impl Fn(&mut Host) -> &mut Vec<Header>) -> bool {
        let present = first(headers(host), name).is_some();
        let value = match action {
            Action::Set(value) | Action::SetIfAbsent(value) | Action::Append(value) => of(value, host),
            Action::Join(value) => of(value, host).map(|value| {
                let mut values = all(headers(host), name);
                values.push(value);
                values.join(&b", "[..])
            }),
            Action::Remove => None,
        };
        let headers = headers(host);
        match (action, value) {
            (Action::SetIfAbsent(_), _) if present => true,
            (Action::Append(_), Some(value)) => append(headers, name, &value).is_ok(),
            (_, Some(value)) => set(headers, name, &value).is_ok(),
            (Action::Remove, None) => remove(headers, name).is_ok(),
            (Action::Set(_) | Action::Join(_), None) => {
                headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                false
            }
            (Action::SetIfAbsent(_) | Action::Append(_), None) => false,
        }
    }

    fn of(value: &Value, host: &Host) -> Option<Vec<u8>> {
        match value {
            Value::Text(text) => Some(text.clone().into_bytes()),
            Value::ClientAddress => Some(host.client.to_string().into_bytes()),
            Value::Scheme => Some(if host.is_tls { b"https".to_vec() } else { b"http".to_vec() }),
            Value::Host => first(&host.headers, "host").or_else(|| Some(host.host.clone()?.into_bytes())),
            Value::RequestId => Some(host.request_id.clone().into_bytes()),
            Value::Header(name) => first(&host.headers, name),
        }
    }
}

pub mod request_edit {
    use super::{Edit, append, ask, editable, remove, set};
    use crate::EditError;
    use crate::mock::Response;

    pub fn apply(prepared: u32) -> u32 {
        super::prepared_edits::apply(prepared, |host| &mut host.headers)
    }
    pub fn set_header(name: &str, value: &str) -> Edit {
        set_header_bytes(name, value.as_bytes())
    }
    pub fn set_header_bytes(name: &str, value: &[u8]) -> Edit {
        ask(|host| set(&mut host.headers, name, value))
    }
    pub fn append_header(name: &str, value: &str) -> Edit {
        ask(|host| append(&mut host.headers, name, value.as_bytes()))
    }
    pub fn join_header(name: &str, value: &str) -> Edit {
        editable(name, value.as_bytes())?;
        ask(|host| {
            let mut values = super::all(&host.headers, name);
            values.push(value.as_bytes().to_vec());
            set(&mut host.headers, name, &values.join(&b", "[..]))
        })
    }
    pub fn copy_header(source: &str, name: &str) -> Edit {
        editable(name, &[])?;
        ask(|host| match super::first(&host.headers, source) {
            Some(value) => set(&mut host.headers, name, &value),
            None => Err(EditError::Unknown),
        })
    }
    pub fn remove_header(name: &str) -> Edit {
        ask(|host| remove(&mut host.headers, name))
    }
    pub fn set_method(method: &str) -> Edit {
        editable(method, &[]).map_err(|_| EditError::Malformed)?;
        ask(|host| host.method = Some(method.to_owned()));
        Ok(())
    }
    pub fn set_path(path_and_query: &str) -> Edit {
        if !path_and_query.starts_with('/') || path_and_query.contains(char::is_whitespace) {
            return Err(EditError::Malformed);
        }
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path_and_query, None),
        };
        ask(|host| {
            host.path = Some(path.to_owned());
            host.query = query;
        });
        Ok(())
    }
    pub fn set_host(written: &str) -> Edit {
        if written.is_empty() || written.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(EditError::Malformed);
        }
        ask(|host| host.host = Some(written.to_owned()));
        Ok(())
    }
    pub fn set_note(key: &str, value: &str) -> Edit {
        ask(|host| {
            host.notes.retain(|(known, _)| known != key);
            if host.notes.len() == 32 || value.len() > 4096 {
                return Err(EditError::TooMany);
            }
            host.notes.push((key.to_owned(), value.to_owned()));
            Ok(())
        })
    }
    pub fn choose_upstream(name: &str) -> Edit {
        ask(|host| {
            if !host.upstreams.iter().any(|known| known == name) {
                return Err(EditError::Unknown);
            }
            host.upstream = Some(name.to_owned());
            Ok(())
        })
    }
    pub fn answer(status: u16, headers: &[(String, String)], body: &[u8]) -> Edit {
        if !(200..600).contains(&status) {
            return Err(EditError::Malformed);
        }
        let mut lines = Vec::new();
        for (name, value) in headers {
            append(&mut lines, name, value.as_bytes())?;
        }
        let headers = lines;
        ask(|host| host.answer = Some((Response { status, headers }, body.to_vec())));
        Ok(())
    }
}

pub mod response {
    use super::{Edit, all, append, ask, first, remove, set, text};
    use crate::EditError;

    pub fn apply(prepared: u32) -> u32 {
        super::prepared_edits::apply(prepared, |host| &mut host.response.headers)
    }
    pub fn status() -> u16 {
        ask(|host| host.response.status)
    }
    pub fn set_status(status: u16) -> Edit {
        if !(200..600).contains(&status) {
            return Err(EditError::Malformed);
        }
        ask(|host| host.response.status = status);
        Ok(())
    }
    pub fn header(name: &str) -> Option<String> {
        text(header_bytes(name))
    }
    pub fn header_bytes(name: &str) -> Option<Vec<u8>> {
        ask(|host| first(&host.response.headers, name))
    }
    pub fn header_values(name: &str) -> Vec<Vec<u8>> {
        ask(|host| all(&host.response.headers, name))
    }
    pub fn set_header(name: &str, value: &str) -> Edit {
        set_header_bytes(name, value.as_bytes())
    }
    pub fn set_header_bytes(name: &str, value: &[u8]) -> Edit {
        ask(|host| set(&mut host.response.headers, name, value))
    }
    pub fn append_header(name: &str, value: &str) -> Edit {
        ask(|host| append(&mut host.response.headers, name, value.as_bytes()))
    }
    pub fn remove_header(name: &str) -> Edit {
        ask(|host| remove(&mut host.response.headers, name))
    }
}

pub mod reply {
    use super::{Edit, append, ask};
    use crate::{EditError, Protocol};

    pub fn append_header(name: &str, value: &str) -> Edit {
        ask(|host| {
            if matches!(host.protocol, Protocol::Tcp | Protocol::Udp) {
                return Err(EditError::Forbidden);
            }
            if host.reply.len() == 16 {
                return Err(EditError::TooMany);
            }
            append(&mut host.reply, name, value.as_bytes())
        })
    }
}

pub mod delegate {
    use super::ask;
    use crate::NONE;
    use crate::mock::Delegate;

    pub fn pick() -> u32 {
        choice(|_| true)
    }
    pub fn pick_among(candidates: &[u32]) -> u32 {
        choice(|endpoint| candidates.contains(&endpoint))
    }

    fn choice(candidate: impl Fn(u32) -> bool) -> u32 {
        ask(|host| match host.delegate {
            Delegate::Absent => NONE,
            Delegate::Always(endpoint) => endpoint,
            Delegate::First => (0u32..)
                .zip(&host.endpoints)
                .find(|(index, endpoint)| endpoint.eligible() && candidate(*index))
                .map_or(NONE, |(index, _)| index),
        })
    }
}

pub mod counters {
    use super::ask;

    pub fn add(slot: u32, delta: u64) -> u64 {
        ask(|host| {
            let counter = &mut host.counters[slot as usize % 16];
            let before = *counter;
            *counter = before.wrapping_add(delta);
            before
        })
    }
}

pub mod clock {
    use super::ask;

    pub fn now() -> u64 {
        ask(|host| host.now)
    }
    pub fn unix_time() -> u64 {
        ask(|host| host.unix_time)
    }
}

pub mod random {
    use super::ask;

    pub fn next() -> u64 {
        ask(|host| host.random.next())
    }
}

pub mod log {
    use super::ask;
    pub use crate::bindings::balancer::jackfield::plugin::log::Level;

    pub fn write(level: Level, message: &str) {
        ask(|host| host.log.push(format!("{level:?}: {message}")));
    }
}
