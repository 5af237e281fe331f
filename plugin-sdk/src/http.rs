//! Requests of the plugin's own, to upstreams of the configuration that it is granted
//! (`grants = ["http:NAME"]`).
//!
//! Sending does not wait: when the plugin's function has returned, the proxy sends what it asked for,
//! serves others meanwhile, and hands each reply to [`Replies::on_reply`]. The client's request goes on
//! when no reply is outstanding.
//!
//! ```
//! use std::time::Duration;
//! use jackfield_plugin::http::Request;
//!
//! # jackfield_plugin::mock::Host { http_upstreams: vec!["auth".to_owned()], ..Default::default() }.install();
//! let ticket = Request::get("auth", "/check?path=/a").header("cookie", "session=1").timeout(Duration::from_secs(1)).send();
//! assert!(ticket.is_ok());
//! ```

use std::time::Duration;

use crate::bindings::balancer::jackfield::plugin::http::Outgoing;
pub use crate::bindings::balancer::jackfield::plugin::http::SendError;
pub use crate::bindings::replies::exports::jackfield::plugin::replies::{NoReply, Reply};
use crate::raw;

/// Comes back with the reply. It does not repeat while a client's request lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u32);

/// A request, to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it goes nowhere before it is sent"]
pub struct Request {
    pub upstream: String,
    pub method: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB.
    pub body: Vec<u8>,
    /// Until the whole reply must be there; at most 30 seconds.
    pub timeout: Duration,
}

impl Request {
    /// Of a request that says nothing else.
    pub const TIMEOUT: Duration = Duration::from_secs(5);

    pub fn new(method: &str, upstream: &str, path: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Self::TIMEOUT,
        }
    }

    pub fn get(upstream: &str, path: &str) -> Self {
        Self::new("GET", upstream, path)
    }

    pub fn post(upstream: &str, path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", upstream, path) }
    }

    /// Adds a line. Framing and connection headers are the proxy's; `host` is the upstream's unless
    /// it is here.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// To be called in `on_request`, `on_response`, `on_reply` and `tick`.
    pub fn send(self) -> Result<Ticket, SendError> {
        let Self { upstream, method, path, headers, body, timeout } = self;
        let timeout = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        raw::http::send(&Outgoing { upstream, method, path, headers, body, timeout }).map(Ticket)
    }
}

impl Reply {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Status 200 to 299.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What a plugin that sends requests implements beside its kind. Export it with the kind:
/// `jackfield_plugin::http_filter!(Auth, Replies);`.
pub trait Replies: Sized + 'static {
    /// Called with the request (or response) that the request was sent for, in the same phase: what
    /// could be edited and answered then can be now, and more can be sent.
    fn on_reply(&mut self, ticket: Ticket, reply: Result<Reply, NoReply>);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FilterContext, HttpFilter, Phases, mock, request, request_edit};

    struct Auth;

    impl HttpFilter for Auth {
        fn configure(_settings: &str) -> Result<Self, String> {
            Ok(Self)
        }

        fn phases(&self) -> Phases {
            Phases::REQUEST
        }

        fn on_request(&mut self, _context: &FilterContext) {
            let cookie = request::header("cookie").unwrap_or_default();
            assert_eq!(Request::get("auth", "/check").header("cookie", &cookie).send(), Ok(Ticket(0)));
        }
    }

    impl Replies for Auth {
        fn on_reply(&mut self, _ticket: Ticket, reply: Result<Reply, NoReply>) {
            let user = reply.ok().filter(Reply::is_ok).and_then(|reply| reply.header("X-User").map(str::to_owned));
            match user {
                Some(user) => request_edit::set_header("x-user", &user).unwrap(),
                None => request_edit::answer(401, &[], b"").unwrap(),
            }
        }
    }

    crate::http_filter!(Auth, Replies);

    #[test]
    fn a_test_sees_what_is_asked_and_hands_the_reply() {
        mock::Host { http_upstreams: vec!["auth".to_owned()], ..mock::Host::default() }
            .header("cookie", "a=1")
            .install();
        let mut auth = Auth::configure("{}").unwrap();
        auth.on_request(&mock::host(|host| host.filter_context()));
        let asked = mock::host(|host| host.sent.remove(0));
        assert_eq!((&*asked.method, &*asked.path, asked.timeout), ("GET", "/check", 5_000));
        assert_eq!(asked.headers, [("cookie".to_owned(), "a=1".to_owned())]);
        let headers = vec![("x-user".to_owned(), "ada".to_owned())];
        auth.on_reply(Ticket(0), Ok(Reply { status: 200, headers, body: Vec::new() }));
        assert_eq!(mock::host(|host| host.values("x-user")), ["ada"]);
        auth.on_reply(Ticket(0), Err(NoReply::Timeout));
        assert_eq!(mock::host(|host| host.answer.as_ref().map(|(answer, _)| answer.status)), Some(401));
    }

    #[test]
    fn the_mock_refuses_what_the_proxy_refuses() {
        mock::Host { http_upstreams: vec!["auth".to_owned()], ..mock::Host::default() }.install();
        let get = |path: &str| Request::get("auth", path);
        assert_eq!(Request::get("other", "/").send(), Err(SendError::NotGranted));
        for malformed in [
            get("no-slash"),
            get("/a b"),
            get("/").header("content-length", "1"),
            get("/").header("a", "b\nc"),
            get("/").timeout(Duration::ZERO),
            get("/").timeout(Duration::from_secs(31)),
            Request::new("G T", "auth", "/"),
            Request::post("auth", "/", vec![0; (1 << 20) + 1]),
        ] {
            assert_eq!(malformed.clone().send(), Err(SendError::Malformed), "{malformed:?}");
        }
        (0..8).for_each(|ticket| assert_eq!(get("/").send(), Ok(Ticket(ticket))));
        assert_eq!(get("/").send(), Err(SendError::TooMany));
    }
}
