//! A plugin that tries what a plugin may not do, and tells what came of it. What it tries stands in
//! the path of the request. Fixture of the tests; both a balancer and an HTTP filter.

use jackfield_plugin::prepared_edits::{self, Action, Edit, Prepared, Value};
use jackfield_plugin::{
    Balancer, EditError, EndpointSet, FilterContext, HttpFilter, Phases, PickContext, delegate, log, reply, request,
    request_edit, response,
};

struct Meddle {
    /// What the delegate answered when there was nothing to decide.
    in_update: Option<u32>,
}

type Tried = Result<(), EditError>;

impl Balancer for Meddle {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self { in_update: None })
    }

    fn update(&mut self, _endpoints: &EndpointSet) {
        self.in_update = delegate::pick();
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let report = [
            word("set-header", request_edit::set_header("x-from-pick", "1")),
            word("answer", request_edit::answer(200, &[], b"from pick")),
            word("upstream", request_edit::choose_upstream("other")),
            word("response", response::set_header("x-from-pick", "1")),
            word("reply-length", reply::append_header("content-length", "3")),
            format!("delegate-in-update={:?}", self.in_update),
        ];
        let replies = (0..20).filter(|_| reply::append_header("x-reply", "1").is_ok()).count();
        // The report is one of the sixteen.
        log::info(&format!("pick: {} replies={replies}", report.join(" ")));
        (0..context.endpoints).next()
    }
}

impl HttpFilter for Meddle {
    fn configure(_settings: &str) -> Result<Self, String> {
        Ok(Self { in_update: None })
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST | Phases::RESPONSE
    }

    fn on_request(&mut self, _context: &FilterContext) {
        let path = request::path().unwrap_or_default();
        match path.strip_prefix("/meddle/") {
            Some("headers") => tell(&headers()),
            Some("messages") => tell(&messages()),
            Some("prepared") => tell(&prepared()),
            Some("flood") => flood(),
            Some("notes") => tell(&notes()),
            Some("huge") => huge(),
            Some("log") => log::error(&"\u{1b}[31mforged\nline ".repeat(1000)),
            Some("hand-over") => log::error(&"x".repeat(3 << 20)),
            Some("no-content") => drop(request_edit::answer(204, &[], b"a body")),
            _ => {}
        }
    }

    fn on_response(&mut self, _context: &FilterContext) {
        let path = request::path().unwrap_or_default();
        let report = match path.strip_prefix("/meddle/") {
            Some("after") => after(),
            Some("status") => status(),
            Some("flood-response") => {
                let set = (0..1000).filter(|i| response::set_header(&format!("x-flood-{i}"), "1").is_ok()).count();
                let _ = response::remove_header("x-flood-0");
                vec![format!("set={set}")]
            }
            _ => return,
        };
        let _ = response::set_header("x-report", &report.join(" "));
    }
}

fn word(what: &str, tried: Tried) -> String {
    let came_of_it = match tried {
        Ok(()) => "ok",
        Err(EditError::Malformed) => "Malformed",
        Err(EditError::Forbidden) => "Forbidden",
        Err(EditError::Unknown) => "Unknown",
        Err(EditError::TooMany) => "TooMany",
    };
    format!("{what}={came_of_it}")
}

fn tell(report: &[String]) {
    let _ = request_edit::answer(200, &[], report.join("\n").as_bytes());
}

fn headers() -> Vec<String> {
    let names = [
        "content-length",
        "Transfer-Encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "proxy-connection",
        "host",
        ":path",
        "",
        "a b",
        "a\r\nb",
        "ä",
        "X-Good",
    ];
    let set_names = names.iter().map(|name| word(&format!("{name:?}"), request_edit::set_header(name, "1")));
    let values = ["a\r\nx-injected: 1", "a\nb", "a\0b", "\u{7f}", "tab\tand ä"];
    let set_values = values.iter().map(|value| word(&format!("{value:?}"), request_edit::set_header("x-value", value)));
    let bytes = [
        word("bytes", request_edit::set_header_bytes("x-bytes", &[0xff, 0xfe])),
        word("bytes-newline", request_edit::set_header_bytes("x-bytes", b"a\nb")),
        word("append", request_edit::append_header("content-length", "1")),
        word("join", request_edit::join_header("connection", "close")),
        word("join-value", request_edit::join_header("x-good", "a\r\nb")),
        word("copy", request_edit::copy_header("host", "content-length")),
        word("copy-nothing", request_edit::copy_header("x-nothing", "x-copied")),
        word("remove", request_edit::remove_header("host")),
    ];
    set_names.chain(set_values).chain(bytes).collect()
}

