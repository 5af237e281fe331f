//! What plugins are granted, and what they need.

use std::path::Path;

use jackfield::config::{self, Grant, KnownPlugin, KnownPlugins, Need, Needed, PluginKind};

use super::{check, check_with, source, with_endpoint, with_listener, with_root};

/// Those of the other tests, and some that need something.
fn needy(folder: Option<&Path>) -> KnownPlugins {
    let needed = |(interface, need): &(&str, Need)| Needed { interface: (*interface).to_owned(), need: *need };
    let plugin = |name: &str, kind, needs: &[(&str, Need)]| {
        (name.to_owned(), KnownPlugin { kinds: vec![kind], needs: needs.iter().map(needed).collect() })
    };
    let clocks = [
        ("wasi:clocks/monotonic-clock@0.2.6", Need::Clock),
        ("wasi:clocks/wall-clock@0.2.6", Need::Clock),
        ("wasi:random/random@0.2.6", Need::Random),
    ];
    let asks = [("jackfield:plugin/http@0.1.0", Need::Http), ("jackfield:plugin/refreshing@0.1.0", Need::Timer)];
    let needy = [
        plugin("runtime", PluginKind::Balancer, &clocks),
        plugin("oracle", PluginKind::Balancer, &asks),
        plugin("waf", PluginKind::HttpFilter, &[("jackfield:plugin/body-filtering@0.1.0", Need::Body)]),
        plugin("limit", PluginKind::HttpFilter, &[("jackfield:plugin/state@0.1.0", Need::State)]),
    ];
    super::known(folder).into_iter().chain(needy).collect()
}

