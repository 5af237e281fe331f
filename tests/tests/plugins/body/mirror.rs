//! An origin that sends back what it gets, while it gets it.

use http::Response;
use http_body_util::BodyExt;
use jackfield_tests::Origin;
use jackfield_tests::origin::{Body, Speaks};

/// `x-length` and `x-edited` say what stood in the request's head.
pub fn mirror(speaks: Speaks) -> Origin {
    Origin::speaking(speaks, |request| async move {
        let mut response = Response::builder();
        for (from, to) in [("content-length", "x-length"), ("x-edited", "x-edited"), ("x-redacted", "x-redacted")] {
            if let Some(value) = request.headers().get(from) {
                response = response.header(to, value);
            }
        }
        let path = request.uri().path().to_owned();
        let body: Body = request.into_body().map_err(Into::into).boxed();
        response.header("x-path", path).body(body).unwrap()
    })
}
