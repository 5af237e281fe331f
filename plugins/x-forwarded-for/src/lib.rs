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

mod network;
mod text;

use jackfield_plugin::{FilterContext, HttpFilter, Phases, request, request_edit, settings};
use network::Network;
use text::Text;

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
    settings: Settings,
    trusted: Vec<Network>,
}

impl HttpFilter for XForwardedFor {
    fn configure(settings: &str) -> Result<Self, String> {
        let settings: Settings = settings::parse(settings)?;
        let networks = settings.trusted.iter().map(|network| network.parse());
        Ok(Self { trusted: networks.collect::<Result<_, String>>()?, settings })
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, context: &FilterContext) {
        let on = &self.settings;
        let client = context.client.to_bits();
        let trusted = self.trusted.iter().any(|network| network.contains(client));
        let address = Text::of(context.client.to_ip());
        let proto = if context.is_tls { "https" } else { "http" };

        if on.x_forwarded_for {
            list("x-forwarded-for", address.as_str(), trusted);
        }
        if on.x_forwarded_proto {
            first("x-forwarded-proto", Some(proto), trusted);
        }
        if on.x_forwarded_host {
            pass_host("x-forwarded-host", trusted);
        }
        if on.x_real_ip {
            first("x-real-ip", Some(address.as_str()), trusted);
        }
        if on.forwarded {
            let element = text::forwarded(address.as_str(), requested_host().as_deref(), proto);
            list("forwarded", &element, trusted);
        }
    }
}

/// As the client wrote it, with the port, or at least the one that the request is routed by.
fn requested_host() -> Option<String> {
    request::header("host").or_else(request::host)
}

/// The requested host, as [`first`].
fn pass_host(name: &str, trusted: bool) {
    if trusted && request::header_hash(name).is_some() {
        return;
    }
    if request_edit::copy_header("host", name).is_err() {
        first(name, request::host().as_deref(), false);
    }
}

/// A header that each proxy adds to.
fn list(name: &str, value: &str, trusted: bool) {
    let edited = if trusted { request_edit::join_header(name, value) } else { request_edit::set_header(name, value) };
    if edited.is_err() {
        let _ = request_edit::remove_header(name);
    }
}

/// A header that the first proxy sets. One that cannot be set is removed: a client's must not pass.
fn first(name: &str, value: Option<&str>, trusted: bool) {
    if trusted && request::header_hash(name).is_some() {
        return;
    }
    if value.is_none_or(|value| request_edit::set_header(name, value).is_err()) {
        let _ = request_edit::remove_header(name);
    }
}

jackfield_plugin::http_filter!(XForwardedFor);

#[cfg(test)]
mod tests;
