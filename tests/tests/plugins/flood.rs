//! Plugins that say too much.

use std::time::Instant;

use jackfield_tests::{Origin, Proxy, client};

use crate::{at_once, metric, start};

fn chatters(origin: &Origin) -> Proxy {
    let chatter = "{ plugin = \"chatter\", grants = [\"log\"] }";
    let config = format!(
        r#"
workers = 2
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ path = "/flood/", upstream = "api", filters = [{chatter}] }},
  {{ path = "/modest/", upstream = "api", filters = [{chatter}] }},
  {{ path = "/debug/", upstream = "api", filters = [{chatter}] }},
]
[upstream.api]
endpoints = ["{}"]
"#,
        origin.address()
    );
    start(&config, &["chatter"])
}

fn count(proxy: &Proxy, message: &str) -> usize {
    proxy.log().iter().filter(|line| *line == message).count()
}

#[test]
fn a_flood_from_two_workers_is_bounded_counted_and_drowns_nobody() {
    let origin = Origin::echo("a");
    let proxy = chatters(&origin);
    let begin = Instant::now();
    at_once(8, 25, proxy.address(0), |_| "/flood/?too-much".to_owned());
    client::get(proxy.address(0), "/modest/?a-word");
    proxy.wait_for_log("a-word");
    let seconds = begin.elapsed().as_secs() as usize + 2;
    let flood = count(&proxy, "too-much");
    // Ten lines a second, and one for each other worker that began the same second.
    assert!((10..=seconds * 11).contains(&flood), "{flood} lines in {seconds} s");
    let place = "plugin=\"chatter\",place=\"listener[0].routes";
    let dropped =
        |route| metric(&proxy, &format!("jackfield_plugin_log_dropped_total{{{place}[{route}].filters[0]\"}}"));
    assert_eq!((dropped(0) as usize + flood, dropped(1)), (8 * 25 * 1_000, 0), "each line is told or counted");
    let said = "plugin says more than 10 lines in a second; the others are dropped";
    let told = count(&proxy, said);
    assert!((1..seconds).contains(&told), "{told} times in {seconds} s");
    let line = proxy.wait_for_log(said);
    assert!(line.contains("\"place\":\"listener[0].routes[0].filters[0]\""), "{line}");
}

#[test]
fn what_the_operator_does_not_want_to_see_costs_no_line() {
    let origin = Origin::echo("a");
    let proxy = chatters(&origin);
    client::get(proxy.address(0), "/debug/?unseen");
    client::get(proxy.address(0), "/modest/?seen");
    proxy.wait_for_log("seen");
    assert_eq!(count(&proxy, "unseen"), 0);
    let place = "plugin=\"chatter\",place=\"listener[0].routes[2].filters[0]\"";
    assert_eq!(metric(&proxy, &format!("jackfield_plugin_log_dropped_total{{{place}}}")), 0);
}
