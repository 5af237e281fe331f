//! What a plugin can ask of the host and do there: a module for each interface of the contract.

/// What is known of the endpoints right now (balancers). An index beyond the end answers 0, or none.
pub mod endpoints {
    use crate::{NONE, raw};

    /// One measure of all endpoints, see [`column()`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Measure {
        Active,
        Weight,
        Latency,
        ErrorRate,
        Cpu,
        Memory,
        Eligible,
    }

    /// Requests (connections, sessions) in flight from this proxy, all workers together.
    #[inline]
    pub fn active(endpoint: u32) -> u32 {
        raw::endpoints::active(endpoint)
    }

    #[inline]
    pub fn weight(endpoint: u32) -> u32 {
        raw::endpoints::weight(endpoint)
    }

    /// Time to the response head (L7) or to connect (L4) in microseconds, as a peak-sensitive
    /// moving average that decays with time; `None` while never measured.
    #[inline]
    pub fn latency(endpoint: u32) -> Option<u32> {
        Some(raw::endpoints::latency(endpoint)).filter(|&latency| latency != 0)
    }

    /// Moving share of failed requests in ten-thousandths.
    #[inline]
    pub fn error_rate(endpoint: u32) -> u32 {
        raw::endpoints::error_rate(endpoint)
    }

    /// CPU use as the endpoint reported it, in ten-thousandths; `None` without a fresh report.
    #[inline]
    pub fn cpu(endpoint: u32) -> Option<u32> {
        Some(raw::endpoints::cpu(endpoint)).filter(|&share| share != NONE)
    }

    /// Memory use, likewise.
    #[inline]
    pub fn memory(endpoint: u32) -> Option<u32> {
        Some(raw::endpoints::memory(endpoint)).filter(|&share| share != NONE)
    }

    /// Healthy, not draining, not tried yet, and among the candidates.
    #[inline]
    pub fn eligible(endpoint: u32) -> bool {
        raw::endpoints::eligible(endpoint)
    }

    /// Tried in vain for this request.
    #[inline]
    pub fn tried(endpoint: u32) -> bool {
        raw::endpoints::tried(endpoint)
    }

    /// Among the candidates and not tried yet: may be picked on purpose, whatever its state.
    #[inline]
    pub fn candidate(endpoint: u32) -> bool {
        raw::endpoints::candidate(endpoint)
    }

    /// One measure of all endpoints: one call and one copy, cheaper than asking for each from about
    /// four endpoints on. The raw numbers: latency 0 is "never measured", CPU and memory
    /// [`NONE`] "no fresh report", eligible 1 or 0.
    #[inline]
    pub fn column(of: Measure) -> Vec<u32> {
        use raw::endpoints::Measure as Raw;
        raw::endpoints::column(match of {
            Measure::Active => Raw::Active,
            Measure::Weight => Raw::Weight,
            Measure::Latency => Raw::Latency,
            Measure::ErrorRate => Raw::ErrorRate,
            Measure::Cpu => Raw::Cpu,
            Measure::Memory => Raw::Memory,
            Measure::Eligible => Raw::Eligible,
        })
    }
}

/// What is being balanced or filtered. At L4, and wherever the thing is not there, the answer is
/// none. A text getter answers none for what is not UTF-8.
pub mod request {
    use crate::{Address, raw};

    /// IP address of the client's end of the connection, as text, without port.
    pub fn client_address() -> String {
        raw::request::client_address()
    }

    pub fn client_ip() -> Address {
        raw::request::client_ip()
    }

    pub fn client_port() -> u16 {
        raw::request::client_port()
    }

    /// Whether the client speaks TLS to the proxy.
    pub fn is_tls() -> bool {
        raw::request::is_tls()
    }

    /// The server name of the client's TLS handshake, lower case.
    pub fn sni() -> Option<String> {
        raw::request::sni()
    }

    /// An id of 32 hexadecimal digits, made when first asked for, the same for all plugins.
    pub fn id() -> String {
        raw::request::id()
    }

    pub fn method() -> Option<String> {
        raw::request::method()
    }

    /// Lower case, without port.
    pub fn host() -> Option<String> {
        raw::request::host()
    }

    /// Without query.
    pub fn path() -> Option<String> {
        raw::request::path()
    }

    #[inline]
    pub fn path_hash() -> Option<u64> {
        raw::request::path_hash()
    }

