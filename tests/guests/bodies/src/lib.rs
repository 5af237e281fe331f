//! A filter that does with bodies what its settings say: `{"do": "...", "request": "chunks",
//! "response": "whole", "at": 3}`. Fixture of the tests.

use jackfield_plugin::{
    BodyFilter, Delivery, EditError, FilterContext, HttpFilter, Phases, Verdict, Wishes, request, request_edit,
    response, settings,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bodies {
    #[serde(rename = "do")]
    action: String,
    #[serde(default)]
    request: String,
    #[serde(default)]
    response: String,
    /// The call of a body, from 1, at which something happens.
    #[serde(default)]
    at: u32,
    #[serde(default)]
    name: String,
}

#[derive(Clone, Copy)]
enum Side {
    Request,
    Response,
}

impl HttpFilter for Bodies {
    fn configure(settings: &str) -> Result<Self, String> {
        settings::parse(settings)
    }

    fn phases(&self) -> Phases {
        if ["count", "edit"].contains(&&*self.action) { Phases::RESPONSE } else { Phases::empty() }
    }

    /// What was noted while the request's body passed.
    fn on_response(&mut self, _context: &FilterContext) {
        if let Some(count) = request::note("bytes-request") {
            let _ = response::set_header("x-uploaded", &count);
        }
        if let Some(tried) = request::note("tried") {
            let _ = response::set_header("x-tried", &tried);
        }
    }
}

impl BodyFilter for Bodies {
    fn deliveries(&self) -> Wishes {
        Wishes { request: delivery(&self.request), response: delivery(&self.response) }
    }

    fn on_request_body(&mut self, chunk: Vec<u8>, end: bool) -> Verdict {
        self.see(Side::Request, chunk, end)
    }

    fn on_response_body(&mut self, chunk: Vec<u8>, end: bool) -> Verdict {
        self.see(Side::Response, chunk, end)
    }
}

fn delivery(word: &str) -> Delivery {
    match word {
        "chunks" => Delivery::Chunks,
        "whole" => Delivery::Whole,
        _ => Delivery::Never,
    }
}

impl Bodies {
    fn see(&self, side: Side, mut chunk: Vec<u8>, end: bool) -> Verdict {
        assert!(chunk.len() <= 64 << 10 || self.is_whole(side), "a piece of {} bytes", chunk.len());
        match &*self.action {
            "name" => {
                if end {
                    chunk.extend_from_slice(self.name.as_bytes());
                }
                Verdict::Replace(chunk)
            }
            "swallow-but-the-end" if end => Verdict::Replace(b"the end".to_vec()),
            "swallow" | "swallow-but-the-end" => Verdict::Replace(Vec::new()),
            "redact" => redact(side, &chunk),
            "count" => {
                let key = note_of(side, "bytes");
                let count = request::note(&key).map_or(0, |count| count.parse::<usize>().unwrap()) + chunk.len();
                request_edit::set_note(&key, &count.to_string()).unwrap();
                if self.is_whole(side) {
                    let _ = edit(side, "x-bytes", &count.to_string());
                }
                Verdict::Pass
            }
            "waf" if contains(&chunk, b"attack") => {
                let reason: &[u8] = b"not with us";
                request_edit::answer(403, &[("x-waf".to_owned(), "attack".to_owned())], reason).unwrap();
                Verdict::Pass
            }
            "answer-and-abort" => {
                request_edit::answer(451, &[("x-why".to_owned(), "law".to_owned())], b"unavailable").unwrap();
                Verdict::Abort
            }
            "edit" => {
                let tried = [
                    word("header", edit(side, "x-edited", "1")),
                    word("note", request_edit::set_note("edited", "1")),
                    word("answer", request_edit::answer(418, &[], b"")),
                ];
                request_edit::set_note("tried", &tried.join(" ")).unwrap();
                Verdict::Pass
            }
            "path" => {
                request_edit::set_path(&format!("/{}", String::from_utf8_lossy(&chunk))).unwrap();
                Verdict::Pass
            }
            "no-content" => {
                response::set_status(204).unwrap();
                Verdict::Pass
            }
            "blow-up" => Verdict::Replace(vec![b'x'; 2 << 20]),
            "too-much" => Verdict::Replace(vec![b'x'; 3 << 20]),
            "abort" if self.is_time(side) => Verdict::Abort,
            "loop" if self.is_time(side) => endless(),
            // What a replaced piece was before the trap stays.
            "trap" | "shout-then-trap" if self.is_time(side) => std::process::abort(),
            "shout" | "shout-then-trap" => {
                chunk.make_ascii_uppercase();
                Verdict::Replace(chunk)
            }
            _ => Verdict::Pass,
        }
    }

    fn is_whole(&self, side: Side) -> bool {
        match side {
            Side::Request => self.request == "whole",
            Side::Response => self.response == "whole",
        }
    }

    /// Counts the calls of this body.
    fn is_time(&self, side: Side) -> bool {
        let key = note_of(side, "calls");
        let call = request::note(&key).map_or(0, |calls| calls.parse::<u32>().unwrap()) + 1;
        request_edit::set_note(&key, &call.to_string()).unwrap();
        call == self.at
    }
}

fn note_of(side: Side, what: &str) -> String {
    match side {
        Side::Request => format!("{what}-request"),
        Side::Response => format!("{what}-response"),
    }
}

fn edit(side: Side, name: &str, value: &str) -> Result<(), EditError> {
    match side {
        Side::Request => request_edit::set_header(name, value),
        Side::Response => response::set_header(name, value),
    }
}

fn word(what: &str, tried: Result<(), EditError>) -> String {
    let came_of_it = match tried {
        Ok(()) => "ok",
        Err(EditError::Malformed) => "Malformed",
        Err(EditError::Forbidden) => "Forbidden",
        Err(EditError::Unknown) => "Unknown",
        Err(EditError::TooMany) => "TooMany",
    };
    format!("{what}={came_of_it}")
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

fn redact(side: Side, body: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(body);
    let count = text.matches("secret").count();
    let _ = edit(side, "x-redacted", &count.to_string());
    Verdict::Replace(text.replace("secret", "[gone]!").into_bytes())
}

fn endless() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

jackfield_plugin::http_filter!(Bodies, BodyFilter);
