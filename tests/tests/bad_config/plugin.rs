//! The places that name a plugin.

use super::{check, with_endpoint, with_listener};

#[test]
fn a_plugin_that_is_not_there() {
    check(
        &with_endpoint(r#"balancer = "least-conections""#),
        r#"bad.toml:3:12: error: no plugin `least-conections`
  balancer = "least-conections"
             ^^^^^^^^^^^^^^^^^^
  help: did you mean `least-connections`? balancers: `least-connections`, `round-robin`"#,
    );
    check(
        &with_endpoint(r#"balancer = "fastest""#),
        r#"bad.toml:3:12: error: no plugin `fastest`
  balancer = "fastest"
             ^^^^^^^^^
  help: balancers: `least-connections`, `round-robin`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
filters = ["x-forwarded-four"]"#,
        ),
        r#"bad.toml:4:12: error: no plugin `x-forwarded-four`
  filters = ["x-forwarded-four"]
             ^^^^^^^^^^^^^^^^^^
  help: did you mean `x-forwarded-for`? filters: `headers`, `x-forwarded-for`"#,
    );
    check(
        &with_endpoint(r#"balancer = { plugin = "" }"#),
        r#"bad.toml:3:23: error: no plugin ``
  balancer = { plugin = "" }
                        ^^
  help: balancers: `least-connections`, `round-robin`"#,
    );
}

#[test]
fn a_plugin_of_another_kind() {
    check(
        &with_endpoint(r#"balancer = "headers""#),
        r#"bad.toml:3:12: error: plugin `headers` is a filter, not a balancer
  balancer = "headers"
             ^^^^^^^^^
  help: balancers: `least-connections`, `round-robin`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
filters = ["round-robin", { plugin = "least-connections" }]"#,
        ),
        r#"bad.toml:4:12: error: plugin `round-robin` is a balancer, not a filter
  filters = ["round-robin", { plugin = "least-connections" }]
             ^^^^^^^^^^^^^
  help: filters: `headers`, `x-forwarded-for`
bad.toml:4:38: error: plugin `least-connections` is a balancer, not a filter
  filters = ["round-robin", { plugin = "least-connections" }]
                                       ^^^^^^^^^^^^^^^^^^^
  help: filters: `headers`, `x-forwarded-for`"#,
    );
}

#[test]
fn a_use_that_is_no_use() {
    check(
        &with_endpoint(r#"balancer = 3"#),
        r#"bad.toml:3:12: error: `balancer` must be the name of a plugin, or a table with `plugin`, found a whole number
  balancer = 3
             ^"#,
    );
    check(
        &with_endpoint(r#"balancer = {}"#),
        r#"bad.toml:3:12: error: missing key `plugin` in the use of a plugin
  balancer = {}
             ^^
  help: write `plugin = "NAME"`"#,
    );
    check(
        &with_endpoint(r#"balancer = { plugin = true }"#),
        r#"bad.toml:3:23: error: `plugin` must be a string, found true or false
  balancer = { plugin = true }
                        ^^^^"#,
    );
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", setting = {} }"#),
        r#"bad.toml:3:38: error: unknown key `setting` in the use of a plugin
  balancer = { plugin = "round-robin", setting = {} }
                                       ^^^^^^^
  help: did you mean `settings`? known keys: `plugin`, `settings`, `on-failure`, `deadline`, `memory`, `grants`, `then`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
filters = "headers""#,
        ),
        r#"bad.toml:4:11: error: `filters` must be a list, found a string
  filters = "headers"
            ^^^^^^^^^"#,
    );
}

#[test]
fn settings() {
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", settings = "fast" }"#),
        r#"bad.toml:3:49: error: `settings` must be a table, found a string
  balancer = { plugin = "round-robin", settings = "fast" }
                                                  ^^^^^^
  help: write `settings = { NAME = VALUE }`"#,
    );
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", settings = { a = [{ b = nan }] } }"#),
        r#"bad.toml:3:49: error: `settings` holds `nan`, which is not a JSON number
  balancer = { plugin = "round-robin", settings = { a = [{ b = nan }] } }
                                                  ^^^^^^^^^^^^^^^^^^^^^
  help: plugins get their settings as JSON"#,
    );
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", settings = { a = 99999999999999999999 } }"#),
        r#"bad.toml:3:49: error: `settings` holds `99999999999999999999`, which is not a JSON number
  balancer = { plugin = "round-robin", settings = { a = 99999999999999999999 } }
                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: plugins get their settings as JSON"#,
    );
}

