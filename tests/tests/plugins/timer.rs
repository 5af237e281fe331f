//! Plugins with a timer: called on the control side, from the start to their removal, whatever becomes
//! of the service that they ask.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Response;
use jackfield_tests::origin::{Body, Speaks, text};
use jackfield_tests::{Authority, Origin, Proxy, client, raw, wait_for, wait_until};

use crate::{metric, start, with_plugins};

/// A route with the filter `refresh` for each of these settings.
fn config(oracle: SocketAddr, of_oracle: &str, uses: &[&str]) -> String {
    let route = |(number, settings): (usize, &&str)| {
        format!(
            "{{ path = \"/{number}/\", upstream = \"oracle\", filters = [{{ plugin = \"refresh\", \
             settings = {{ {settings} }}, grants = [\"timer\", \"http:oracle\"] }}] }},"
        )
    };
    format!(
        "workers = 2\nadmin = {{ address = \"127.0.0.1:0\" }}\n[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [{}\n\
         {{ path = \"/plain/\", upstream = \"oracle\" }}]\n[upstream.oracle]\nendpoints = [\"{oracle}\"]\n{of_oracle}\n",
        uses.iter().enumerate().map(route).collect::<String>()
    )
}

#[track_caller]
fn refreshing(oracle: SocketAddr, uses: &[&str]) -> Proxy {
    start(&config(oracle, "", uses), &["refresh"])
}

fn place(number: usize) -> String {
    format!("{{plugin=\"refresh\",place=\"listener[0].routes[{number}].filters[0]\"}}")
}

/// Keeps when it was asked for which path.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<(Instant, String)>>>);

impl Asked {
    fn origin(&self, speaks: Speaks) -> Origin {
        let asked = self.clone();
        Origin::speaking(speaks, move |request| {
            let path = request.uri().path_and_query().unwrap().to_string();
            let is_told = path.starts_with("/told");
            asked.0.lock().unwrap().push((Instant::now(), path));
            async move { if is_told { told() } else { text("news") } }
        })
    }

    fn all(&self) -> Vec<(Instant, String)> {
        self.0.lock().unwrap().clone()
    }

    /// How often for paths that begin so.
    fn count(&self, prefix: &str) -> usize {
        self.all().iter().filter(|(_, path)| path.starts_with(prefix)).count()
    }

    #[track_caller]
    fn wait_for_more(&self, prefix: &str, more: usize) {
        let before = self.count(prefix);
        wait_until(&format!("{more} more for {prefix}"), || self.count(prefix) >= before + more);
    }
}

fn told() -> Response<Body> {
    let mut answer = text("told");
    answer.headers_mut().insert("x-told", "1".parse().unwrap());
    answer
}

#[test]
fn it_is_called_at_the_start_and_then_at_its_interval() {
    let asked = Asked::default();
    let oracle = asked.origin(Speaks::default());
    let _proxy = refreshing(oracle.address(), &["do = \"ask\", every = 150, path = \"/a\""]);
    wait_until("five calls", || asked.count("/a") >= 5);
    let all = asked.all();
    // One instance for the whole process, with two workers.
    let expected: Vec<String> = (1..=5).map(|tick| format!("/a?tick={tick}")).collect();
    assert_eq!(all.iter().take(5).map(|(_, path)| path.clone()).collect::<Vec<_>>(), expected);
    for pair in all[..5].windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!(gap >= Duration::from_millis(140), "{gap:?}");
    }
}

