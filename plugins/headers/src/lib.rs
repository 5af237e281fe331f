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
//! touched. A value that becomes no valid header is left out, without a word: the plugin is granted
//! nothing, so it has no log. Values that are fixed, or nothing but `{client-address}` or
//! `{request-id}`, cost least: the proxy makes all such neighbours in one call.

mod edits;
mod template;

use edits::{Edit, Edits, Step, steps};
use jackfield_plugin::{FilterContext, HttpFilter, Phases, request_edit, response, settings};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    request: Edits,
    #[serde(default)]
    response: Edits,
}

pub struct Headers {
    request: Vec<Step>,
    response: Vec<Step>,
    /// A value in the making; kept for its memory.
    value: String,
}

impl HttpFilter for Headers {
    fn configure(settings: &str) -> Result<Self, String> {
        let settings: Settings = settings::parse(settings)?;
        Ok(Self {
            request: steps(settings.request.check("request")?),
            response: steps(settings.response.check("response")?),
            value: String::new(),
        })
    }

    fn phases(&self) -> Phases {
        let phase = |steps: &[Step], phase| {
            if steps.is_empty() { Phases::empty() } else { phase }
        };
        phase(&self.request, Phases::REQUEST) | phase(&self.response, Phases::RESPONSE)
    }

    // What cannot be done is left out.
    fn on_request(&mut self, context: &FilterContext) {
        for step in &self.request {
            let _ = match step {
                Step::Prepared(list) => {
                    request_edit::apply(*list);
                    Ok(())
                }
                Step::Edit(Edit::Remove(name)) => request_edit::remove_header(name),
                Step::Edit(Edit::Set(name, value)) => {
                    let value = value.fill(context, &mut self.value);
                    if name == "host" { request_edit::set_host(value) } else { request_edit::set_header(name, value) }
                }
                Step::Edit(Edit::Append(name, value)) => {
                    request_edit::append_header(name, value.fill(context, &mut self.value))
                }
            };
        }
    }

    fn on_response(&mut self, context: &FilterContext) {
        for step in &self.response {
            let _ = match step {
                Step::Prepared(list) => {
                    response::apply(*list);
                    Ok(())
                }
                Step::Edit(Edit::Remove(name)) => response::remove_header(name),
                Step::Edit(Edit::Set(name, value)) => response::set_header(name, value.fill(context, &mut self.value)),
                Step::Edit(Edit::Append(name, value)) => {
                    response::append_header(name, value.fill(context, &mut self.value))
                }
            };
        }
    }
}

jackfield_plugin::http_filter!(Headers);

#[cfg(test)]
mod tests;
