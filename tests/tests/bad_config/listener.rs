//! `[[listener]]`.

use super::{at, at_both, check, with_listener};

#[test]
fn the_address() {
    check(
        r#"[[listener]]
upstream = "api"
[upstream.api]
endpoints = ["127.0.0.1:5001"]
"#,
        r#"bad.toml:1:1: error: missing key `address` in a listener
  [[listener]]
  ^^^^^^^^^^^^
  help: write `address = "0.0.0.0:8080"`"#,
    );
    check(
        &at(r#""localhost:80""#),
        r#"bad.toml:2:11: error: `localhost:80` is not an address to listen at
  address = "localhost:80"
            ^^^^^^^^^^^^^^
  help: an IP address and a port: "0.0.0.0:8080", "[::1]:8080""#,
    );
    check(
        &at(r#""127.0.0.1""#),
        r#"bad.toml:2:11: error: `127.0.0.1` is not an address to listen at
  address = "127.0.0.1"
            ^^^^^^^^^^^
  help: an IP address and a port: "0.0.0.0:8080", "[::1]:8080""#,
    );
    check(
        &at(r#"":8080""#),
        r#"bad.toml:2:11: error: `:8080` is not an address to listen at
  address = ":8080"
            ^^^^^^^
  help: an IP address and a port: "0.0.0.0:8080", "[::1]:8080""#,
    );
    check(
        &at(r#""127.0.0.1:99999""#),
        r#"bad.toml:2:11: error: `127.0.0.1:99999` is not an address to listen at
  address = "127.0.0.1:99999"
            ^^^^^^^^^^^^^^^^^
  help: an IP address and a port: "0.0.0.0:8080", "[::1]:8080""#,
    );
    check(
        &at(r#"8080"#),
        r#"bad.toml:2:11: error: `address` must be a string, found a whole number
  address = 8080
            ^^^^"#,
    );
}

#[test]
fn the_protocol() {
    check(
        &with_listener(
            r#"protocol = "htp"
upstream = "api""#,
        ),
        r#"bad.toml:3:12: error: unknown `protocol`: `htp`
  protocol = "htp"
             ^^^^^
  help: did you mean `http`? known: `http`, `tcp`, `udp`"#,
    );
    check(
        &with_listener(
            r#"protocol = 3
upstream = "api""#,
        ),
        r#"bad.toml:3:12: error: `protocol` must be a string, found a whole number
  protocol = 3
             ^"#,
    );
}

#[test]
fn a_listener_needs_one_destination() {
    check(
        &with_listener(r#""#),
        r#"bad.toml:1:1: error: a listener needs `upstream` or `routes`, found neither
  [[listener]]
  ^^^^^^^^^^^^
  help: write `upstream = "NAME"` to send everything there"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
routes = [{ path = "/", upstream = "api" }]"#,
        ),
        r#"bad.toml:3:12: error: duplicate route: the one in line 4 matches the same requests
  upstream = "api"
             ^^^^^
  help: remove one, or give one of them another condition"#,
    );
    check(
        &with_listener(r#"routes = []"#),
        r#"bad.toml:3:10: error: `routes` is empty
  routes = []
           ^^
  help: write a route or leave the key out"#,
    );
    check(
        &with_listener(r#"routes = { upstream = "api" }"#),
        r#"bad.toml:3:10: error: `routes` must be a list, found a table
  routes = { upstream = "api" }
           ^^^^^^^^^^^^^^^^^^^^"#,
    );
    check(
        &with_listener(r#"routes = ["api"]"#),
        r#"bad.toml:3:11: error: `routes[0]` must be a table, found a string
  routes = ["api"]
            ^^^^^"#,
    );
}

#[test]
fn an_upstream_that_is_not_there() {
    check(
        &with_listener(r#"upstream = "apo""#),
        r#"bad.toml:3:12: error: no upstream `apo`
  upstream = "apo"
             ^^^^^
  help: did you mean `api`? upstreams: `api`"#,
    );
    check(
        &with_listener(r#"upstream = "images""#),
        r#"bad.toml:3:12: error: no upstream `images`
  upstream = "images"
             ^^^^^^^^
  help: upstreams: `api`"#,
    );
    check(
        &with_listener(r#"upstream = 1"#),
        r#"bad.toml:3:12: error: `upstream` must be a string, found a whole number
  upstream = 1
             ^"#,
    );
    check(
        r#"[[listener]]
address = "127.0.0.1:0"
upstream = "api"
"#,
        r#"bad.toml:3:12: error: no upstream `api`
  upstream = "api"
             ^^^^^
  help: add `[upstream.api]` with its endpoints"#,
    );
}

#[test]
fn an_element_that_is_not_a_table() {
    check(
        r#"listener = [1]
"#,
        r#"bad.toml:1:13: error: `listener[0]` must be a table, found a whole number
  listener = [1]
              ^"#,
    );
}

#[test]
fn unknown_keys() {
    check(
        &with_listener(
            r#"upstream = "api"
idle_timeout = "1s""#,
        ),
        r#"bad.toml:4:1: error: unknown key `idle_timeout` in a listener
  idle_timeout = "1s"
  ^^^^^^^^^^^^
  help: did you mean `idle-timeout`? known keys: `address`, `protocol`, `tls`, `filters`, `max-header-bytes`, `routes`, `upstream`, `header-timeout`, `idle-timeout`, `max-connections`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
port = 80"#,
        ),
        r#"bad.toml:4:1: error: unknown key `port` in a listener
  port = 80
  ^^^^
  help: known keys: `address`, `protocol`, `tls`, `filters`, `max-header-bytes`, `routes`, `upstream`, `header-timeout`, `idle-timeout`, `max-connections`"#,
    );
}

#[test]
fn limits() {
    check(
        &with_listener(
            r#"upstream = "api"
header-timeout = "0s"
idle-timeout = 5
max-connections = 0
max-header-bytes = 1024"#,
        ),
        r#"bad.toml:4:18: error: `header-timeout` must be longer than nothing
  header-timeout = "0s"
                   ^^^^
bad.toml:5:16: error: `idle-timeout` must be a duration, found a whole number
  idle-timeout = 5
                 ^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h"
bad.toml:6:19: error: `max-connections` must be from 1 to 100000000, found 0
  max-connections = 0
                    ^
bad.toml:7:20: error: `max-header-bytes` must be from 8192 to 16777216, found 1024
  max-header-bytes = 1024
                     ^^^^"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
max-header-bytes = "64KB""#,
        ),
        r#"bad.toml:4:20: error: `64KB` is not a size
  max-header-bytes = "64KB"
                     ^^^^^^
  help: bytes, or a whole number and a unit: "64KiB", "16MiB", "1GiB""#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
max-header-bytes = "1GiB""#,
        ),
        r#"bad.toml:4:20: error: `max-header-bytes` must be from 8KiB to 16MiB, found 1073741824 bytes
  max-header-bytes = "1GiB"
                     ^^^^^^"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
max-header-bytes = true"#,
        ),
        r#"bad.toml:4:20: error: `max-header-bytes` must be a size, found true or false
  max-header-bytes = true
                     ^^^^
  help: bytes, or "64KiB", "16MiB", "1GiB""#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
max-header-bytes = -1"#,
        ),
        r#"bad.toml:4:20: error: `max-header-bytes` must be from 8192 to 16777216, found -1
  max-header-bytes = -1
                     ^^"#,
    );
}

#[test]
fn keys_that_do_not_go_with_the_protocol() {
    check(
        &with_listener(
            r#"upstream = "api"
max-sessions = 3"#,
        ),
        r#"bad.toml:4:1: error: `max-sessions` does not go with `protocol = "http"`
  max-sessions = 3
  ^^^^^^^^^^^^"#,
    );
    check(
        &with_listener(
            r#"protocol = "tcp"
upstream = "api"
filters = []
max-header-bytes = 1
tls = {}"#,
        ),
        r#"bad.toml:5:1: error: `filters` does not go with `protocol = "tcp"`
  filters = []
  ^^^^^^^
bad.toml:6:1: error: `max-header-bytes` does not go with `protocol = "tcp"`
  max-header-bytes = 1
  ^^^^^^^^^^^^^^^^
bad.toml:7:1: error: `tls` does not go with `protocol = "tcp"`
  tls = {}
  ^^^"#,
    );
    check(
        &with_listener(
            r#"protocol = "udp"
upstream = "api"
routes = []
tls = {}
max-connections = 5"#,
        ),
        r#"bad.toml:5:1: error: `routes` does not go with `protocol = "udp"`
  routes = []
  ^^^^^^
bad.toml:6:1: error: `tls` does not go with `protocol = "udp"`
  tls = {}
  ^^^
bad.toml:7:1: error: `max-connections` does not go with `protocol = "udp"`
  max-connections = 5
  ^^^^^^^^^^^^^^^"#,
    );
    check(
        &with_listener(r#"protocol = "udp""#),
        r#"bad.toml:1:1: error: missing key `upstream` in a listener
  [[listener]]
  ^^^^^^^^^^^^
  help: write `upstream = "NAME"`"#,
    );
}

#[test]
fn routes_of_a_tcp_listener() {
    check(
        &with_listener(
            r#"protocol = "tcp"
routes = [{ path = "/", upstream = "api" }]"#,
        ),
        r#"bad.toml:4:11: error: missing key `sni` in a route of a TCP listener
  routes = [{ path = "/", upstream = "api" }]
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: write `sni = "db.example.com"`
bad.toml:4:13: error: `path` does not go with a TCP listener, which sees only `sni`
  routes = [{ path = "/", upstream = "api" }]
              ^^^^"#,
    );
    check(
        &with_listener(
            r#"protocol = "tcp"
routes = [{ sni = "a.example.com:443", upstream = "api", timeout = "1s" }, { upstream = "api" }, { sni = "*" }]"#,
        ),
        r#"bad.toml:4:19: error: `a.example.com:443` is not a host
  routes = [{ sni = "a.example.com:443", upstream = "api", timeout = "1s" }, { upstream = "api" }, { sni = "*" }]
                    ^^^^^^^^^^^^^^^^^^^
  help: leave the port out: a route matches the name only
bad.toml:4:58: error: `timeout` does not go with a TCP listener
  routes = [{ sni = "a.example.com:443", upstream = "api", timeout = "1s" }, { upstream = "api" }, { sni = "*" }]
                                                           ^^^^^^^
bad.toml:4:76: error: missing key `sni` in a route of a TCP listener
  routes = [{ sni = "a.example.com:443", upstream = "api", timeout = "1s" }, { upstream = "api" }, { sni = "*" }]
                                                                             ^^^^^^^^^^^^^^^^^^^^
  help: write `sni = "db.example.com"`
bad.toml:4:98: error: missing key `upstream` in a route of a TCP listener
  routes = [{ sni = "a.example.com:443", upstream = "api", timeout = "1s" }, { upstream = "api" }, { sni = "*" }]
                                                                                                   ^^^^^^^^^^^^^
  help: write `upstream = "NAME"`
bad.toml:4:106: error: `sni` must be a name, found `*`
  routes = [{ sni = "a.example.com:443", upstream = "api", timeout = "1s" }, { upstream = "api" }, { sni = "*" }]
                                                                                                           ^^^
  help: write `upstream` in the listener to send everything there"#,
    );
    check(
        &with_listener(
            r#"protocol = "tcp"
routes = [
  { sni = "*.example.com", upstream = "api" },
  { sni = "*.EXAMPLE.com", upstream = "api" },
]"#,
        ),
        r#"bad.toml:6:11: error: duplicate route: `*.example.com` is also in line 5
    { sni = "*.EXAMPLE.com", upstream = "api" },
            ^^^^^^^^^^^^^^^
  help: only the first could ever match"#,
    );
    check(
        &with_listener(
            r#"protocol = "tcp"
routes = [{ snj = "a.example.com", upstream = "api" }]"#,
        ),
        r#"bad.toml:4:11: error: missing key `sni` in a route of a TCP listener
  routes = [{ snj = "a.example.com", upstream = "api" }]
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: write `sni = "db.example.com"`
bad.toml:4:13: error: unknown key `snj` in a route of a TCP listener
  routes = [{ snj = "a.example.com", upstream = "api" }]
              ^^^
  help: did you mean `sni`? known keys: `sni`, `upstream`"#,
    );
}

#[test]
fn overlapping_listeners() {
    check(
        &at_both("127.0.0.1:8080", "127.0.0.1:8080"),
        r#"bad.toml:5:11: error: `127.0.0.1:8080` overlaps the listener `127.0.0.1:8080` in line 2
  address = "127.0.0.1:8080"
            ^^^^^^^^^^^^^^^^
  help: give one of them another address or port"#,
    );
    check(
        &at_both("0.0.0.0:8080", "127.0.0.1:8080"),
        r#"bad.toml:5:11: error: `127.0.0.1:8080` overlaps the listener `0.0.0.0:8080` in line 2
  address = "127.0.0.1:8080"
            ^^^^^^^^^^^^^^^^
  help: give one of them another address or port"#,
    );
    check(
        &at_both("[::1]:8080", "[::]:8080"),
        r#"bad.toml:5:11: error: `[::]:8080` overlaps the listener `[::1]:8080` in line 2
  address = "[::]:8080"
            ^^^^^^^^^^^
  help: give one of them another address or port"#,
    );
    check(
        &at_both("[::]:8080", "127.0.0.1:8080"),
        r#"bad.toml:5:11: error: `127.0.0.1:8080` overlaps the listener `[::]:8080` in line 2
  address = "127.0.0.1:8080"
            ^^^^^^^^^^^^^^^^
  help: give one of them another address or port"#,
    );
    check(
        r#"[admin]
address = "127.0.0.1:9901"
[[listener]]
address = "0.0.0.0:9901"
upstream = "api"
[upstream.api]
endpoints = ["127.0.0.1:5001"]
"#,
        r#"bad.toml:4:11: error: `0.0.0.0:9901` overlaps the admin address `127.0.0.1:9901` in line 2
  address = "0.0.0.0:9901"
            ^^^^^^^^^^^^^^
  help: give one of them another address or port"#,
    );
}
