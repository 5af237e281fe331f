//! A filter that does with the store of its settings, `{"store": "..."}`, what the path of the request
//! says, and answers what came of it. Fixture of the tests and benches; as a balancer it asks once.

use std::time::Duration;

use jackfield_plugin::state::{StateError, Store};
use jackfield_plugin::{Balancer, FilterContext, HttpFilter, Phases, PickContext, counters, request, request_edit};

struct Keep {
    store: Store,
}

impl Keep {
    fn new(settings: &str) -> Result<Self, String> {
        let name = settings.split('"').nth(3).unwrap_or("store");
        let store = Store::open(name).map_err(|error| format!("{name}: {}", name_of(error)))?;
        Ok(Self { store })
    }
}

impl HttpFilter for Keep {
    fn configure(settings: &str) -> Result<Self, String> {
        Self::new(settings)
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _context: &FilterContext) {
        let path = request::path().unwrap_or_default();
        let mut parts = path.trim_start_matches('/').splitn(3, '/').skip(1);
        let (action, key) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let said = self.act(action, key, &request::query().unwrap_or_default());
        let _ = request_edit::answer(200, &[], said.as_bytes());
    }
}

impl Keep {
    fn act(&self, action: &str, key: &str, query: &str) -> String {
        let parameter = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(known, _)| *known == name)
                .map(|pair| pair.1)
        };
        let ttl = parameter("ttl").map(|millis| Duration::from_millis(millis.parse().unwrap()));
        let value = parameter("value").unwrap_or_default();
        match action {
            "get" => self.store.get_text(key).unwrap_or_else(|| "nothing".to_owned()),
            "number" => format!("{:?}", self.store.get_number(key)),
            "set" => word(self.store.set(key, value, ttl)),
            "add" => self.store.add(key, 1, ttl).map_or_else(|error| name_of(error).to_owned(), |sum| sum.to_string()),
            "remove" => self.store.remove(key).to_string(),
            "swap" => self.swap(key),
            "tiny" => self.fill(2_000, b""),
            "large" => self.fill(100, &[b'x'; 10_000]),
            "wrong" => self.wrong(),
            "open" => word(Store::open(key).map(|_| ())),
            _ => "no-such-action".to_owned(),
        }
    }

    /// Adds one by swapping, until it is through; says how often it tried.
    fn swap(&self, key: &str) -> String {
        for tries in 1.. {
            let old = self.store.get(key);
            let number: u64 = old.as_deref().map_or(0, |old| std::str::from_utf8(old).unwrap().parse().unwrap());
            let new = (number + 1).to_string();
            if self.store.compare_and_swap(key, old.as_deref(), Some(new.as_bytes()), None) == Ok(true) {
                return tries.to_string();
            }
        }
        unreachable!()
    }

    /// Entries that were never there before.
    fn fill(&self, count: u64, value: &[u8]) -> String {
        let first = counters::add(0, count);
        let key = |number: u64| format!("{number:x}");
        let refused = (first..first + count).filter(|number| self.store.set(&key(*number), value, None).is_err());
        format!("refused={}", refused.count())
    }

    fn wrong(&self) -> String {
        let long = "k".repeat(1025);
        let report = [
            word(self.store.set(&long, "", None)),
            word(self.store.set("k", vec![0; (64 << 10) + 1], None)),
            word(self.store.compare_and_swap("k", None, Some(&vec![0; (64 << 10) + 1]), None).map(|_| ())),
            word(self.store.add(&long, 1, None).map(|_| ())),
            word(self.store.set("text", "text", None)),
            word(self.store.add("text", 1, None).map(|_| ())),
            format!("{:?} {}", self.store.get(&long), self.store.remove(&long)),
            word(self.store.set(&long[..1024], vec![0; 64 << 10], None)),
        ];
        report.join(" ")
    }
}

fn word(result: Result<(), StateError>) -> String {
    result.map_or_else(name_of, |()| "ok").to_owned()
}

fn name_of(error: StateError) -> &'static str {
    match error {
        StateError::NotGranted => "not-granted",
        StateError::Malformed => "malformed",
        StateError::Full => "full",
        StateError::NotANumber => "not-a-number",
    }
}

impl Balancer for Keep {
    fn configure(settings: &str) -> Result<Self, String> {
        Self::new(settings)
    }

    fn pick(&mut self, _context: &PickContext) -> Option<u32> {
        let found = self.store.get("which").and_then(|value| value.first().copied());
        Some(found.unwrap_or(b'0').wrapping_sub(b'0').into())
    }
}

jackfield_plugin::http_filter!(Keep);
jackfield_plugin::balancer!(Keep);
