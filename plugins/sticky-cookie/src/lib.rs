//! `sticky-cookie`: a client comes back to the endpoint that served it first.
//!
//! The first choice is made by the balancer that this one wraps (`then` in the configuration), or at
//! random where it wraps none; a cookie then names the endpoint, by a hash of its id that tells
//! nothing of its address. The cookie is honoured while the endpoint is healthy or draining. When it
//! is gone, fails or was tried in vain, a new choice is made and the cookie replaced. Every proxy
//! with the same salt understands the cookie. At L4, without cookies, each choice is a first one.
//!
//! Settings:
//! - `name`: of the cookie, default `jackfield`
//! - `path`: default `/`
//! - `max-age`: in seconds; default none: the cookie lives as long as the browser
//! - `secure`: default: when the client speaks TLS to the proxy
//! - `http-only`: default true
//! - `same-site`: `"strict"`, `"lax"` (default) or `"none"`
//! - `salt`: a text hashed in, so that nobody can find out an endpoint's address by hashing all there
//!   are; default none
//!
//! The cookie is that of RFC 6265; `SameSite` that of its revision, draft-ietf-httpbis-rfc6265bis.

mod cookie;

use cookie::Settings;
use jackfield_plugin::{
    Balancer, EndpointSet, EndpointState, PickContext, delegate, endpoints, hash, random, reply, request, settings,
};

pub struct StickyCookie {
    settings: Settings,
    salt: u64,
    healthy: Vec<u32>,
    states: Vec<EndpointState>,
    /// What the cookies say, and whom they mean; sorted.
    sessions: Vec<(u64, u32)>,
}

impl Balancer for StickyCookie {
    fn configure(settings: &str) -> Result<Self, String> {
        let settings: Settings = settings::parse(settings)?;
        settings.check()?;
        Ok(Self {
            salt: hash::bytes(settings.salt.as_bytes()),
            settings,
            healthy: Vec::new(),
            states: Vec::new(),
            sessions: Vec::new(),
        })
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
        self.states.clone_from(&endpoints.states);
        let session = |&id: &u64| hash::mix(id ^ self.salt);
        self.sessions = endpoints.ids.iter().map(session).zip(0..).collect();
        self.sessions.sort_unstable();
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        if let Some(endpoint) = self.session(context) {
            return Some(endpoint);
        }
        let endpoint = delegate::pick().or_else(|| self.any(context))?;
        let session = self.sessions.iter().find(|(_, known)| *known == endpoint);
        if let Some((session, _)) = session {
            // At L4 there is no reply to leave a cookie in.
            let _ = reply::append_header("set-cookie", &self.settings.cookie(*session));
        }
        Some(endpoint)
    }
}

impl StickyCookie {
    /// The endpoint that the request's cookie names, if it may have it.
    fn session(&self, context: &PickContext) -> Option<u32> {
        let cookie = request::cookie(&self.settings.name)?;
        let session = u64::from_str_radix(&cookie, 16).ok()?;
        let place = self.sessions.binary_search_by_key(&session, |known| known.0).ok()?;
        let endpoint = self.sessions[place].1;
        let may = match self.states.get(endpoint as usize)? {
            EndpointState::Healthy => context.all_of(&self.healthy) || endpoints::candidate(endpoint),
            EndpointState::Draining => endpoints::candidate(endpoint),
            EndpointState::Unhealthy => false,
        };
        may.then_some(endpoint)
    }

    fn any(&self, context: &PickContext) -> Option<u32> {
        let eligible = context.eligible_among(&self.healthy);
        let place = hash::below((random::next() >> 32) as u32, eligible.len() as u32);
        eligible.get(place as usize).copied()
    }
}

