//! External authentication: asks the upstream `auth-service` who the user is. Fixture of the tests,
//! and the example of docs/asking.md.

use std::time::Duration;

use jackfield_plugin::http::{NoReply, Reply, Request, Ticket};
use jackfield_plugin::{FilterContext, HttpFilter, Phases, Replies, request, request_edit};

struct Auth;

impl HttpFilter for Auth {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _context: &FilterContext) {
        // Nobody but the service says who the user is.
        let _ = request_edit::remove_header("x-user");
        let question = Request::get("auth-service", "/check")
            .header("x-path", &request::path().unwrap_or_default())
            .header("cookie", &request::header("cookie").unwrap_or_default())
            .timeout(Duration::from_secs(2));
        if question.send().is_err() {
            refuse(500, b"the request cannot be checked\n");
        }
    }
}

impl Replies for Auth {
    fn on_reply(&mut self, _ticket: Ticket, reply: Result<Reply, NoReply>) {
        match reply {
            Ok(reply) if reply.status == 200 => {
                let _ = request_edit::set_header("x-user", reply.header("x-user").unwrap_or("unknown"));
            }
            Ok(reply) => refuse(401, &reply.body),
            Err(_) => refuse(503, b"nobody can say who you are\n"),
        }
    }
}

fn refuse(status: u16, body: &[u8]) {
    let _ = request_edit::answer(status, &[], body);
}

jackfield_plugin::http_filter!(Auth, Replies);
