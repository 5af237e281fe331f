//! A client comes back to the endpoint that served it first, by a cookie that the settings name:
//! `{"cookie":"route"}`. The first choice is the wrapped balancer's (`then`), or without one they take turns.

use jackfield_plugin::{
    Balancer, EndpointSet, EndpointState, PickContext, delegate, endpoints, reply, request, settings,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    cookie: String,
}

struct StickyByCookie {
    cookie: String,
    keys: Vec<String>,
    states: Vec<EndpointState>,
    turn: usize,
}

impl Balancer for StickyByCookie {
    fn configure(settings: &str) -> Result<Self, String> {
        let token = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        match settings::parse::<Settings>(settings) {
            Ok(Settings { cookie }) if token(&cookie) => {
                Ok(Self { cookie, keys: Vec::new(), states: Vec::new(), turn: 0 })
            }
            _ => Err("sticky-by-cookie needs {\"cookie\": \"NAME\"}".to_owned()),
        }
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.keys = endpoints.addresses.iter().map(|address| key(address)).collect();
        self.states.clone_from(&endpoints.states);
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        if let Some(endpoint) = self.kept() {
            return Some(endpoint);
        }
        let chosen = delegate::pick().or_else(|| self.next(context))?;
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Lax", self.cookie, self.keys[chosen as usize]);
        // At L4 there is no response to leave it in.
        let _ = reply::append_header("set-cookie", &cookie);
        Some(chosen)
    }
}

impl StickyByCookie {
    /// The endpoint that the cookie names, if it may still have it: a draining one may, to finish the session.
    fn kept(&self) -> Option<u32> {
        let cookie = request::cookie(&self.cookie)?;
        let endpoint = self.keys.iter().position(|key| *key == cookie)?;
        let may = self.states[endpoint] != EndpointState::Unhealthy && endpoints::candidate(endpoint as u32);
        may.then_some(endpoint as u32)
    }

    fn next(&mut self, context: &PickContext) -> Option<u32> {
        self.turn = self.turn.wrapping_add(1);
        let eligible = context.eligible_positions();
        eligible.get(self.turn.checked_rem(eligible.len())?).copied()
    }
}

/// What a cookie says of an endpoint: FNV-1a of its address, in eight digits.
fn key(address: &str) -> String {
    let hash = address.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

jackfield_plugin::balancer!(StickyByCookie);
