//! `headers`: sets, appends and removes headers of the request and of the response.
//!
//! Settings: `request` and `response`, each with
//! - `remove`: names, `["server"]`; done first
//! - `set`: name = value; replaces what was there
//! - `append`: name = value, or a list of values; adds lines
//!
//! Values may contain `{client-address}`, `{host}`, `{method}`, `{path}` and `{request-id}`; what is
//! not known is empty. `{{` and `}}` are braces. `set` of the request's `host` changes the host that
//! the endpoint sees; headers of framing and of the connection (RFC 9110, section 7.6.1) cannot be
//! touched. A value that becomes no valid header is left out, and said in the log.

mod edits;
mod template;

use edits::{Edit, Edits};
use jackfield_plugin::{EditError, FilterContext, HttpFilter, Phases, log, request_edit, response, settings};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    request: Edits,
    #[serde(default)]
    response: Edits,
}

pub struct Headers {
    request: Vec<Edit>,
    response: Vec<Edit>,
    /// A value in the making; kept for its memory.
    value: String,
}

impl HttpFilter for Headers {
    fn configure(settings: &str) -> Result<Self, String> {
        let settings: Settings = settings::parse(settings)?;
        Ok(Self {
            request: settings.request.check("request")?,
            response: settings.response.check("response")?,
            value: String::new(),
        })
    }

    fn phases(&self) -> Phases {
        let phase = |edits: &[Edit], phase| {
            if edits.is_empty() { Phases::empty() } else { phase }
        };
        phase(&self.request, Phases::REQUEST) | phase(&self.response, Phases::RESPONSE)
    }

    fn on_request(&mut self, context: &FilterContext) {
        for edit in &self.request {
            let done = match edit {
                Edit::Remove(name) => request_edit::remove_header(name),
                Edit::Set(name, value) => {
                    let value = value.fill(context, &mut self.value);
                    if name == "host" { request_edit::set_host(value) } else { request_edit::set_header(name, value) }
                }
                Edit::Append(name, value) => request_edit::append_header(name, value.fill(context, &mut self.value)),
            };
            report(edit, done);
        }
    }

    fn on_response(&mut self, context: &FilterContext) {
        for edit in &self.response {
            let done = match edit {
                Edit::Remove(name) => response::remove_header(name),
                Edit::Set(name, value) => response::set_header(name, value.fill(context, &mut self.value)),
                Edit::Append(name, value) => response::append_header(name, value.fill(context, &mut self.value)),
            };
            report(edit, done);
        }
    }
}

fn report(edit: &Edit, done: Result<(), EditError>) {
    if let Err(error) = done {
        log::warn(&format!("{} was left out: {}", edit.name(), error.message()));
    }
}

jackfield_plugin::http_filter!(Headers);

#[cfg(test)]
mod tests;
