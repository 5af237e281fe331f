//! The top level of the file.

use super::{check, with_root};

#[test]
fn toml_that_is_no_toml() {
    check(
        r#"[[listener]
address = "127.0.0.1:0"
upstream = api
[upstream.api]
endpoints = []
endpoints = [1 2]
"#,
        r#"bad.toml:1:12: error: not valid TOML: unclosed array table, expected `]`
  [[listener]
             ^
bad.toml:6:1: error: not valid TOML: duplicate key
  endpoints = [1 2]
  ^^^^^^^^^"#,
    );
}

#[test]
fn an_empty_file() {
    check(
        r#""#,
        r#"bad.toml: error: no listener: nothing would be served
  help: write `[[listener]]`, then `address = "0.0.0.0:8080"` and `upstream` or `routes`"#,
    );
}

#[test]
fn no_listener() {
    check(
        r#"workers = 2
[upstream.api]
endpoints = ["127.0.0.1:5001"]
"#,
        r#"bad.toml:1:1: error: no listener: nothing would be served
  workers = 2
  ^^^^^^^^^^^
  help: write `[[listener]]`, then `address = "0.0.0.0:8080"` and `upstream` or `routes`"#,
    );
    check(
        r#"listener = []
"#,
        r#"bad.toml:1:1: error: no listener: nothing would be served
  listener = []
  ^^^^^^^^^^^^^
  help: write `[[listener]]`, then `address = "0.0.0.0:8080"` and `upstream` or `routes`"#,
    );
}

#[test]
fn a_listener_that_is_a_table() {
    check(
        r#"[listener]
address = "127.0.0.1:0"
"#,
        r#"bad.toml:1:1: error: `listener` must be a list, found a table
  [listener]
  ^^^^^^^^^^
  help: write `[[listener]]`, then `address = "0.0.0.0:8080"` and `upstream` or `routes`"#,
    );
}

#[test]
fn upstreams_as_a_list() {
    check(
        r#"[[listener]]
address = "127.0.0.1:0"
upstream = "api"
[[upstream]]
name = "api"
"#,
        r#"bad.toml:3:12: error: no upstream `api`
  upstream = "api"
             ^^^^^
  help: add `[upstream.api]` with its endpoints
bad.toml:4:1: error: `upstream` must be a table, found a list
  [[upstream]]
  ^^^^^^^^^^^^
  help: write `[upstream.NAME]` for each upstream"#,
    );
}

#[test]
fn unknown_keys_get_the_nearest_known_one() {
    check(
        &with_root(r#"worker = 4"#),
        r#"bad.toml:1:1: error: unknown key `worker` at the top level
  worker = 4
  ^^^^^^
  help: did you mean `workers`? known keys: `workers`, `plugins`, `cache`, `admin`, `log`, `drain-timeout`, `drain-delay`, `upgrade`, `user`, `group`, `upstream`, `listener`, `state`"#,
    );
    check(
        &with_root(r#"colour = "red""#),
        r#"bad.toml:1:1: error: unknown key `colour` at the top level
  colour = "red"
  ^^^^^^
  help: known keys: `workers`, `plugins`, `cache`, `admin`, `log`, `drain-timeout`, `drain-delay`, `upgrade`, `user`, `group`, `upstream`, `listener`, `state`"#,
    );
    check(
        &with_root(r#"drain_timeout = "1s""#),
        r#"bad.toml:1:1: error: unknown key `drain_timeout` at the top level
  drain_timeout = "1s"
  ^^^^^^^^^^^^^
  help: did you mean `drain-timeout`? known keys: `workers`, `plugins`, `cache`, `admin`, `log`, `drain-timeout`, `drain-delay`, `upgrade`, `user`, `group`, `upstream`, `listener`, `state`"#,
    );
}

#[test]
fn workers() {
    check(
        &with_root(r#"workers = "4""#),
        r#"bad.toml:1:11: error: `workers` must be a whole number, found a string
  workers = "4"
            ^^^"#,
    );
    check(
        &with_root(r#"workers = 0"#),
        r#"bad.toml:1:11: error: `workers` must be from 1 to 1024, found 0
  workers = 0
            ^"#,
    );
    check(
        &with_root(r#"workers = -1"#),
        r#"bad.toml:1:11: error: `workers` must be from 1 to 1024, found -1
  workers = -1
            ^^"#,
    );
    check(
        &with_root(r#"workers = 2.5"#),
        r#"bad.toml:1:11: error: `workers` must be a whole number, found a decimal number
  workers = 2.5
            ^^^"#,
    );
    check(
        &with_root(r#"workers = 99999999999999999999999999999999999999999999"#),
        r#"bad.toml:1:11: error: `workers` must be from 1 to 1024, found 99999999999999999999999999999999999999999999
  workers = 99999999999999999999999999999999999999999999
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn the_plugins_folder() {
    check(
        &with_root(r#"plugins = "nowhere""#),
        r#"bad.toml:1:11: error: cannot read the plugins folder FOLDER/nowhere: No such file or directory (os error 2)
  plugins = "nowhere"
            ^^^^^^^^^
  help: create it; without the key, only the built-in plugins are there"#,
    );
    check(
        &with_root(r#"plugins = ["a"]"#),
        r#"bad.toml:1:11: error: `plugins` must be a string, found a list
  plugins = ["a"]
            ^^^^^"#,
    );
}

#[test]
fn cache() {
    check(
        &with_root(r#"cache = true"#),
        r#"bad.toml:1:9: error: `cache` must be a string, found true or false
  cache = true
          ^^^^"#,
    );
}

#[test]
fn admin() {
    check(
        &with_root(r#"admin = "127.0.0.1:9901""#),
        r#"bad.toml:1:9: error: `admin` must be a table, found a string
  admin = "127.0.0.1:9901"
          ^^^^^^^^^^^^^^^^"#,
    );
    check(
        &with_root(r#"admin = {}"#),
        r#"bad.toml:1:9: error: missing key `address` in `[admin]`
  admin = {}
          ^^
  help: write `address = "127.0.0.1:9901"`"#,
    );
    check(
        &with_root(r#"admin = { address = "localhost:9901" }"#),
        r#"bad.toml:1:21: error: `localhost:9901` is not an address to listen at
  admin = { address = "localhost:9901" }
                      ^^^^^^^^^^^^^^^^
  help: an IP address and a port: "0.0.0.0:8080", "[::1]:8080""#,
    );
    check(
        &with_root(r#"admin = { address = "127.0.0.1:9901", adress = 1 }"#),
        r#"bad.toml:1:39: error: unknown key `adress` in `[admin]`
  admin = { address = "127.0.0.1:9901", adress = 1 }
                                        ^^^^^^
  help: did you mean `address`? known keys: `address`"#,
    );
}

#[test]
fn log() {
    check(
        &with_root(r#"log = "info""#),
        r#"bad.toml:1:7: error: `log` must be a table, found a string
  log = "info"
        ^^^^^^"#,
    );
    check(
        &with_root(r#"log.level = "loud""#),
        r#"bad.toml:1:13: error: `loud` is not a log level
  log.level = "loud"
              ^^^^^^
  help: off, error, warn, info, debug or trace, or a list with targets: "info,jackfield=debug""#,
    );
    check(
        &with_root(r#"log.level = "jackfield=loud""#),
        r#"bad.toml:1:13: error: `jackfield=loud` is not a log level
  log.level = "jackfield=loud"
              ^^^^^^^^^^^^^^^^
  help: off, error, warn, info, debug or trace, or a list with targets: "info,jackfield=debug""#,
    );
    check(
        &with_root(r#"log.format = "jsn""#),
        r#"bad.toml:1:14: error: unknown `format`: `jsn`
  log.format = "jsn"
               ^^^^^
  help: did you mean `json`? known: `text`, `json`"#,
    );
    check(
        &with_root(r#"log.access = "yes""#),
        r#"bad.toml:1:14: error: `access` must be true or false, found a string
  log.access = "yes"
               ^^^^^"#,
    );
    check(
        &with_root(r#"log.colour = true"#),
        r#"bad.toml:1:5: error: unknown key `colour` in `[log]`
  log.colour = true
      ^^^^^^
  help: known keys: `level`, `format`, `access`"#,
    );
}

#[test]
fn durations() {
    check(
        &with_root(r#"drain-timeout = 30"#),
        r#"bad.toml:1:17: error: `drain-timeout` must be a duration, found a whole number
  drain-timeout = 30
                  ^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
    check(
        &with_root(r#"drain-timeout = "30""#),
        r#"bad.toml:1:17: error: `30` is not a duration
  drain-timeout = "30"
                  ^^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
    check(
        &with_root(r#"drain-timeout = "1d""#),
        r#"bad.toml:1:17: error: `1d` is not a duration
  drain-timeout = "1d"
                  ^^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
    check(
        &with_root(r#"drain-timeout = "-1s""#),
        r#"bad.toml:1:17: error: `-1s` is not a duration
  drain-timeout = "-1s"
                  ^^^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
    check(
        &with_root(r#"drain-timeout = "9000h""#),
        r#"bad.toml:1:17: error: `9000h` is too long
  drain-timeout = "9000h"
                  ^^^^^^^
  help: at most "8784h", a year"#,
    );
    check(
        &with_root(r#"drain-timeout = "99999999999999999h""#),
        r#"bad.toml:1:17: error: `99999999999999999h` is not a duration
  drain-timeout = "99999999999999999h"
                  ^^^^^^^^^^^^^^^^^^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
    check(
        &with_root(r#"drain-timeout = 1979-05-27"#),
        r#"bad.toml:1:17: error: `drain-timeout` must be a duration, found a date
  drain-timeout = 1979-05-27
                  ^^^^^^^^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
}

#[test]
fn every_error_of_a_file_is_reported_in_its_order() {
    check(
        r#"workers = 0
plugin = "plugins"

[[listener]]
address = "here"
protocol = "htp"
upstream = "ap"

[upstream.api]
balancer = "least-conections"
endpoints = ["127.0.0.1:5001", { address = "127.0.0.1", weight = 0 }]
health = { path = "healthz", interval = "2 sec" }
"#,
        r#"bad.toml:1:11: error: `workers` must be from 1 to 1024, found 0
  workers = 0
            ^
bad.toml:2:1: error: unknown key `plugin` at the top level
  plugin = "plugins"
  ^^^^^^
  help: did you mean `plugins`? known keys: `workers`, `plugins`, `cache`, `admin`, `log`, `drain-timeout`, `drain-delay`, `upgrade`, `user`, `group`, `upstream`, `listener`, `state`
bad.toml:5:11: error: `here` is not an address to listen at
  address = "here"
            ^^^^^^
  help: an IP address and a port: "0.0.0.0:8080", "[::1]:8080"
bad.toml:6:12: error: unknown `protocol`: `htp`
  protocol = "htp"
             ^^^^^
  help: did you mean `http`? known: `http`, `tcp`, `udp`
bad.toml:7:12: error: no upstream `ap`
  upstream = "ap"
             ^^^^
  help: did you mean `api`? upstreams: `api`
bad.toml:10:12: error: no plugin `least-conections`
  balancer = "least-conections"
             ^^^^^^^^^^^^^^^^^^
  help: did you mean `least-connections`? balancers: `least-connections`, `round-robin`
bad.toml:11:44: error: `127.0.0.1` has no port
  endpoints = ["127.0.0.1:5001", { address = "127.0.0.1", weight = 0 }]
                                             ^^^^^^^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80"
bad.toml:11:66: error: `weight` must be from 1 to 65535, found 0
  endpoints = ["127.0.0.1:5001", { address = "127.0.0.1", weight = 0 }]
                                                                   ^
bad.toml:12:19: error: `healthz` is not a path
  health = { path = "healthz", interval = "2 sec" }
                    ^^^^^^^^^
  help: begin with `/`, percent-encoded: "/healthz"
bad.toml:12:41: error: `2 sec` is not a duration
  health = { path = "healthz", interval = "2 sec" }
                                          ^^^^^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
}
