//! `prepared-edits`: lists of edits that were checked once, and are made with one call.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::request_edit::{append_value, join_value, set_value};
use super::{Host, Phase, header_name, header_value};
use crate::plugin::balancer::NONE;
use crate::plugin::bindings::jackfield::plugin::edits::EditError;
use crate::plugin::bindings::jackfield::plugin::prepared_edits::{self, Action};
use crate::plugin::exchange::Exchange;

/// An instance's lists.
#[derive(Default)]
pub(super) struct Prepared {
    lists: Vec<Vec<Edit>>,
    edits: usize,
    text: usize,
}

struct Edit {
    name: HeaderName,
    how: How,
    /// None to remove.
    value: Option<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Set,
    SetIfAbsent,
    Append,
    Join,
    Remove,
}

enum Value {
    Text(HeaderValue),
    ClientAddress,
    Scheme,
    Host,
    RequestId,
    Header(HeaderName),
}

impl prepared_edits::Host for Host {
    fn prepare(&mut self, edits: Vec<prepared_edits::Edit>) -> Result<u32, EditError> {
        self.prepared.add(edits)
    }
}

impl Prepared {
    /// They lie in the host's memory, which the plugin's limit does not count.
    const MAX_EDITS: usize = 1024;
    const MAX_TEXT: usize = 64 << 10;

    fn add(&mut self, edits: Vec<prepared_edits::Edit>) -> Result<u32, EditError> {
        let text: usize = edits.iter().map(text_of).sum();
        // An empty list takes its place too.
        let (edits_after, text_after) = (self.edits + edits.len().max(1), self.text + text);
        if edits_after > Self::MAX_EDITS || text_after > Self::MAX_TEXT {
            return Err(EditError::TooMany);
        }
        let list = edits.into_iter().map(Edit::check).collect::<Result<_, _>>()?;
        (self.edits, self.text) = (edits_after, text_after);
        self.lists.push(list);
        Ok(self.lists.len() as u32 - 1)
    }
}

/// How many bytes cross to be kept.
fn text_of(edit: &prepared_edits::Edit) -> usize {
    let value = match &edit.action {
        Action::Set(value) | Action::SetIfAbsent(value) | Action::Append(value) | Action::Join(value) => value,
        Action::Remove => return edit.name.len(),
    };
    match value {
        prepared_edits::Value::Text(text) | prepared_edits::Value::Header(text) => edit.name.len() + text.len(),
        _ => edit.name.len(),
    }
}

impl Host {
    /// How many edits of the list could not be made; [`NONE`] when there is no such list, or nothing
    /// to edit.
    pub(super) fn make_prepared(&mut self, list: u32, phase: Phase) -> u32 {
        let (Some(list), Some(exchange)) = (self.prepared.lists.get(list as usize), self.exchange.as_deref_mut())
        else {
            return NONE;
        };
        if self.phase.of_head() != phase || headers(exchange, phase).is_none() {
            return NONE;
        }
        let failed = list.iter().filter(|edit| edit.make(exchange, phase).is_none());
        failed.count() as u32
    }
}

fn headers(exchange: &mut Exchange, phase: Phase) -> Option<&mut HeaderMap> {
    match phase {
        Phase::Response => Some(&mut exchange.response.as_mut()?.headers),
        _ => Some(&mut exchange.request.as_mut()?.headers),
    }
}

impl Edit {
    fn check(edit: prepared_edits::Edit) -> Result<Self, EditError> {
        let (how, value) = match edit.action {
            Action::Set(value) => (How::Set, Some(value)),
            Action::SetIfAbsent(value) => (How::SetIfAbsent, Some(value)),
            Action::Append(value) => (How::Append, Some(value)),
            Action::Join(value) => (How::Join, Some(value)),
            Action::Remove => (How::Remove, None),
        };
        Ok(Self { name: header_name(&edit.name)?, how, value: value.map(Value::check).transpose()? })
    }

    /// None when it cannot be made.
    fn make(&self, exchange: &mut Exchange, phase: Phase) -> Option<()> {
        if self.how == How::SetIfAbsent && headers(exchange, phase)?.contains_key(&self.name) {
            return Some(());
        }
        let value = self.value.as_ref().and_then(|value| value.of(exchange));
        let value = value.filter(|value| exchange.spend(value.len()));
        let headers = headers(exchange, phase)?;
        let made = match (self.how, value) {
            (How::Remove, _) => {
                headers.remove(&self.name);
                return Some(());
            }
            (_, None) => None,
            (How::Set | How::SetIfAbsent, Some(value)) => set_value(headers, &self.name, value).ok(),
            (How::Append, Some(value)) => append_value(headers, &self.name, value).ok(),
            (How::Join, Some(value)) => join_value(headers, &self.name, value).ok(),
        };
        if made.is_none() && matches!(self.how, How::Set | How::Join) {
            // What a client wrote there must not pass for the value.
            headers.remove(&self.name);
        }
        made
    }
}

