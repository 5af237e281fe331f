//! `x-forwarded-for`: tells the endpoint who asked, for what host, and how.
//!
//! A client can write these headers itself, so `trusted` decides: what came from a proxy in one of
//! these networks is kept, and the proxy's own address appended to the lists; what came from anyone
//! else is replaced by what is known here. A header that is switched off is left as it came.
//!
//! Settings:
//! - `trusted`: addresses and networks, `["10.0.0.0/8", "2001:db8::1"]`; default none
//! - `x-forwarded-for`: default true. The list of addresses from the client on.
//! - `x-forwarded-proto`: default true. `http` or `https`.
//! - `x-forwarded-host`: default true. The host that the client asked for.
//! - `x-real-ip`: default false. The client's address.
//! - `forwarded`: default false. All of it in one standard header, RFC 7239.

mod forwarded;
mod network;

use jackfield_plugin::prepared_edits::{self, Action, Edit, Prepared, Value};
use jackfield_plugin::{FilterContext, HttpFilter, Phases, request, request_edit, settings};
use network::Network;

#[derive(serde::Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // five independent switches
struct Settings {
    trusted: Vec<String>,
    x_forwarded_for: bool,
    x_forwarded_proto: bool,
    x_forwarded_host: bool,
    x_real_ip: bool,
    forwarded: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted: Vec::new(),
            x_forwarded_for: true,
            x_forwarded_proto: true,
            x_forwarded_host: true,
            x_real_ip: false,
            forwarded: false,
        }
    }
}

pub struct XForwardedFor {
    trusted: Vec<Network>,
    /// What is edited of a request from a trusted proxy, and from anyone else.
    from_trusted: Prepared,
    from_strangers: Prepared,
    forwarded: bool,
}

impl HttpFilter for XForwardedFor {
    fn configure(settings: &str) -> Result<Self, String> {
        let settings: Settings = settings::parse(settings)?;
        let networks = settings.trusted.iter().map(|network| network.parse());
        Ok(Self {
            trusted: networks.collect::<Result<_, String>>()?,
            from_trusted: prepare(&settings, true)?,
            from_strangers: prepare(&settings, false)?,
            forwarded: settings.forwarded,
        })
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, context: &FilterContext) {
        let client = context.client.to_bits();
        let trusted = self.trusted.iter().any(|network| network.contains(client));
        request_edit::apply(if trusted { self.from_trusted } else { self.from_strangers });
        if self.forwarded {
            forwarded(context, trusted);
        }
    }
}

/// The edits of a request that comes from a trusted proxy or not. A client's own header never
/// passes: one that cannot be set is removed.
fn prepare(on: &Settings, trusted: bool) -> Result<Prepared, String> {
    // A list that each proxy adds to, and what the first proxy sets.
    let list: fn(Value) -> Action = if trusted { Action::Join } else { Action::Set };
    let first: fn(Value) -> Action = if trusted { Action::SetIfAbsent } else { Action::Set };
    let edits = [
        (on.x_forwarded_for, "x-forwarded-for", list(Value::ClientAddress)),
        (on.x_forwarded_proto, "x-forwarded-proto", first(Value::Scheme)),
        (on.x_forwarded_host, "x-forwarded-host", first(Value::Host)),
        (on.x_real_ip, "x-real-ip", first(Value::ClientAddress)),
    ];
    let edits: Vec<Edit> =
        edits.into_iter().filter(|(on, ..)| *on).map(|(_, name, action)| Edit::new(name, action)).collect();
    prepared_edits::prepare(&edits).map_err(|error| error.message().to_owned())
}

/// The one header whose value is put together here.
fn forwarded(context: &FilterContext, trusted: bool) {
    const NAME: &str = "forwarded";
    let host = request::header("host").or_else(request::host);
    let proto = if context.is_tls { "https" } else { "http" };
    let element = forwarded::element(&request::client_address(), host.as_deref(), proto);
    let edited =
        if trusted { request_edit::join_header(NAME, &element) } else { request_edit::set_header(NAME, &element) };
    if edited.is_err() {
        let _ = request_edit::remove_header(NAME);
    }
}

jackfield_plugin::http_filter!(XForwardedFor);

#[cfg(test)]
mod tests;
