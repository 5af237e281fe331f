//! `request-edit`: what filters may change of the request. All that a plugin gives is checked
//! before it touches anything.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::{Host, Phase, header_name, header_value, spend};
use crate::plugin::bindings::jackfield::plugin::edits::{self, EditError};
use crate::plugin::bindings::jackfield::plugin::request_edit;
use crate::plugin::exchange::Answer;

/// Lines that a filter may leave in one message, all headers together.
pub(super) const MAX_HEADERS: usize = 256;
const MAX_ANSWER_BYTES: usize = 1 << 20;

impl edits::Host for Host {}

impl request_edit::Host for Host {
    fn apply(&mut self, prepared: u32) -> u32 {
        self.make_prepared(prepared, Phase::Request)
    }

    fn set_header(&mut self, name: String, value: String) -> Result<(), EditError> {
        set(&mut self.request_mut(value.len())?.headers, &name, value)
    }

    fn set_header_bytes(&mut self, name: String, value: Vec<u8>) -> Result<(), EditError> {
        set(&mut self.request_mut(value.len())?.headers, &name, value)
    }

    fn append_header(&mut self, name: String, value: String) -> Result<(), EditError> {
        append(&mut self.request_mut(value.len())?.headers, &name, value)
    }

    fn join_header(&mut self, name: String, value: String) -> Result<(), EditError> {
        join_value(&mut self.request_mut(value.len())?.headers, &header_name(&name)?, header_value(value)?)
    }

    fn copy_header(&mut self, source: String, name: String) -> Result<(), EditError> {
        let value = self.first(&source).cloned();
        self.set_copied(&header_name(&name)?, value)
    }

    fn remove_header(&mut self, name: String) -> Result<(), EditError> {
        self.request_mut(0)?.headers.remove(header_name(&name)?);
        Ok(())
    }

    fn set_method(&mut self, method: String) -> Result<(), EditError> {
        let request = self.request_mut(method.len())?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| EditError::Malformed)?;
        if method == Method::CONNECT || request.method == Method::CONNECT {
            return Err(EditError::Forbidden);
        }
        request.method = method;
        Ok(())
    }

    fn set_path(&mut self, path_and_query: String) -> Result<(), EditError> {
        let request = self.request_mut(path_and_query.len())?;
        if !path_and_query.starts_with('/') {
            return Err(EditError::Malformed);
        }
        let path = PathAndQuery::from_maybe_shared(Bytes::from(path_and_query)).map_err(|_| EditError::Malformed)?;
        let mut parts = request.uri.clone().into_parts();
        parts.path_and_query = Some(path);
        request.uri = Uri::from_parts(parts).map_err(|_| EditError::Malformed)?;
        Ok(())
    }

    fn set_host(&mut self, host: String) -> Result<(), EditError> {
        let authority = http::uri::Authority::try_from(host.as_str()).map_err(|_| EditError::Malformed)?;
        if host.contains('@') {
            return Err(EditError::Malformed);
        }
        let request = self.request_mut(host.len())?;
        let host = header_value(host)?;
        let mut parts = request.uri.clone().into_parts();
        if parts.authority.is_some() {
            parts.authority = Some(authority);
        }
        request.uri = Uri::from_parts(parts).map_err(|_| EditError::Malformed)?;
        request.headers.insert(http::header::HOST, host);
        Ok(())
    }

    fn set_note(&mut self, key: String, value: String) -> Result<(), EditError> {
        let phase = match self.phase.of_head() {
            phase @ (Phase::Response | Phase::Chunk) => phase,
            _ => Phase::Request,
        };
        let exchange = self.during(phase)?;
        exchange.set_note(key, value).then_some(()).ok_or(EditError::TooMany)
    }

    fn choose_upstream(&mut self, name: String) -> Result<(), EditError> {
        let index = *self.usage.names.get(name.as_str()).ok_or(EditError::Unknown)?;
        self.during(Phase::Request)?.upstream = Some(index);
        Ok(())
    }

    fn answer(&mut self, status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Result<(), EditError> {
        let status = final_status(status)?;
        if headers.len() > MAX_HEADERS || body.len() > MAX_ANSWER_BYTES {
            return Err(EditError::TooMany);
        }
        // With all of the response at hand, it can be answered otherwise.
        let phase = if self.phase == Phase::WholeResponse { Phase::Response } else { Phase::Request };
        let exchange = self.during(phase)?;
        spend(exchange, headers.iter().map(|(name, value)| name.len() + value.len()).sum())?;
        let mut map = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            map.append(header_name(&name)?, header_value(value)?);
        }
        exchange.answer = Some(Answer { status, headers: map, body: body.into() });
        Ok(())
    }
}

impl Host {
    pub(super) fn set_copied(&mut self, name: &HeaderName, value: Option<HeaderValue>) -> Result<(), EditError> {
        let value = value.ok_or(EditError::Unknown)?;
        set_value(&mut self.request_mut(value.len())?.headers, name, value)
    }
}

/// 200 to 599: an answer ends the exchange.
pub(super) fn final_status(status: u16) -> Result<StatusCode, EditError> {
    match status {
        200..=599 => StatusCode::from_u16(status).map_err(|_| EditError::Malformed),
        _ => Err(EditError::Malformed),
    }
}

pub(super) fn set(headers: &mut HeaderMap, name: &str, value: impl Into<Bytes>) -> Result<(), EditError> {
    set_value(headers, &header_name(name)?, header_value(value)?)
}

pub(super) fn append(headers: &mut HeaderMap, name: &str, value: impl Into<Bytes>) -> Result<(), EditError> {
    append_value(headers, &header_name(name)?, header_value(value)?)
}

pub(super) fn set_value(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) -> Result<(), EditError> {
    if headers.len() >= MAX_HEADERS && !headers.contains_key(name) {
        return Err(EditError::TooMany);
    }
    headers.try_insert(name, value).map_err(|_| EditError::TooMany)?;
    Ok(())
}

pub(super) fn append_value(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) -> Result<(), EditError> {
    if headers.len() >= MAX_HEADERS {
        return Err(EditError::TooMany);
    }
    headers.try_append(name, value).map_err(|_| EditError::TooMany)?;
    Ok(())
}

pub(super) fn join_value(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) -> Result<(), EditError> {
    if !headers.contains_key(name) {
        return append_value(headers, name, value);
    }
    let mut list = Vec::new();
    for line in headers.get_all(name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(value.as_bytes());
    let value = HeaderValue::from_maybe_shared(Bytes::from(list)).map_err(|_| EditError::Malformed)?;
    headers.try_insert(name, value).map_err(|_| EditError::TooMany)?;
    Ok(())
}