fn prepared() -> Vec<String> {
    let list =
        |name: &str, action| prepared_edits::prepare(&[Edit::new("x-good", Action::Remove), Edit::new(name, action)]);
    let text = |text: &str| Action::Set(Value::Text(text.to_owned()));
    let word = |what: &str, tried: Result<Prepared, EditError>| word(what, tried.map(|_| ()));
    let Ok(good) = list("x-prepared", Action::Append(Value::Host)) else { return Vec::new() };
    let refused = vec![
        word("length", list("content-length", text("1"))),
        word("remove-host", list("host", Action::Remove)),
        word("name", list("a b", text("1"))),
        word("value", list("x-a", text("a\r\nx-injected: 1"))),
        word("source", list("x-a", Action::Set(Value::Header("a b".to_owned())))),
        word("text", list("x-a", text(&"a".repeat(64 << 10)))),
        format!("made={}", request_edit::apply(good)),
        format!(
            "without-value={}",
            request_edit::apply(list("x-a", Action::Join(Value::Header("x-no".to_owned()))).unwrap_or(good))
        ),
        format!("on-the-response={}", response::apply(good)),
    ];
    let lists = (0..2000).filter(|_| prepared_edits::prepare(&[]).is_ok()).count();
    refused.into_iter().chain([format!("lists={lists}")]).collect()
}

fn messages() -> Vec<String> {
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    vec![
        word("method", request_edit::set_method("G ET")),
        word("connect", request_edit::set_method("CONNECT")),
        word("path", request_edit::set_path("no-slash")),
        word("path-space", request_edit::set_path("/a b HTTP/1.1\r\nx: y")),
        word("host", request_edit::set_host("a b")),
        word("host-user", request_edit::set_host("user@example.com")),
        word("host-newline", request_edit::set_host("a\r\nb")),
        word("upstream", request_edit::choose_upstream("nowhere")),
        word("answer-101", request_edit::answer(101, &[], b"")),
        word("answer-999", request_edit::answer(999, &[], b"")),
        word("answer-length", request_edit::answer(200, &header("content-length", "7"), b"")),
        word("answer-newline", request_edit::answer(200, &header("x-a", "a\r\nb"), b"")),
        word("answer-headers", request_edit::answer(200, &vec![("x-a".to_owned(), "a".to_owned()); 300], b"")),
        word("answer-body", request_edit::answer(200, &[], &vec![0; (1 << 20) + 1])),
        word("response", response::set_status(200)),
        format!("path-kept={}", request::path().unwrap_or_default()),
        format!("host-kept={}", request::host().unwrap_or_default()),
    ]
}

fn flood() {
    let set = (0..1000).filter(|i| request_edit::set_header(&format!("x-flood-{i}"), "1").is_ok()).count();
    let _ = request_edit::remove_header("x-flood-0");
    let _ = request_edit::set_header("x-report", &set.to_string());
}

fn notes() -> Vec<String> {
    let kept = (0..100).filter(|i| request_edit::set_note(&format!("note-{i}"), "1").is_ok()).count();
    vec![
        format!("kept={kept}"),
        word("again", request_edit::set_note("note-1", "2")),
        word("huge", request_edit::set_note("note-1", &"x".repeat(5000))),
        format!("note={:?}", request::note("note-1")),
    ]
}

/// Forwards whatever fits.
fn huge() {
    let value = "x".repeat(10_000);
    let set = (0..200).filter(|i| request_edit::set_header(&format!("x-huge-{i}"), &value).is_ok()).count();
    tell(&[format!("set={set}")]);
}

fn after() -> Vec<String> {
    vec![
        word("set-header", request_edit::set_header("x-late", "1")),
        word("answer", request_edit::answer(200, &[], b"late")),
        word("upstream", request_edit::choose_upstream("other")),
        word("length", response::set_header("content-length", "1")),
        word("append", response::append_header("transfer-encoding", "chunked")),
        word("newline", response::set_header("x-a", "a\r\nb")),
        word("remove", response::remove_header("connection")),
        word("note", request_edit::set_note("late", "1")),
    ]
}

fn status() -> Vec<String> {
    let tried = [101, 100, 600, 999, 0].map(|status| word(&status.to_string(), response::set_status(status)));
    let _ = response::set_status(204);
    tried.into()
}

jackfield_plugin::balancer!(Meddle);
jackfield_plugin::http_filter!(Meddle);
