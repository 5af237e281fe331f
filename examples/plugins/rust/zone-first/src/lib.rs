//! Endpoints of the proxy's own zone first (`settings = { zone = "eu-1" }` and their label `zone`);
//! among them, and among all when none of them can, the wrapped balancer decides (`then`).

use jackfield_plugin::{Balancer, EndpointSet, PickContext, delegate, settings};

struct ZoneFirst {
    label: (String, String),
    near: Vec<u32>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    zone: String,
}

impl Balancer for ZoneFirst {
    fn configure(text: &str) -> Result<Self, String> {
        let Settings { zone } = settings::parse(text)?;
        Ok(Self { label: ("zone".to_owned(), zone), near: Vec::new() })
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.near =
            (0..).zip(&endpoints.labels).filter(|(_, labels)| labels.contains(&self.label)).map(|(i, _)| i).collect();
    }

    fn pick(&mut self, _: &PickContext) -> Option<u32> {
        delegate::pick_among(&self.near).or_else(delegate::pick)
    }
}

jackfield_plugin::balancer!(ZoneFirst);
