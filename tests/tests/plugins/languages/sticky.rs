//! `sticky-by-cookie`: a balancer with settings that keeps sessions, and leaves a cookie for the response.

use std::net::SocketAddr;
use std::sync::Arc;

use jackfield::config::PluginKind;
use jackfield::endpoint::EndpointState::{Draining, Healthy, Unhealthy};
use jackfield::endpoint::{EndpointSet, EndpointState};
use jackfield::plugin::{Balancer, Choice, Decision, Usage};
use jackfield_tests::host::Host;
use jackfield_tests::{Message, Origin, client};

use super::{assert_no_failures, build, complete, endpoints, host, no_failures, proxy, refused, request, used};

pub(super) const NAME: &str = "sticky-by-cookie";
pub(super) const SETTINGS: &str = "{\"cookie\":\"route\"}";
/// Of the calls that show whether something stays behind: what is left of each of ten thousand
/// adds up to more than an instance may have.
const LONG: usize = 8192;

pub(super) fn battery(language: &str) {
    let Some(wasm) = build(language, NAME) else { return };
    // First what compiles without a proxy's deadline: it finds it in the cache then.
    let host = host();
    let usage = host.usage_of(&wasm, PluginKind::Balancer, SETTINGS, None);
    for check in [
        sessions_outlive_drains_and_updates,
        what_may_not_be_chosen_is_not,
        forged_cookies_are_first_visits,
        without_a_delegate_they_take_turns,
    ] {
        check(&usage);
        assert_no_failures(&usage);
    }
    ten_thousand_picks_leave_nothing_behind(&host, &wasm);
    clients_come_back(&wasm);
    let settings = [
        "{}",
        "{\"cookie\":\"\"}",
        "{\"cookie\":\"a b\"}",
        "{\"cookie\":\"a;b\"}",
        "{\"cookie\":\"a\\nb\"}",
        "{\"cookie\":\"a\\n\"}",
        "{\"cookie\":\"ä\"}",
        "{\"cookie\":7}",
        "{\"cookie\":null}",
        "{\"cookie\":[\"a\"]}",
        "{\"cookie\":{\"name\":\"a\"}}",
        "{\"cookie\":\"a\",\"path\":\"/\"}",
        "{\"name\":\"a\"}",
    ];
    refused(&host, &wasm, PluginKind::Balancer, &settings, "sticky-by-cookie needs {\"cookie\": \"NAME\"}");
}

/// What a cookie says of an endpoint: the plugin's native twin.
pub(super) fn key(address: &str) -> String {
    let fnv1a = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:08x}", address.bytes().fold(0x811c_9dc5, fnv1a))
}

fn set_cookie(address: &str) -> String {
    format!("route={}; Path=/; HttpOnly; SameSite=Lax", key(address))
}

/// Three listeners: with a delegate, without, and one that passes TCP through.
fn config(origins: &[Origin; 3], draining: Option<SocketAddr>) -> String {
    let endpoint = |origin: &Origin| {
        let drain = draining == Some(origin.address());
        format!("{{ address = \"{}\", drain = {drain} }}", origin.address())
    };
    let endpoints = origins.each_ref().map(endpoint).join(", ");
    format!(
        r#"
[[listener]]
address = "127.0.0.1:0"
upstream = "wrapping"
[[listener]]
address = "127.0.0.1:0"
upstream = "alone"
[[listener]]
address = "127.0.0.1:0"
protocol = "tcp"
upstream = "wrapping"
[upstream.wrapping]
balancer = {}
endpoints = [{endpoints}]
[upstream.alone]
balancer = {}
endpoints = [{endpoints}]
"#,
        used(NAME, "{ cookie = \"route\" }", "\"least-connections\""),
        used(NAME, "{ cookie = \"route\" }", ""),
    )
}

fn clients_come_back(wasm: &[u8]) {
    let origins = ["first", "second", "third"].map(Origin::echo);
    let proxy = proxy(NAME, wasm, &config(&origins, None));
    let address_of = |answer: &Message| {
        let name = answer.json()["origin"].as_str().unwrap().to_owned();
        let number = ["first", "second", "third"].iter().position(|origin| *origin == name).unwrap();
        origins[number].address()
    };
    let mut session = origins[0].address();
    for listener in [0, 1] {
        let ask = |lines: &[&str]| client::get_with(proxy.address(listener), "/", lines);
        let first = ask(&[]);
        let address = address_of(&first);
        assert_eq!(first.head.all("set-cookie"), [set_cookie(&address.to_string())]);
        let cookie = format!("cookie: a=b; route={}; c=d", key(&address.to_string()));
        for _ in 0..10 {
            let again = ask(&[&cookie]);
            assert_eq!(address_of(&again), address);
            assert_eq!(again.header("set-cookie"), None);
        }
        session = address;
    }
    let through = client::get(proxy.address(2), "/");
    assert_eq!((through.status(), through.header("set-cookie")), (200, None));

    // Both upstreams read the same cookies.
    proxy.change_config(&complete(&config(&origins, Some(session)))).unwrap();
    let cookie = format!("cookie: route={}", key(&session.to_string()));
    for listener in [0, 1] {
        let ask = |lines: &[&str]| client::get_with(proxy.address(listener), "/", lines);
        assert_eq!(address_of(&ask(&[&cookie])), session, "a session ends where it began");
        for _ in 0..10 {
            assert_ne!(address_of(&ask(&[])), session, "no new session at one that drains");
        }
    }
    no_failures(&proxy);
}