#[test]
fn it_hears_replies_and_asks_again_over_every_protocol() {
    let authority = Authority::new();
    let tls = |alpn: &[&str]| Some(authority.certificate(&["oracle.example"]).server(alpn));
    for (speaks, of_oracle) in [
        (Speaks::default(), ""),
        (Speaks { http2: true, ..Speaks::default() }, "protocol = \"h2\""),
        (
            Speaks { tls: tls(&["http/1.1"]), ..Speaks::default() },
            "tls = { ca = \"ca.pem\", server-name = \"oracle.example\" }",
        ),
        (
            Speaks { tls: tls(&["h2"]), ..Speaks::default() },
            "tls = { ca = \"ca.pem\", server-name = \"oracle.example\" }",
        ),
    ] {
        let asked = Asked::default();
        let oracle = asked.origin(speaks);
        let config = config(oracle.address(), of_oracle, &["do = \"tell\""]);
        let proxy = Proxy::start_with(jackfield_tests::program!(), &with_plugins(&config), |folder| {
            std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
            crate::put(&crate::plugins_folder(folder), "refresh", &jackfield_tests::host::guest("refresh"));
        });
        wait_until("the reply to be told", || asked.count("/told?ticket=0&heard=200-news") >= 1);
        assert!(asked.count("/?tick=1") >= 1, "{:?}", asked.all());
        let outcome = metric(
            &proxy,
            "jackfield_plugin_requests_total{plugin=\"refresh\",place=\"listener[0].routes[0].filters[0]\",outcome=\"unreachable\"}",
        );
        assert_eq!(outcome, 0);
    }
}

#[test]
fn it_survives_that_the_service_is_down() {
    let asked = Asked::default();
    let address = raw::nobody();
    let proxy = refreshing(address, &["do = \"tell\""]);
    let ticks = || metric(&proxy, &format!("jackfield_plugin_ticks_total{}", place(0)));
    wait_until("a few calls", || ticks() >= 3);
    let _oracle = asked.origin(Speaks { port: address.port(), ..Speaks::default() });
    wait_until("news", || asked.count("/told?ticket") >= 1);
    assert_eq!(metric(&proxy, &format!("jackfield_plugin_failures_total{}", place(0))), 0);
    // The same instance all the time: it counted what nobody heard.
    assert!(asked.count("/?tick=1&") == 0 && asked.count("/?tick=2&") == 0);
}

#[test]
fn it_stops_when_a_reload_removes_it() {
    let asked = Asked::default();
    let oracle = asked.origin(Speaks::default());
    let [a, b] = ["do = \"ask\", path = \"/a\"", "do = \"ask\", path = \"/b\""];
    let proxy = refreshing(oracle.address(), &[b, a]);
    wait_until("both", || asked.count("/a") >= 2 && asked.count("/b") >= 2);
    proxy.change_config(&with_plugins(&config(oracle.address(), "", &[b]))).unwrap();
    // What was on its way when the reload came.
    asked.wait_for_more("/b", 2);
    let last = asked.count("/a");
    asked.wait_for_more("/b", 10);
    assert_eq!(asked.count("/a"), last);
}

#[test]
fn it_does_not_come_twice_when_a_reload_keeps_it() {
    let asked = Asked::default();
    let oracle = asked.origin(Speaks::default());
    let kept = "do = \"ask\", every = 400, path = \"/a\"";
    let proxy = refreshing(oracle.address(), &[kept]);
    wait_until("the first call", || asked.count("/a") >= 1);
    // The number of routes changes, this use does not.
    let mut reloads = 0;
    while asked.count("/a") < 6 {
        reloads += 1;
        let others = vec!["do = \"ask\", every = 3000000, path = \"/other\""; reloads % 2];
        let uses = [&[kept][..], &others].concat();
        proxy.change_config(&with_plugins(&config(oracle.address(), "", &uses))).unwrap();
    }
    assert!(reloads >= 6, "{reloads}");
    let times: Vec<Instant> =
        asked.all().iter().filter(|(_, path)| path.starts_with("/a")).map(|(at, _)| *at).collect();
    // The first call did not know yet when the next is to come.
    for pair in times[1..].windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap >= Duration::from_millis(350), "{gap:?} in {times:?}");
    }
    let before = asked.count("/new");
    let changed = "do = \"ask\", every = 3000000, path = \"/new\"";
    proxy.change_config(&with_plugins(&config(oracle.address(), "", &[changed]))).unwrap();
    wait_until("the first call of a use that changed", || asked.count("/new") > before);
}

