//! `request`: what plugins may know of the request, connection or session.

use http::HeaderValue;

use super::{Host, text};
use crate::endpoint::stable_hash;
use crate::plugin::bindings::jackfield::plugin::{request, types};
use crate::plugin::exchange::Exchange;

impl Host {
    pub(super) fn first(&self, name: &str) -> Option<&HeaderValue> {
        self.request()?.headers.get(name)
    }

    fn of_exchange<T>(&self, get: impl FnOnce(&Exchange) -> T) -> Option<T> {
        self.exchange.as_deref().map(get)
    }
}

impl types::Host for Host {}

impl request::Host for Host {
    fn client_address(&mut self) -> String {
        self.of_exchange(|exchange| text(exchange.client.address_text())).flatten().unwrap_or_default()
    }

    fn client_ip(&mut self) -> types::Address {
        let (high, low) = self.of_exchange(|exchange| exchange.client.ip_halves()).unwrap_or_default();
        types::Address { high, low }
    }

    fn client_port(&mut self) -> u16 {
        self.of_exchange(|exchange| exchange.client.address.port()).unwrap_or_default()
    }

    fn is_tls(&mut self) -> bool {
        self.of_exchange(|exchange| exchange.client.tls).unwrap_or_default()
    }

    fn sni(&mut self) -> Option<String> {
        self.of_exchange(|exchange| exchange.client.sni.as_deref().map(str::to_owned))?
    }

    fn id(&mut self) -> String {
        self.of_exchange(|exchange| exchange.id().to_owned()).unwrap_or_default()
    }

    fn method(&mut self) -> Option<String> {
        Some(self.request()?.method.as_str().to_owned())
    }

    fn host(&mut self) -> Option<String> {
        self.of_exchange(Exchange::host)?
    }

    fn path(&mut self) -> Option<String> {
        Some(self.request()?.uri.path().to_owned())
    }

    fn path_hash(&mut self) -> Option<u64> {
        Some(stable_hash(self.request()?.uri.path().as_bytes()))
    }

    fn query(&mut self) -> Option<String> {
        Some(self.request()?.uri.query()?.to_owned())
    }

    fn header(&mut self, name: String) -> Option<String> {
        text(self.first(&name)?)
    }

    fn header_bytes(&mut self, name: String) -> Option<Vec<u8>> {
        Some(self.first(&name)?.as_bytes().to_vec())
    }

    fn header_hash(&mut self, name: String) -> Option<u64> {
        Some(stable_hash(self.first(&name)?.as_bytes()))
    }

    fn header_values(&mut self, name: String) -> Vec<Vec<u8>> {
        let Some(request) = self.request() else { return Vec::new() };
        request.headers.get_all(&name).iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    fn cookie(&mut self, name: String) -> Option<String> {
        self.of_exchange(|exchange| exchange.cookie(&name).map(str::to_owned))?
    }

    fn cookie_hash(&mut self, name: String) -> Option<u64> {
        self.of_exchange(|exchange| exchange.cookie(&name).map(|value| stable_hash(value.as_bytes())))?
    }

    fn note(&mut self, key: String) -> Option<String> {
        self.of_exchange(|exchange| exchange.note(&key))?
    }
}