/// One pick: who, and the cookie that was left.
fn pick(
    balancer: &mut Balancer,
    cookie: Option<&str>,
    choice: &mut Choice,
    set: &Arc<EndpointSet>,
) -> (Decision, Option<String>) {
    let line = cookie.map(|cookie| format!("route={cookie}"));
    let headers: Vec<(&str, &str)> = line.iter().map(|line| ("cookie", line.as_str())).collect();
    let (exchange, decision) = balancer.pick(request(&headers), choice, set);
    let mut left = exchange.reply.iter().map(|(name, value)| {
        assert_eq!(name, "set-cookie");
        value.to_str().unwrap().to_owned()
    });
    (decision, left.next())
}

fn plain(balancer: &mut Balancer, cookie: Option<&str>, set: &Arc<EndpointSet>) -> (Decision, Option<String>) {
    pick(balancer, cookie, &mut Choice::default(), set)
}

fn name(number: usize) -> String {
    format!("10.0.0.{number}:80")
}

fn five(generation: u64, number: usize, state: EndpointState) -> Arc<EndpointSet> {
    let mut states = [Healthy; 5];
    states[number] = state;
    endpoints(generation, &states)
}

fn sessions_outlive_drains_and_updates(usage: &Arc<Usage>) {
    let mut balancer = Balancer::start(usage, 0, &five(1, 3, Healthy)).unwrap();
    let session = key(&name(3));
    let mut come = |set: &Arc<EndpointSet>| plain(&mut balancer, Some(&session), set);
    assert_eq!(come(&five(1, 3, Healthy)), (Decision::Endpoint(3), None));
    assert_eq!(come(&five(2, 3, Draining)), (Decision::Endpoint(3), None));
    let (moved, cookie) = come(&five(3, 3, Unhealthy));
    let Decision::Endpoint(moved) = moved else { panic!("{moved:?}") };
    assert_ne!(moved, 3);
    assert_eq!(cookie, Some(set_cookie(&name(moved))));
    assert_eq!(come(&five(4, 3, Healthy)), (Decision::Endpoint(3), None));
    // Gone, and others with it.
    let (moved, cookie) = come(&endpoints(5, &[Healthy, Unhealthy]));
    assert_eq!((moved, cookie), (Decision::Endpoint(0), Some(set_cookie(&name(0)))));
    assert_eq!(come(&endpoints(6, &[Unhealthy, Draining])), (Decision::Nobody, None));
    assert_eq!(come(&endpoints(7, &[])), (Decision::Nobody, None));
}

fn what_may_not_be_chosen_is_not(usage: &Arc<Usage>) {
    for (generation, state) in [(1, Healthy), (2, Draining)] {
        let set = five(generation, 3, state);
        let mut balancer = Balancer::start(usage, 0, &set).unwrap();
        let session = key(&name(3));
        let mut tried = Choice::default();
        tried.mark_tried(set.endpoints[3].id);
        let mut narrowed = Choice::default();
        narrowed.narrow(&[1], set.len());
        let (decision, cookie) = pick(&mut balancer, Some(&session), &mut tried, &set);
        assert!(matches!(decision, Decision::Endpoint(other) if other != 3), "{decision:?}");
        assert!(cookie.is_some());
        let (decision, cookie) = pick(&mut balancer, Some(&session), &mut narrowed, &set);
        assert_eq!((decision, cookie), (Decision::Endpoint(1), Some(set_cookie(&name(1)))));
    }
}

fn forged_cookies_are_first_visits(usage: &Arc<Usage>) {
    let set = five(1, 0, Healthy);
    let mut balancer = Balancer::start(usage, 0, &set).unwrap();
    let (real, long) = (key(&name(3)), "0".repeat(LONG));
    let forged = [
        "",
        "3",
        "zzzzzzzz",
        "00000000",
        "ffffffff",
        "-1",
        "%00",
        "__proto__",
        &real[1..],
        &format!("{real}0"),
        &format!("0x{real}"),
        &format!("\"{real}\""),
        &real.to_uppercase().replace(char::is_numeric, "A"),
        &long,
    ];
    for cookie in forged {
        let (decision, left) = plain(&mut balancer, Some(cookie), &set);
        let Decision::Endpoint(endpoint) = decision else { panic!("{cookie}: {decision:?}") };
        assert_eq!(left, Some(set_cookie(&name(endpoint))), "{cookie}");
    }
}

fn without_a_delegate_they_take_turns(usage: &Arc<Usage>) {
    let set = five(1, 2, Unhealthy);
    let mut balancer = Balancer::start(usage, 0, &set).unwrap();
    let mut counts = [0; 5];
    for _ in 0..40 {
        let (decision, cookie) = plain(&mut balancer, None, &set);
        let Decision::Endpoint(endpoint) = decision else { panic!("{decision:?}") };
        assert_eq!(cookie, Some(set_cookie(&name(endpoint))));
        counts[endpoint] += 1;
    }
    assert_eq!(counts, [10, 10, 0, 10, 10]);
}

/// Long names make what is left of a call show: see [`LONG`].
fn ten_thousand_picks_leave_nothing_behind(host: &Host, wasm: &[u8]) {
    let cookie = "n".repeat(LONG);
    let usage = host.usage_of(wasm, PluginKind::Balancer, &format!("{{\"cookie\":\"{cookie}\"}}"), None);
    let set = five(1, 0, Healthy);
    let mut balancer = Balancer::start(&usage, 0, &set).unwrap();
    let line = format!("{cookie}={}", "x".repeat(LONG));
    for _ in 0..10_000 {
        let (exchange, decision) = balancer.pick(request(&[("cookie", &line)]), &mut Choice::default(), &set);
        assert!(matches!(decision, Decision::Endpoint(_)), "{decision:?}");
        assert!(exchange.reply[0].1.len() > LONG);
    }
    assert_no_failures(&usage);
}