#[test]
fn what_is_no_grant() {
    let use_with =
        |grants: &str| with_endpoint(&format!(r#"balancer = {{ plugin = "round-robin", grants = {grants} }}"#));
    check(
        &use_with(r#"["clok", "state", "http", "state:", "state:a b", "http:apo", 3]"#),
        r#"bad.toml:3:48: error: unknown grant `clok`
  balancer = { plugin = "round-robin", grants = ["clok", "state", "http", "state:", "state:a b", "http:apo", 3] }
                                                 ^^^^^^
  help: did you mean `clock`? known: `clock`, `random`, `log`, `metrics`, `timer`, `body`, `state:NAME`, `http:UPSTREAM`
bad.toml:3:56: error: `state` names no store
  balancer = { plugin = "round-robin", grants = ["clok", "state", "http", "state:", "state:a b", "http:apo", 3] }
                                                         ^^^^^^^
  help: write `state:NAME`
bad.toml:3:65: error: `http` names no upstream
  balancer = { plugin = "round-robin", grants = ["clok", "state", "http", "state:", "state:a b", "http:apo", 3] }
                                                                  ^^^^^^
  help: write `http:UPSTREAM`
bad.toml:3:73: error: `` is not a name for a store
  balancer = { plugin = "round-robin", grants = ["clok", "state", "http", "state:", "state:a b", "http:apo", 3] }
                                                                          ^^^^^^^^
  help: a name has 1 to 64 letters, digits, `-` and `_`
bad.toml:3:83: error: `a b` is not a name for a store
  balancer = { plugin = "round-robin", grants = ["clok", "state", "http", "state:", "state:a b", "http:apo", 3] }
                                                                                    ^^^^^^^^^^^
  help: a name has 1 to 64 letters, digits, `-` and `_`
bad.toml:3:96: error: no upstream `apo`
  balancer = { plugin = "round-robin", grants = ["clok", "state", "http", "state:", "state:a b", "http:apo", 3] }
                                                                                                 ^^^^^^^^^^
  help: did you mean `api`? upstreams: `api`
bad.toml:3:108: error: `grants[6]` must be a string, found a whole number
  balancer = { plugin = "round-robin", grants = ["clok", "state", "http", "state:", "state:a b", "http:apo", 3] }
                                                                                                             ^"#,
    );
    check(
        &use_with(r#""log""#),
        r#"bad.toml:3:47: error: `grants` must be a list, found a string
  balancer = { plugin = "round-robin", grants = "log" }
                                                ^^^^^
  help: write `grants = ["log", "state:NAME"]`"#,
    );
    check(
        &use_with(r#"["log", "state:a", "state:b", "state:a"]"#),
        r#"bad.toml:3:77: error: `state:a` is granted twice
  balancer = { plugin = "round-robin", grants = ["log", "state:a", "state:b", "state:a"] }
                                                                              ^^^^^^^^^"#,
    );
}

#[test]
fn a_plugin_that_needs_more_than_it_is_granted() {
    check_with(
        needy,
        &with_endpoint(r#"balancer = "runtime""#),
        r#"bad.toml:3:12: error: plugin `runtime` imports wasi:clocks/monotonic-clock@0.2.6, wasi:clocks/wall-clock@0.2.6, wasi:random/random@0.2.6, which are not granted here
  balancer = "runtime"
             ^^^^^^^^^
  help: write `{ plugin = "runtime", grants = ["clock", "random"] }`"#,
    );
    check_with(
        needy,
        &with_endpoint(r#"balancer = { plugin = "runtime" }"#),
        r#"bad.toml:3:23: error: plugin `runtime` imports wasi:clocks/monotonic-clock@0.2.6, wasi:clocks/wall-clock@0.2.6, wasi:random/random@0.2.6, which are not granted here
  balancer = { plugin = "runtime" }
                        ^^^^^^^^^
  help: add to this use: grants = ["clock", "random"]"#,
    );
    check_with(
        needy,
        &with_endpoint(r#"balancer = { plugin = "runtime", grants = ["log", "clock"] }"#),
        r#"bad.toml:3:23: error: plugin `runtime` imports wasi:random/random@0.2.6, which is not granted here
  balancer = { plugin = "runtime", grants = ["log", "clock"] }
                        ^^^^^^^^^
  help: write in this use: grants = ["log", "clock", "random"]"#,
    );
}

#[test]
fn what_must_be_named_says_what_there_is() {
    check_with(
        needy,
        &with_endpoint(r#"balancer = { plugin = "round-robin", then = { plugin = "oracle" } }"#),
        r#"bad.toml:3:56: error: plugin `oracle` imports jackfield:plugin/http@0.1.0 and exports jackfield:plugin/refreshing@0.1.0, which are not granted here
  balancer = { plugin = "round-robin", then = { plugin = "oracle" } }
                                                         ^^^^^^^^
  help: add to this use: grants = ["http:UPSTREAM", "timer"]; UPSTREAM is one of `api`"#,
    );
    check_with(
        needy,
        &with_listener("upstream = \"api\"\nfilters = [\"waf\", \"limit\"]"),
        r#"bad.toml:4:12: error: plugin `waf` exports jackfield:plugin/body-filtering@0.1.0, which is not granted here
  filters = ["waf", "limit"]
             ^^^^^
  help: write `{ plugin = "waf", grants = ["body"] }`
bad.toml:4:19: error: plugin `limit` imports jackfield:plugin/state@0.1.0, which is not granted here
  filters = ["waf", "limit"]
                    ^^^^^^^
  help: write `{ plugin = "limit", grants = ["state:NAME"] }`; NAME is a store, of any name"#,
    );
}

/// A file in the plugins folder takes its place.
#[test]
fn the_default_balancer_may_need_something_too() {
    let known = |folder: Option<&Path>| {
        let mut known = needy(folder);
        known.insert("round-robin".to_owned(), known["runtime"].clone());
        known
    };
    check_with(
        known,
        &with_listener("upstream = \"api\""),
        r#"bad.toml:4:1: error: plugin `round-robin` imports wasi:clocks/monotonic-clock@0.2.6, wasi:clocks/wall-clock@0.2.6, wasi:random/random@0.2.6, which are not granted here
  [upstream.api]
  ^^^^^^^^^^^^^^
  help: write `balancer = { plugin = "round-robin", grants = ["clock", "random"] }`"#,
    );
}

#[test]
fn stores() {
    check(
        &with_root("[state.sessions]\nmemory = \"16 MiB\""),
        r#"bad.toml:1:8: error: no use of a plugin is granted the store `sessions`
  [state.sessions]
         ^^^^^^^^
  help: add `grants = ["state:sessions"]` to the use that needs it"#,
    );
    let granted = r#"balancer = { plugin = "round-robin", grants = ["state:sessions"] }"#;
    check(
        &with_endpoint(&format!("{granted}\n[state.sesions]\nmemory = \"1KiB\"")),
        r#"bad.toml:5:10: error: `memory` must be from 64KiB to 1024GiB, found 1024 bytes
  memory = "1KiB"
           ^^^^^^"#,
    );
    check(
        &with_endpoint(&format!("{granted}\n[state.sesions]")),
        r#"bad.toml:4:8: error: no use of a plugin is granted the store `sesions`
  [state.sesions]
         ^^^^^^^
  help: did you mean `sessions`? granted: `sessions`"#,
    );
    check(
        &with_endpoint(&format!("{granted}\n[state.sessions]\nsize = \"1MiB\"")),
        r#"bad.toml:5:1: error: unknown key `size` in a store
  size = "1MiB"
  ^^^^
  help: known keys: `memory`"#,
    );
    check(
        &with_root("state = 1"),
        r#"bad.toml:1:9: error: `state` must be a table, found a whole number
  state = 1
          ^
  help: write `[state.NAME]`, then `memory = "16 MiB"`"#,
    );
}

#[test]
fn what_is_right_is_read() {
    let uses = r#"balancer = { plugin = "oracle", grants = ["timer", "http:api", "state:a", "state:b-2", "log"] }
[state.a]
memory = "16 MiB"
"#;
    let config = config::parse(source(&with_endpoint(uses)), needy).unwrap();
    let grants =
        [Grant::Timer, Grant::Http("api".into()), Grant::State("a".into()), Grant::State("b-2".into()), Grant::Log];
    assert_eq!(config.uses[0].grants, grants);
    let stores: Vec<(&str, usize)> = config.stores.iter().map(|store| (&*store.name, store.memory)).collect();
    assert_eq!(stores, [("a", 16 << 20), ("b-2", 64 << 20)]);
}
