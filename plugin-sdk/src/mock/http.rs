//! `http` as the mock host has it: it writes down what is sent.

use super::{Outgoing, imports};
use crate::http::SendError;

/// As many as the proxy sends for one request of a client.
const MOST: usize = 8;
const LONGEST_MS: u32 = 30_000;
const MOST_BYTES: usize = 1 << 20;

pub fn send(request: &Outgoing) -> Result<u32, SendError> {
    super::host(|host| {
        host.calls += 1;
        if !host.http_upstreams.contains(&request.upstream) {
            return Err(SendError::NotGranted);
        }
        if host.sent.len() == MOST {
            return Err(SendError::TooMany);
        }
        if !is_wellformed(request) {
            return Err(SendError::Malformed);
        }
        host.sent.push(request.clone());
        Ok(host.sent.len() as u32 - 1)
    })
}

fn is_wellformed(request: &Outgoing) -> bool {
    let is_path = request.path.starts_with('/') && !request.path.contains(char::is_whitespace);
    let is_header = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("host") || imports::editable(name, value.as_bytes()).is_ok()
    };
    is_path
        && imports::editable(&request.method, &[]).is_ok()
        && request.headers.iter().all(is_header)
        && request.body.len() <= MOST_BYTES
        && (1..=LONGEST_MS).contains(&request.timeout)
}