    /// Without `?`.
    pub fn query() -> Option<String> {
        raw::request::query()
    }

    /// The first value of a header.
    pub fn header(name: &str) -> Option<String> {
        raw::request::header(name)
    }

    pub fn header_bytes(name: &str) -> Option<Vec<u8>> {
        raw::request::header_bytes(name)
    }

    /// A hash of the first value: spares the copy.
    #[inline]
    pub fn header_hash(name: &str) -> Option<u64> {
        raw::request::header_hash(name)
    }

    /// All values of a header, in the order in which they came.
    pub fn header_values(name: &str) -> Vec<Vec<u8>> {
        raw::request::header_values(name)
    }

    pub fn cookie(name: &str) -> Option<String> {
        raw::request::cookie(name)
    }

    #[inline]
    pub fn cookie_hash(name: &str) -> Option<u64> {
        raw::request::cookie_hash(name)
    }

    /// What an earlier plugin noted about this request.
    pub fn note(key: &str) -> Option<String> {
        raw::request::note(key)
    }
}

/// Edits of headers that are written down once and made with one call for each message (filters).
pub mod prepared_edits {
    pub use crate::bindings::http_filter::jackfield::plugin::prepared_edits::{Action, Edit, Value};
    use crate::{EditError, raw};

    /// A list that the host has checked and keeps, for [`request_edit::apply`](super::request_edit::apply)
    /// and [`response::apply`](super::response::apply).
    #[derive(Clone, Copy, Debug)]
    pub struct Prepared(pub(crate) u32);

    impl Edit {
        pub fn new(name: &str, action: Action) -> Self {
            Self { name: name.to_owned(), action }
        }
    }

    /// Best done in `configure`. Refused as a whole when one of the edits is; `TooMany` beyond 1,024
    /// edits or 64 KiB of text in one instance.
    pub fn prepare(edits: &[Edit]) -> Result<Prepared, EditError> {
        raw::prepared_edits::prepare(edits).map(Prepared)
    }
}

/// What a filter may change of the request, before it is sent on (filters).
pub mod request_edit {
    pub use super::prepared_edits::Prepared;
    use crate::{EditError, raw};

    /// Makes the edits of a prepared list, in their order; how many could not be made, because there
    /// was no value or no room.
    #[inline]
    pub fn apply(prepared: Prepared) -> u32 {
        raw::request_edit::apply(prepared.0)
    }

    /// Replaces all values.
    #[inline]
    pub fn set_header(name: &str, value: &str) -> Result<(), EditError> {
        raw::request_edit::set_header(name, value)
    }

    pub fn set_header_bytes(name: &str, value: &[u8]) -> Result<(), EditError> {
        raw::request_edit::set_header_bytes(name, value)
    }

    /// Adds a line.
    #[inline]
    pub fn append_header(name: &str, value: &str) -> Result<(), EditError> {
        raw::request_edit::append_header(name, value)
    }

    /// Adds to a comma-separated list: `a, b` becomes `a, b, value`, several lines become one.
    #[inline]
    pub fn join_header(name: &str, value: &str) -> Result<(), EditError> {
        raw::request_edit::join_header(name, value)
    }

    /// Sets a header to the first value of another, whatever its bytes, which stays: spares both
    /// ways into the plugin and back. `Unknown` when there is no other.
    #[inline]
    pub fn copy_header(source: &str, name: &str) -> Result<(), EditError> {
        raw::request_edit::copy_header(source, name)
    }

    #[inline]
    pub fn remove_header(name: &str) -> Result<(), EditError> {
        raw::request_edit::remove_header(name)
    }

    pub fn set_method(method: &str) -> Result<(), EditError> {
        raw::request_edit::set_method(method)
    }

    /// Path and query, beginning with `/`.
    pub fn set_path(path_and_query: &str) -> Result<(), EditError> {
        raw::request_edit::set_path(path_and_query)
    }

    /// The host that the endpoint sees.
    pub fn set_host(host: &str) -> Result<(), EditError> {
        raw::request_edit::set_host(host)
    }

    /// For later plugins on this request; 32 at most, 4 KiB each.
    pub fn set_note(key: &str, value: &str) -> Result<(), EditError> {
        raw::request_edit::set_note(key, value)
    }

    /// Sends the request to another upstream than the route's.
    pub fn choose_upstream(name: &str) -> Result<(), EditError> {
        raw::request_edit::choose_upstream(name)
    }