/// Lines of the log that say this of the filter of this route.
fn lines(proxy: &Proxy, text: &str, route: usize) -> usize {
    let place = format!("routes[{route}]");
    proxy.log_lines().iter().filter(|line| line.contains(text) && line.contains(&place)).count()
}

#[test]
fn one_that_never_returns_is_stopped_put_into_quarantine_and_moves_nobody_else() {
    let asked = Asked::default();
    let oracle = asked.origin(Speaks::default());
    for action in ["loop", "trap", "trap-in-reply"] {
        let bad = format!("do = \"{action}\"");
        let proxy = refreshing(oracle.address(), &[&bad, "do = \"ask\", path = \"/good\""]);
        let number = |name: &str, route: usize| metric(&proxy, &format!("jackfield_plugin_{name}{}", place(route)));
        wait_for("the quarantine", || {
            assert_eq!(client::get(proxy.address(0), "/plain/").status(), 200);
            // Its requests are not its timer's: the filter serves on.
            assert_eq!(client::get(proxy.address(0), "/0/").status(), 200);
            proxy.log_contains("its timer is not called").then_some(())
        });
        assert!(number("failures_total", 0) >= 5, "{action}");
        assert_eq!(number("quarantined", 0), 0);
        assert_eq!(lines(&proxy, "plugin failed in its timer", 0), 1, "{action}");
        assert_eq!(lines(&proxy, "", 1), 0);
        asked.wait_for_more("/good", 2);
        assert_eq!(number("failures_total", 1), 0);
        // It comes back after the quarantine, and goes into the next.
        let ticks = number("ticks_total", 0);
        wait_until("the quarantine's end", || number("ticks_total", 0) > ticks);
    }
}

#[test]
fn a_balancers_timer_knows_the_endpoints_of_the_moment() {
    let asked = Asked::default();
    let oracle = asked.origin(Speaks::default());
    let mut endpoint = Origin::echo("a");
    let address = endpoint.address();
    let config = format!(
        "workers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\n[upstream.api]\nendpoints = [\"{address}\"]\n\
         balancer = {{ plugin = \"oracle\", grants = [\"timer\", \"http:oracle\"] }}\n\
         health = {{ path = \"/\", interval = \"50ms\", fall = 1, rise = 1 }}\n\
         [upstream.oracle]\nendpoints = [\"{}\"]\n",
        oracle.address()
    );
    let proxy = start(&config, &["oracle"]);
    wait_until("what it knows at first", || asked.count(&format!("/known?{address}-EndpointState::Healthy")) >= 1);
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    endpoint.kill();
    wait_until("the change", || asked.count(&format!("/known?{address}-EndpointState::Unhealthy")) >= 1);
}

/// From an oracle by the timer into a store, from there into the picks of all workers.
#[test]
fn what_an_oracle_says_reaches_the_picks_which_never_wait_for_it() {
    let origins = ["first", "second"].map(Origin::echo);
    let advice = Arc::new(Mutex::new(origins[1].address().to_string()));
    let said = Arc::clone(&advice);
    let mut oracle = Origin::speaking(Speaks::default(), move |_| {
        let said = said.lock().unwrap().clone();
        async move { text(&said) }
    });
    let config = format!(
        "workers = 2\n[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\n[upstream.api]\nendpoints = [\"{}\", \"{}\"]\n\
         balancer = {{ plugin = \"forecast\", grants = [\"timer\", \"http:oracle\", \"state:advice\"] }}\n\
         [upstream.oracle]\nendpoints = [\"{}\"]\n",
        origins[0].address(),
        origins[1].address(),
        oracle.address()
    );
    let proxy = start(&config, &["forecast"]);
    let served = || client::get(proxy.address(0), "/").json()["origin"].as_str().unwrap().to_owned();
    wait_until("the advice", || served() == "second");
    // On new connections, which both workers take.
    (0..20).for_each(|_| assert_eq!(served(), "second"));
    *advice.lock().unwrap() = origins[0].address().to_string();
    wait_until("other advice", || served() == "first");
    oracle.kill();
    (0..20).for_each(|_| assert_eq!(served(), "first"));
}
