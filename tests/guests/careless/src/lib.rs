//! A plugin with the mistakes that its author did not see, of which `{"mistake": "..."}` names one.
//! Fixture of the tests; both a balancer and an HTTP filter.

use jackfield_plugin::{
    Balancer, EndpointSet, FilterContext, HttpFilter, Phases, PickContext, endpoints, random, request, response,
};

#[derive(Default)]
struct Careless {
    mistake: String,
    /// The last choice, as a position.
    last: Option<u32>,
    zones: Vec<String>,
}

impl Careless {
    fn of(settings: &str) -> Self {
        Self { mistake: settings.split('"').nth(3).unwrap_or_default().to_owned(), ..Self::default() }
    }

    /// Takes every header for text.
    fn user(&self) -> Option<String> {
        let bytes = request::header_bytes("x-user")?;
        match &*self.mistake {
            "text" => Some(String::from_utf8(bytes).expect("a header is text")),
            _ => String::from_utf8(bytes).ok(),
        }
    }
}

impl Balancer for Careless {
    fn configure(settings: &str) -> Result<Self, String> {
        Ok(Self::of(settings))
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        let zone = |labels: &Vec<(String, String)>| {
            let zone = labels.iter().find(|(name, _)| name == "zone").map(|(_, zone)| zone.clone());
            // Whoever has labels at all has this one.
            if self.mistake == "zone" && !labels.is_empty() { zone.unwrap() } else { zone.unwrap_or_default() }
        };
        self.zones = endpoints.labels.iter().map(zone).collect();
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        self.user();
        // A position outlives an update only by luck, and a first choice may have been tried since.
        if self.mistake == "position"
            && let Some(last) = self.last
        {
            return Some(last);
        }
        if self.mistake == "chance" && context.endpoints > 0 && random::next().is_multiple_of(2) {
            return Some(context.endpoints);
        }
        self.last = (0..context.endpoints).find(|endpoint| endpoints::eligible(*endpoint));
        self.last
    }
}

impl HttpFilter for Careless {
    fn configure(settings: &str) -> Result<Self, String> {
        Ok(Self::of(settings))
    }

    fn phases(&self) -> Phases {
        Phases::REQUEST | Phases::RESPONSE
    }

    fn on_request(&mut self, _context: &FilterContext) {
        self.user();
    }

    fn on_response(&mut self, _context: &FilterContext) {
        let found = matches!(response::status(), 200..300);
        if self.mistake == "location" && !found {
            // Not each of them has one.
            let location = response::header("location").unwrap();
            let _ = response::set_header("x-location", &location);
        }
    }
}

jackfield_plugin::balancer!(Careless);
jackfield_plugin::http_filter!(Careless);