    /// Answers the request here: no later filter, no endpoint sees it.
    pub fn answer(status: u16, headers: &[(String, String)], body: &[u8]) -> Result<(), EditError> {
        raw::request_edit::answer(status, headers, body)
    }
}

/// What a filter may see and change of the response, before it is passed back (filters).
pub mod response {
    pub use super::prepared_edits::Prepared;
    use crate::{EditError, raw};

    /// As [`request_edit::apply`](super::request_edit::apply).
    #[inline]
    pub fn apply(prepared: Prepared) -> u32 {
        raw::response::apply(prepared.0)
    }

    pub fn status() -> u16 {
        raw::response::status()
    }

    pub fn set_status(status: u16) -> Result<(), EditError> {
        raw::response::set_status(status)
    }

    pub fn header(name: &str) -> Option<String> {
        raw::response::header(name)
    }

    pub fn header_bytes(name: &str) -> Option<Vec<u8>> {
        raw::response::header_bytes(name)
    }

    pub fn header_values(name: &str) -> Vec<Vec<u8>> {
        raw::response::header_values(name)
    }

    /// Replaces all values.
    pub fn set_header(name: &str, value: &str) -> Result<(), EditError> {
        raw::response::set_header(name, value)
    }

    pub fn set_header_bytes(name: &str, value: &[u8]) -> Result<(), EditError> {
        raw::response::set_header_bytes(name, value)
    }

    /// Adds a line.
    pub fn append_header(name: &str, value: &str) -> Result<(), EditError> {
        raw::response::append_header(name, value)
    }

    pub fn remove_header(name: &str) -> Result<(), EditError> {
        raw::response::remove_header(name)
    }
}

/// What a balancer may leave for the response, before there is one: a sticky cookie (balancers).
pub mod reply {
    use crate::{EditError, raw};

    /// Adds a line to the response of this request; 16 at most. `Forbidden` at L4.
    pub fn append_header(name: &str, value: &str) -> Result<(), EditError> {
        raw::reply::append_header(name, value)
    }
}

/// The balancer that this one wraps, `then` in the configuration (balancers).
pub mod delegate {
    use crate::{NONE, raw};

    /// Its choice among all eligible endpoints; `None` when it has none, or when there is no delegate.
    pub fn pick() -> Option<u32> {
        Some(raw::delegate::pick()).filter(|&endpoint| endpoint != NONE)
    }

    /// Its choice among these candidates only: the rest is not eligible to it.
    pub fn pick_among(candidates: &[u32]) -> Option<u32> {
        Some(raw::delegate::pick_among(candidates)).filter(|&endpoint| endpoint != NONE)
    }
}

/// Sixteen counters for each use of a plugin, shared by all workers; they begin at 0.
pub mod counters {
    use crate::raw;

    /// How many there are.
    pub const SLOTS: u32 = 16;

    /// Adds, wrapping, and answers the value before. `slot` counts modulo 16.
    #[inline]
    pub fn add(slot: u32, delta: u64) -> u64 {
        raw::counters::add(slot, delta)
    }

    /// The slot to count the choices among one narrowed set of endpoints with: 1 to 15 by the
    /// set's members, when 0 counts those among all. One for all sets would make sets that take
    /// turns each see every second number only.
    pub fn slot_of(set: &[u32]) -> u32 {
        crate::balancer::counter_of(set)
    }
}

/// The host's clock: the same for all that one decision asks.
pub mod clock {
    use crate::raw;

    /// Monotonic, in nanoseconds, from an arbitrary start.
    pub fn now() -> u64 {
        raw::clock::now()
    }

    /// Since 1970-01-01 UTC, in milliseconds.
    pub fn unix_time() -> u64 {
        raw::clock::unix_time()
    }
}

/// The host's randomness: not for secrets.
pub mod random {
    use crate::raw;

    /// 64 evenly spread bits.
    #[inline]
    pub fn next() -> u64 {
        raw::random::next()
    }
}

/// Lines for the proxy's log, marked with the plugin's name; too many are dropped and counted.
pub mod log {
    use crate::raw::log::{Level, write};

    pub fn debug(message: &str) {
        write(Level::Debug, message);
    }

    pub fn info(message: &str) {
        write(Level::Info, message);
    }

    pub fn warn(message: &str) {
        write(Level::Warn, message);
    }

    pub fn error(message: &str) {
        write(Level::Error, message);
    }
}
