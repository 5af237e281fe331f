//! A plugin with a timer, which does in it what its settings say: `{"do": "ask", "every": 100}`. Besides
//! it is a filter that changes nothing. Fixture of the tests.

use std::time::Duration;

use jackfield_plugin::http::{NoReply, Reply, Request, Ticket};
use jackfield_plugin::{FilterContext, HttpFilter, Phases, Refreshing, Replies};

struct Refresh {
    action: String,
    path: String,
    every: Duration,
    ticks: u32,
}

fn ask(path: &str) {
    let sent = Request::get("oracle", path).timeout(Duration::from_secs(2)).send();
    assert!(sent.is_ok(), "{sent:?}");
}

impl HttpFilter for Refresh {
    fn configure(settings: &str) -> Result<Self, String> {
        // `{"do":"ask","every":100,"path":"/a"}`: keys come in the order of the alphabet.
        let word = |key: &str| {
            settings.split_once(&format!("\"{key}\":"))?.1.split(['"', ',', '}']).find(|word| !word.is_empty())
        };
        let every = word("every").and_then(|every| every.parse().ok()).unwrap_or(100);
        Ok(Self {
            action: word("do").unwrap_or("ask").to_owned(),
            path: word("path").unwrap_or("/").to_owned(),
            every: Duration::from_millis(every),
            ticks: 0,
        })
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _context: &FilterContext) {}
}

impl Refreshing for Refresh {
    fn tick(&mut self) -> Duration {
        self.ticks += 1;
        match &*self.action {
            "loop" => loop {
                std::hint::black_box(&self.ticks);
            },
            "trap" => std::process::abort(),
            _ => ask(&format!("{}?tick={}", self.path, self.ticks)),
        }
        self.every
    }
}

impl Replies for Refresh {
    fn on_reply(&mut self, ticket: Ticket, reply: Result<Reply, NoReply>) {
        match (&*self.action, reply) {
            ("trap-in-reply", _) => std::process::abort(),
            // Tells the oracle what it heard.
            ("tell", Ok(reply)) if reply.header("x-told").is_none() => {
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                ask(&format!("/told?ticket={}&heard={}-{text}", ticket.0, reply.status));
            }
            // Until it may ask no more in this tick.
            ("tell", Err(_)) => drop(Request::get("oracle", "/told?nothing").send()),
            _ => {}
        }
    }
}

jackfield_plugin::http_filter!(Refresh, Refreshing, Replies);
