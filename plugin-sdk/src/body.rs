//! Bodies: the trait of a filter that reads or changes them, named in its macro line:
//! `http_filter!(Mine, BodyFilter);`. The use of such a plugin needs the grant `body`.

pub use crate::bindings::body_filtering::exports::jackfield::plugin::body_filtering::{Delivery, Verdict, Wishes};

/// A filter that sees bodies. Calls for different requests interleave: what belongs to one is kept
/// in its notes ([`request_edit::set_note`](crate::request_edit::set_note)).
pub trait BodyFilter {
    /// How this use wants bodies, asked once after `configure`.
    fn deliveries(&self) -> Wishes;

    /// A piece of the request's body, or all of it. `end` comes with the last one, which may be empty.
    fn on_request_body(&mut self, chunk: Vec<u8>, end: bool) -> Verdict {
        let _ = (chunk, end);
        Verdict::Pass
    }

    /// The same of the response's.
    fn on_response_body(&mut self, chunk: Vec<u8>, end: bool) -> Verdict {
        let _ = (chunk, end);
        Verdict::Pass
    }
}

impl Wishes {
    /// Of requests in this way, of responses none.
    pub const fn requests(request: Delivery) -> Self {
        Self { request, response: Delivery::Never }
    }

    /// Of responses in this way, of requests none.
    pub const fn responses(response: Delivery) -> Self {
        Self { request: Delivery::Never, response }
    }

    pub const NONE: Self = Self { request: Delivery::Never, response: Delivery::Never };
}