impl Value {
    fn check(value: prepared_edits::Value) -> Result<Self, EditError> {
        Ok(match value {
            prepared_edits::Value::Text(text) => Self::Text(header_value(text)?),
            prepared_edits::Value::ClientAddress => Self::ClientAddress,
            prepared_edits::Value::Scheme => Self::Scheme,
            prepared_edits::Value::Host => Self::Host,
            prepared_edits::Value::RequestId => Self::RequestId,
            prepared_edits::Value::Header(name) => {
                Self::Header(HeaderName::try_from(name).map_err(|_| EditError::Malformed)?)
            }
        })
    }

    fn of(&self, exchange: &Exchange) -> Option<HeaderValue> {
        let header = |name: &HeaderName| exchange.request.as_ref()?.headers.get(name).cloned();
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::ClientAddress => Some(exchange.client.address_text().clone()),
            Self::Scheme if exchange.client.tls => Some(HeaderValue::from_static("https")),
            Self::Scheme => Some(HeaderValue::from_static("http")),
            Self::Host => header(&http::header::HOST).or_else(|| authority(exchange)),
            Self::RequestId => HeaderValue::from_str(exchange.id()).ok(),
            Self::Header(name) => header(name),
        }
    }
}

/// The host in the request's target (HTTP/2's `:authority`).
fn authority(exchange: &Exchange) -> Option<HeaderValue> {
    let authority = exchange.request.as_ref()?.uri.authority()?.as_str();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    HeaderValue::from_str(host).ok()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::plugin::exchange::{Client, Protocol};
    use prepared_edits::Value as Source;

    const CAME: [(&str, &str); 4] = [("host", "a.example:80"), ("x-a", "1"), ("x-a", "2"), ("x-b", "")];

    /// The lines of `name` after this edit, of a request that came with [`CAME`].
    #[track_caller]
    fn check(name: &str, action: Action, made: bool, expected: &[&str]) {
        let client = Client::new(SocketAddr::from(([192, 0, 2, 7], 40_000)), Protocol::Http1, true, None);
        let request =
            CAME.iter().fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
        let mut exchange = Exchange::new(Arc::new(client), Some(request.body(()).unwrap().into_parts().0));
        let edit = Edit::check(prepared_edits::Edit { name: name.to_owned(), action }).unwrap();
        assert_eq!(edit.make(&mut exchange, Phase::Request).is_some(), made);
        let lines = exchange.request.as_ref().unwrap().headers.get_all(name);
        assert_eq!(lines.iter().map(|line| line.to_str().unwrap()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_the_contract_says_of_each_action() {
        let text = || Source::Text("t".to_owned());
        let none = || Source::Header("x-none".to_owned());
        check("x-a", Action::Set(text()), true, &["t"]);
        check("x-a", Action::Set(none()), false, &[]);
        check("x-a", Action::SetIfAbsent(text()), true, &["1", "2"]);
        check("x-b", Action::SetIfAbsent(none()), true, &[""]);
        check("x-c", Action::SetIfAbsent(text()), true, &["t"]);
        check("x-c", Action::SetIfAbsent(none()), false, &[]);
        check("x-a", Action::Append(text()), true, &["1", "2", "t"]);
        check("x-a", Action::Append(none()), false, &["1", "2"]);
        check("x-a", Action::Join(text()), true, &["1, 2, t"]);
        check("x-c", Action::Join(text()), true, &["t"]);
        check("x-a", Action::Join(none()), false, &[]);
        check("x-a", Action::Remove, true, &[]);
        check("x-c", Action::Remove, true, &[]);
    }

    #[test]
    fn what_the_contract_says_of_each_value() {
        check("x-c", Action::Set(Source::ClientAddress), true, &["192.0.2.7"]);
        check("x-c", Action::Set(Source::Scheme), true, &["https"]);
        check("x-c", Action::Set(Source::Host), true, &["a.example:80"]);
        check("x-c", Action::Set(Source::Header("X-A".to_owned())), true, &["1"]);
    }
}