#[test]
fn failure_policies_and_limits() {
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", on-failure = "open" }"#),
        r#"bad.toml:3:51: error: `on-failure` of a balancer cannot be `open`
  balancer = { plugin = "round-robin", on-failure = "open" }
                                                    ^^^^^^
  help: known: `fallback`, `closed`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
filters = [{ plugin = "headers", on-failure = "fallback" }]"#,
        ),
        r#"bad.toml:4:47: error: `on-failure` of a filter cannot be `fallback`
  filters = [{ plugin = "headers", on-failure = "fallback" }]
                                                ^^^^^^^^^^
  help: known: `open`, `closed`"#,
    );
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", deadline = "0ms", memory = "1KiB" }"#),
        r#"bad.toml:3:49: error: `deadline` must be longer than nothing
  balancer = { plugin = "round-robin", deadline = "0ms", memory = "1KiB" }
                                                  ^^^^^
bad.toml:3:65: error: `memory` must be from 64KiB to 4GiB, found 1024 bytes
  balancer = { plugin = "round-robin", deadline = "0ms", memory = "1KiB" }
                                                                  ^^^^^^"#,
    );
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", deadline = 50, memory = "5GiB" }"#),
        r#"bad.toml:3:49: error: `deadline` must be a duration, found a whole number
  balancer = { plugin = "round-robin", deadline = 50, memory = "5GiB" }
                                                  ^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h"
bad.toml:3:62: error: `memory` must be from 64KiB to 4GiB, found 5368709120 bytes
  balancer = { plugin = "round-robin", deadline = 50, memory = "5GiB" }
                                                               ^^^^^^"#,
    );
}

#[test]
fn how_long_a_body_is_held() {
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", body = "1MiB" }"#),
        r#"bad.toml:3:38: error: `body` does not go with a balancer: only a filter sees bodies
  balancer = { plugin = "round-robin", body = "1MiB" }
                                       ^^^^"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
filters = [{ plugin = "headers", body = "0B" }, { plugin = "headers", body = "2GiB" }]"#,
        ),
        r#"bad.toml:4:41: error: `body` must be from 1 to 1GiB, found 0 bytes
  filters = [{ plugin = "headers", body = "0B" }, { plugin = "headers", body = "2GiB" }]
                                          ^^^^
bad.toml:4:78: error: `body` must be from 1 to 1GiB, found 2147483648 bytes
  filters = [{ plugin = "headers", body = "0B" }, { plugin = "headers", body = "2GiB" }]
                                                                               ^^^^^^"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
filters = [{ plugin = "headers", body = "65MiB" }, { plugin = "headers", memory = "512KiB" }]"#,
        ),
        r#"bad.toml:4:41: error: a body of 65MiB, which `body` allows, does not fit into the plugin's `memory` of 64MiB
  filters = [{ plugin = "headers", body = "65MiB" }, { plugin = "headers", memory = "512KiB" }]
                                          ^^^^^^^
  help: write a larger `memory` or a smaller `body`"#,
    );
}

#[test]
fn a_wrapped_balancer() {
    check(
        &with_endpoint(
            r#"balancer = { plugin = "round-robin", then = { plugin = "least-connections", then = "headers" } }"#,
        ),
        r#"bad.toml:3:84: error: plugin `headers` is a filter, not a balancer
  balancer = { plugin = "round-robin", then = { plugin = "least-connections", then = "headers" } }
                                                                                     ^^^^^^^^^
  help: balancers: `least-connections`, `round-robin`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
filters = [{ plugin = "headers", then = "headers" }]"#,
        ),
        r#"bad.toml:4:34: error: `then` does not go with a filter: only a balancer wraps another
  filters = [{ plugin = "headers", then = "headers" }]
                                   ^^^^"#,
    );
    let nested = format!("{}\"round-robin\"{}", r#"{ plugin = "round-robin", then = "#.repeat(9), " }".repeat(9));
    let balancer = format!("balancer = {nested}");
    let before = balancer.find("\"round-robin\" }").unwrap();
    check(
        &with_endpoint(&balancer),
        &format!(
            "bad.toml:3:{}: error: more than 8 balancers are wrapped in one another\n  {balancer}\n  {}^^^^^^^^^^^^^",
            before + 1,
            " ".repeat(before)
        ),
    );
    check(
        &with_endpoint(r#"balancer = { plugin = "round-robin", then = ["least-connections"] }"#),
        r#"bad.toml:3:45: error: `then` must be the name of a plugin, or a table with `plugin`, found a list
  balancer = { plugin = "round-robin", then = ["least-connections"] }
                                              ^^^^^^^^^^^^^^^^^^^^^"#,
    );
}