jackfield_plugin::balancer!(StickyCookie);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Delegate, Host};
    use jackfield_plugin::{Protocol, mock::Random};
    use std::collections::HashMap;

    fn plugin(settings: &str, host: Host) -> StickyCookie {
        host.install();
        let mut plugin = StickyCookie::configure(settings).unwrap();
        update(&mut plugin);
        plugin
    }

    fn update(plugin: &mut StickyCookie) {
        plugin.update(&mock::host(|host| host.endpoint_set()));
    }

    /// One request with this cookie: who serves it, and the Set-Cookie line if there is one.
    fn request(plugin: &mut StickyCookie, cookie: Option<&str>) -> (Option<u32>, Option<String>) {
        let context = mock::host(|host| {
            let line = |cookie: &str| ("cookie".to_owned(), format!("a=b; {cookie}").into_bytes());
            host.headers = cookie.map(line).into_iter().collect();
            host.pick_context()
        });
        let picked = plugin.pick(&context);
        let reply = mock::host(|host| std::mem::take(&mut host.reply));
        (picked, reply.first().map(|(_, value)| String::from_utf8(value.clone()).unwrap()))
    }

    fn pair(set_cookie: Option<String>) -> String {
        set_cookie.unwrap().split(';').next().unwrap().to_owned()
    }

    fn delegating_to(endpoint: u32) -> Host {
        let mut host = Host::with_endpoints(4);
        host.delegate = Delegate::Always(endpoint);
        host
    }

    #[test]
    fn the_delegate_chooses_first_and_the_cookie_ever_after() {
        let mut plugin = plugin("{}", delegating_to(2));
        let (first, cookie) = request(&mut plugin, None);
        assert_eq!(first, Some(2));
        let cookie = pair(cookie);
        mock::host(|host| host.delegate = Delegate::Always(0));
        assert_eq!(request(&mut plugin, Some(&cookie)), (Some(2), None));
        // Other positions, other workers, other proxies: the same endpoint.
        mock::host(|host| host.endpoints.rotate_left(1));
        update(&mut plugin);
        assert_eq!(request(&mut plugin, Some(&cookie)), (Some(1), None));
    }

    #[test]
    fn a_session_stays_while_its_endpoint_drains_and_moves_when_it_fails() {
        let mut plugin = plugin("{}", delegating_to(2));
        let cookie = pair(request(&mut plugin, None).1);
        mock::host(|host| {
            host.endpoints[2].state = EndpointState::Draining;
            host.delegate = Delegate::Always(1);
        });
        update(&mut plugin);
        assert_eq!(request(&mut plugin, Some(&cookie)), (Some(2), None));
        mock::host(|host| host.endpoints[2].tried = true);
        let (moved, replaced) = request(&mut plugin, Some(&cookie));
        assert_eq!(moved, Some(1));
        assert_ne!(pair(replaced), cookie);
        mock::host(|host| {
            host.endpoints[2].tried = false;
            host.endpoints[2].state = EndpointState::Unhealthy;
        });
        update(&mut plugin);
        assert_eq!(request(&mut plugin, Some(&cookie)).0, Some(1));
    }

    #[test]
    fn a_choice_from_above_binds_it() {
        let mut plugin = plugin("{}", delegating_to(2));
        let cookie = pair(request(&mut plugin, None).1);
        mock::host(|host| {
            host.endpoints[2].candidate = false;
            host.delegate = Delegate::First;
        });
        assert_eq!(request(&mut plugin, Some(&cookie)).0, Some(0));
        mock::host(|host| host.endpoints[2].state = EndpointState::Draining);
        update(&mut plugin);
        assert_eq!(request(&mut plugin, Some(&cookie)).0, Some(0), "not even to finish a session");
    }

    #[test]
    fn forged_cookies_are_first_visits() {
        let mut plugin = plugin("{}", delegating_to(3));
        for value in ["", "zz", "0", "ffffffffffffffffffffff", "-1", "\u{1F36A}"] {
            let (picked, cookie) = request(&mut plugin, Some(&format!("jackfield={value}")));
            assert!(picked == Some(3) && cookie.is_some());
        }
    }

    #[test]
    fn attributes_are_as_set() {
        let line = |settings: &str, is_tls| {
            let mut plugin = plugin(settings, delegating_to(0));
            mock::host(|host| host.is_tls = is_tls);
            let line = request(&mut plugin, None).1.unwrap();
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert_eq!(value.len(), 16);
            format!("{name} {attributes}")
        };
        assert_eq!(line("{}", false), "jackfield Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(line("{}", true), "jackfield Path=/; Secure; HttpOnly; SameSite=Lax");
        let settings = r#"{"name": "s", "path": "/app", "max-age": 60, "secure": true,
            "http-only": false, "same-site": "none"}"#;
        assert_eq!(line(settings, false), "s Path=/app; Max-Age=60; Secure; SameSite=None");
    }

    #[test]
    fn wrong_settings_are_explained() {
        let refused = |settings| StickyCookie::configure(settings).err().unwrap();
        assert!(refused(r#"{"name": "a b"}"#).starts_with("\"a b\" is no name for a cookie"));
        assert!(refused(r#"{"path": "app"}"#).starts_with("\"path\" must begin with /"));
        assert!(refused(r#"{"same-site": "none", "secure": false}"#).contains("\"secure\" is true"));
        assert_eq!(refused(r#"{"same-site": "Lax"}"#), r#"unknown value "Lax"; did you mean "lax"?"#);
    }

    #[test]
    fn at_l4_without_delegate_it_spreads() {
        let mut plugin = plugin("{}", Host::with_endpoints(4));
        mock::host(|host| host.protocol = Protocol::Tcp);
        let mut counts = [0u64; 4];
        for _ in 0..40_000 {
            let (picked, cookie) = request(&mut plugin, None);
            assert_eq!(cookie, None);
            counts[picked.unwrap() as usize] += 1;
        }
        mock::assert_proportions(&counts, &[1; 4]);
    }

    /// The twin: a map from each client to the id of its endpoint, against clients who keep cookies.
    #[test]
    fn is_a_map_of_clients() {
        let mut plugin = plugin("{}", Host::with_endpoints(5));
        let mut random = Random::new(43);
        let mut cookies: HashMap<u64, String> = HashMap::new();
        let mut map: HashMap<u64, u64> = HashMap::new();
        for _ in 0..100_000 {
            if random.below(50) == 0 {
                let (which, state) = (random.below(5) as usize, random.below(4));
                mock::host(|host| {
                    host.endpoints[which].state = match state {
                        0 => EndpointState::Unhealthy,
                        1 => EndpointState::Draining,
                        _ => EndpointState::Healthy,
                    };
                });
                update(&mut plugin);
            }
            let client = random.below(200);
            let (picked, cookie) = request(&mut plugin, cookies.get(&client).map(String::as_str));
            let endpoints = mock::host(|host| host.endpoints.clone());
            let of = |id: &u64| endpoints.iter().find(|endpoint| endpoint.id == *id);
            let mine = map.get(&client).and_then(of);
            match mine.filter(|mine| mine.state != EndpointState::Unhealthy) {
                Some(mine) => assert_eq!(endpoints[picked.unwrap() as usize].id, mine.id),
                None => {
                    assert_eq!(picked.is_some(), endpoints.iter().any(mock::Endpoint::eligible));
                }
            }
            if let (Some(picked), Some(cookie)) = (picked, cookie) {
                map.insert(client, endpoints[picked as usize].id);
                cookies.insert(client, pair(Some(cookie)));
            }
        }
    }
}
