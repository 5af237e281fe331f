//! Appends the client's address to X-Forwarded-For, as Jackfield's default filter and Envoy itself do.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_http_context(|_, _| Box::new(Forwarded));
}}

struct Forwarded;

impl Context for Forwarded {}

impl HttpContext for Forwarded {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(address) = self.get_property(vec!["source", "address"]) {
            let address = String::from_utf8_lossy(&address);
            // Without the port.
            let client = address.rsplit_once(':').map_or(&*address, |(host, _)| host);
            match self.get_http_request_header("x-forwarded-for") {
                Some(before) => self.set_http_request_header("x-forwarded-for", Some(&format!("{before}, {client}"))),
                None => self.add_http_request_header("x-forwarded-for", client),
            }
        }
        Action::Continue
    }
}
