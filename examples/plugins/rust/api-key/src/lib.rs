//! Who may ask, and who asks: a request with a known `x-api-key` goes on as its consumer's, every other
//! is answered 401. Settings: `{"keys":{"KEY":"CONSUMER"}}`.

use std::collections::HashMap;

use jackfield_plugin::{FilterContext, HttpFilter, Phases, request, request_edit, settings};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKey {
    keys: HashMap<String, String>,
}

impl HttpFilter for ApiKey {
    fn configure(settings: &str) -> Result<Self, String> {
        match settings::parse::<Self>(settings) {
            Ok(filter) if !filter.keys.is_empty() => Ok(filter),
            _ => Err("api-key needs {\"keys\": {\"KEY\": \"CONSUMER\"}}".to_owned()),
        }
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST
    }

    fn on_request(&mut self, _: &FilterContext) {
        // An edit that is refused ends in a panic: the request goes no further than here.
        request_edit::remove_header("x-consumer").unwrap(); // it is ours to say
        match request::header("x-api-key").and_then(|key| self.keys.get(&key)) {
            Some(consumer) => {
                request_edit::set_header("x-consumer", consumer).unwrap();
                request_edit::remove_header("x-api-key").unwrap();
            }
            None => {
                let headers = [("www-authenticate", "ApiKey"), ("content-type", "text/plain")];
                let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
                request_edit::answer(401, &headers, b"a valid x-api-key is needed\n").unwrap();
            }
        }
    }
}

jackfield_plugin::http_filter!(ApiKey);
