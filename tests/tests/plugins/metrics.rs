//! The metrics that plugins make for themselves: exact over all workers, kept over reloads, bounded.

use jackfield_tests::host::guest;
use jackfield_tests::{Client, Origin, client, wait_until};

use crate::{at_once, metric, patched, put, start, with_plugins};

fn config(origin: &Origin, route: &str) -> String {
    let measure = "{ plugin = \"measure\", grants = [\"metrics\"], on-failure = \"open\" }";
    format!(
        r#"
workers = 4
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
routes = [
  {{ name = "{route}", path = "/measure/", upstream = "api", filters = [{measure}] }},
  {{ path = "/other/", upstream = "api", filters = [{measure}] }},
]
[upstream.api]
endpoints = ["{}"]
"#,
        origin.address()
    )
}

const LABELS: &str = "plugin=\"measure\",place=\"listener[0].routes[0].filters[0]\"";

#[test]
fn workers_count_together_and_a_reload_forgets_nothing() {
    let origin = Origin::echo("a");
    let proxy = start(&config(&origin, "first"), &["measure"]);
    at_once(16, 50, proxy.address(0), |request| format!("/measure/?{}", request % 20));
    let check = |seen: u64| {
        for (line, expected) in [
            (format!("jackfield_plugin_seen_total{{{LABELS}}}"), seen),
            (format!("jackfield_plugin_numbers_bucket{{{LABELS},le=\"1\"}}"), 16 * 6),
            (format!("jackfield_plugin_numbers_bucket{{{LABELS},le=\"10\"}}"), 16 * 32),
            (format!("jackfield_plugin_numbers_bucket{{{LABELS},le=\"+Inf\"}}"), 16 * 50),
            (format!("jackfield_plugin_numbers_count{{{LABELS}}}"), 16 * 50),
            (format!("jackfield_plugin_numbers_sum{{{LABELS}}}"), 16 * (190 + 190 + 45)),
        ] {
            assert_eq!(metric(&proxy, &line), expected, "{line}");
        }
    };
    check(800);
    let other = LABELS.replace("routes[0]", "routes[1]");
    assert_eq!(metric(&proxy, &format!("jackfield_plugin_seen_total{{{other}}}")), 0, "each use has its own");
    // What is no number is seen, not counted as one.
    for value in ["NaN", "inf", "-inf"] {
        client::get(proxy.address(0), &format!("/measure/?{value}"));
    }
    check(803);
    proxy.change_config(&with_plugins(&config(&origin, "second"))).unwrap();
    check(803);
    put(&proxy.plugins_folder(), "measure", &patched(&guest("measure"), "x-made", "x-mode"));
    wait_until("the new version", || {
        client::get(proxy.address(0), "/other/thousand");
        proxy.log().iter().filter(|message| *message == "configuration replaced").count() == 2
    });
    check(803);
}

#[test]
fn there_are_no_more_than_sixty_four_however_many_are_asked_for() {
    let origin = Origin::echo("a");
    let proxy = start(&config(&origin, "first"), &["measure"]);
    let mut client = Client::connect(proxy.address(0));
    // Two were there before; the paths of both uses are one to the plugin.
    assert_eq!(client.get("/measure/thousand").json()["headers"]["x-made"], "62");
    // A million take longer than a call may: stopped by the deadline, answered by policy.
    for _ in 0..3 {
        assert_eq!(client.get("/measure/million").status(), 200);
        assert_eq!(client.get("/other/").status(), 200);
    }
    let page = client::get(proxy.admin(), "/metrics").text();
    let own = page.lines().filter(|line| line.starts_with("jackfield_plugin_made_") && line.contains("routes[0]"));
    assert_eq!(own.count(), 62);
    let failures = |route: u32| {
        let place = format!("place=\"listener[0].routes[{route}].filters[0]\"");
        metric(&proxy, &format!("jackfield_plugin_failures_total{{plugin=\"measure\",{place}}}"))
    };
    assert_eq!(failures(1), 0);
    let told = proxy.log_lines().iter().filter(|line| line.contains("plugin failed")).count() as u64;
    assert_eq!(told, failures(0).min(1), "named once");
}
