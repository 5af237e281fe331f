//! A plugin that asks the upstream `service` what the last word of the request's path says, and answers with what
//! came of it. Fixture of the tests; both a balancer and an HTTP filter.

use std::time::Duration;

use jackfield_plugin::http::{NoReply, Reply, Request, SendError, Ticket};
use jackfield_plugin::{
    Balancer, FilterContext, HttpFilter, Phases, PickContext, Replies, log, request, request_edit, response,
};

struct Ask {
    in_configure: Result<Ticket, SendError>,
}

fn get(path: &str) -> Request {
    Request::get("service", path)
}

impl Ask {
    fn new() -> Self {
        Self { in_configure: get("/configure").send() }
    }
}

impl Balancer for Ask {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self::new())
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let refused = get("/pick").send().map_err(|error| error.name().to_owned());
        log::info(&format!("send in pick: {refused:?}"));
        (0..context.endpoints).next()
    }
}

impl HttpFilter for Ask {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self::new())
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST | Phases::RESPONSE
    }

    fn on_request(&mut self, _context: &FilterContext) {
        let path = request::path().unwrap_or_default();
        let sent = match path.rsplit('/').next().unwrap_or_default() {
            "once" | "waits" | "trap" | "loop" => get("/first").send(),
            "soon" => get("/first").timeout(Duration::from_millis(200)).send(),
            "two-and-a-third" => get("/first").send().and_then(|_| get("/second").send()),
            "post" => Request::post("service", "/first?a=b", "x".repeat(100_000)).header("host", "own.example").send(),
            "huge" => Request::post("service", "/first", vec![b'x'; 1 << 20]).send(),
            "elsewhere" => Request::get("other", "/").send(),
            "hundred" => Ok(hundred()),
            "chain" => get("/chain").send(),
            "answer-at-once" => get("/first").send().inspect(|_| tell("at once")),
            "trap-at-once" => {
                let _ = get("/first").send();
                std::process::abort()
            }
            "malformed" => return malformed(),
            "configure" => self.in_configure,
            _ => return,
        };
        if let Err(error) = sent {
            tell(error.name());
        }
    }

    fn on_response(&mut self, _context: &FilterContext) {
        if request::path().is_some_and(|path| path.contains("/answered/")) {
            let sent = get("/of-the-response").send();
            let _ = response::set_header("x-sent", &format!("{sent:?}"));
        }
    }
}

impl Replies for Ask {
    fn on_reply(&mut self, ticket: Ticket, reply: Result<Reply, NoReply>) {
        let path = request::path().unwrap_or_default();
        let text = match &reply {
            Ok(reply) => {
                format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body[..reply.body.len().min(100)]))
            }
            Err(NoReply::Timeout) => "timeout".to_owned(),
            Err(NoReply::Unreachable) => "unreachable".to_owned(),
            Err(NoReply::TooLarge) => "too-large".to_owned(),
        };
        if path.contains("/answered/") {
            let _ = response::set_header("x-heard", &text);
            return;
        }
        match path.rsplit('/').next().unwrap_or_default() {
            "trap" => std::process::abort(),
            "loop" => loop {
                std::hint::black_box(&text);
            },
            "two-and-a-third" => {
                // What came so far is a note: the next reply may find another instance.
                let heard = request::note("heard").unwrap_or_default() + &format!("{}={text}\n", ticket.0);
                let _ = request_edit::set_note("heard", &heard);
                match heard.lines().count() {
                    1 => drop(get("/third").send()),
                    3 => tell(&heard),
                    _ => {}
                }
            }
            "chain" => match get("/chain").send() {
                Ok(_) => {}
                Err(error) => tell(&format!("{} {}", ticket.0, error.name())),
            },
            "hundred" => {}
            "post" | "once" | "soon" => tell(&text),
            _ => drop(request_edit::set_header("x-heard", &text)),
        }
    }
}

/// How many may be sent, and what becomes of the rest.
fn hundred() -> Ticket {
    let sent: Vec<_> = (0..100).map(|_| get("/first").send()).collect();
    let fit = sent.iter().filter(|sent| sent.is_ok()).count();
    assert!(sent[fit..].iter().all(|sent| *sent == Err(SendError::TooMany)));
    let _ = request_edit::set_header("x-fit", &fit.to_string());
    Ticket(0)
}

fn malformed() {
    let tried = [
        get("no-slash"),
        get("/a b"),
        get("/a\r\nb"),
        Request::new("CONNECT", "service", "/"),
        Request::new("G T", "service", "/"),
        get("/").header("content-length", "1"),
        get("/").header("transfer-encoding", "chunked"),
        get("/").header("connection", "close"),
        get("/").header("a", "b\r\nc: d"),
        get("/").header("host", "a b"),
        get("/").header("host", "user@a"),
        get("/").header("host", "a").header("host", "b"),
        get("/").timeout(Duration::ZERO),
        get("/").timeout(Duration::from_secs(31)),
        Request::post("service", "/", vec![0; (1 << 20) + 1]),
    ];
    let results: Vec<_> = tried.into_iter().map(Request::send).collect();
    tell(if results.iter().all(|sent| *sent == Err(SendError::Malformed)) { "all refused" } else { "some went out" });
}

fn tell(text: &str) {
    let _ = request_edit::answer(200, &[], text.as_bytes());
}

jackfield_plugin::balancer!(Ask);
jackfield_plugin::http_filter!(Ask, Replies);
