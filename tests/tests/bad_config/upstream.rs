//! `[upstream.NAME]`.

use super::{check, to, with_endpoint, with_upstream};

#[test]
fn upstream_keys() {
    check(
        &with_upstream(r#"endpoint = ["127.0.0.1:5001"]"#),
        r#"bad.toml:1:1: error: missing key `endpoints` in an upstream
  [upstream.api]
  ^^^^^^^^^^^^^^
  help: write `endpoints = ["127.0.0.1:5001"]`
bad.toml:2:1: error: unknown key `endpoint` in an upstream
  endpoint = ["127.0.0.1:5001"]
  ^^^^^^^^
  help: did you mean `endpoints`? known keys: `balancer`, `endpoints`, `protocol`, `tls`, `health`, `outlier`, `panic-threshold`, `slow-start`, `load`, `connect-timeout`, `keep-alive`, `max-idle`, `retries`"#,
    );
    check(
        r#"upstream.api = 3
[[listener]]
address = "127.0.0.1:0"
upstream = "api"
"#,
        r#"bad.toml:1:16: error: `api` must be a table, found a whole number
  upstream.api = 3
                 ^"#,
    );
    check(
        &with_endpoint(r#"protocol = "h3""#),
        r#"bad.toml:3:12: error: unknown `protocol`: `h3`
  protocol = "h3"
             ^^^^
  help: did you mean `h2`? known: `http1`, `h2`, `auto`"#,
    );
    check(
        &with_endpoint(
            r#"connect-timeout = 3
keep-alive = "0s"
max-idle = -1
retries = 101"#,
        ),
        r#"bad.toml:3:19: error: `connect-timeout` must be a duration, found a whole number
  connect-timeout = 3
                    ^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h"
bad.toml:4:14: error: `keep-alive` must be longer than nothing
  keep-alive = "0s"
               ^^^^
bad.toml:5:12: error: `max-idle` must be from 0 to 65536, found -1
  max-idle = -1
             ^^
bad.toml:6:11: error: `retries` must be from 0 to 100, found 101
  retries = 101
            ^^^"#,
    );
}

#[test]
fn endpoints() {
    check(
        &with_upstream(r#"endpoints = []"#),
        r#"bad.toml:2:13: error: `endpoints` is empty
  endpoints = []
              ^^
  help: write at least one: `endpoints = ["127.0.0.1:5001"]`"#,
    );
    check(
        &with_upstream(r#"endpoints = "127.0.0.1:5001""#),
        r#"bad.toml:2:13: error: `endpoints` must be a list, found a string
  endpoints = "127.0.0.1:5001"
              ^^^^^^^^^^^^^^^^"#,
    );
    check(
        &to(r#""127.0.0.1""#),
        r#"bad.toml:2:14: error: `127.0.0.1` has no port
  endpoints = ["127.0.0.1"]
               ^^^^^^^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80""#,
    );
    check(
        &to(r#""::1""#),
        r#"bad.toml:2:14: error: `::1` has no port
  endpoints = ["::1"]
               ^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80""#,
    );
    check(
        &to(r#""[::1]""#),
        r#"bad.toml:2:14: error: `[::1]` has no port
  endpoints = ["[::1]"]
               ^^^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80""#,
    );
    check(
        &to(r#""127.0.0.1:0""#),
        r#"bad.toml:2:14: error: `0` is not a port
  endpoints = ["127.0.0.1:0"]
               ^^^^^^^^^^^^^
  help: 1 to 65535"#,
    );
    check(
        &to(r#""127.0.0.1:http""#),
        r#"bad.toml:2:14: error: `http` is not a port
  endpoints = ["127.0.0.1:http"]
               ^^^^^^^^^^^^^^^^
  help: 1 to 65535"#,
    );
    check(
        &to(r#""127.0.0.1:99999""#),
        r#"bad.toml:2:14: error: `99999` is not a port
  endpoints = ["127.0.0.1:99999"]
               ^^^^^^^^^^^^^^^^^
  help: 1 to 65535"#,
    );
    check(
        &to(r#""http://127.0.0.1:80""#),
        r#"bad.toml:2:14: error: `http://127.0.0.1:80` is not the address of an endpoint
  endpoints = ["http://127.0.0.1:80"]
               ^^^^^^^^^^^^^^^^^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80"; `tls = true` in the upstream stands for https"#,
    );
    check(
        &to(r#""127.0.0:80""#),
        r#"bad.toml:2:14: error: `127.0.0:80` is not the address of an endpoint
  endpoints = ["127.0.0:80"]
               ^^^^^^^^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80""#,
    );
    check(
        &to(r#""a b:80""#),
        r#"bad.toml:2:14: error: `a b:80` is not the address of an endpoint
  endpoints = ["a b:80"]
               ^^^^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80""#,
    );
    check(
        &to(r#"":80""#),
        r#"bad.toml:2:14: error: `:80` is not the address of an endpoint
  endpoints = [":80"]
               ^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80""#,
    );
    check(
        &to(r#""""#),
        r#"bad.toml:2:14: error: `` has no port
  endpoints = [""]
               ^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80""#,
    );
    check(
        &to(r#"5001"#),
        r#"bad.toml:2:14: error: `endpoints[0]` must be an address, or a table with `address`, found a whole number
  endpoints = [5001]
               ^^^^"#,
    );
}

#[test]
fn an_endpoint_with_details() {
    check(
        &to(r#"{ weight = 3 }"#),
        r#"bad.toml:2:14: error: missing key `address` in an endpoint
  endpoints = [{ weight = 3 }]
               ^^^^^^^^^^^^^^
  help: write `address = "127.0.0.1:5001"`"#,
    );
    check(
        &to(r#"{ address = "127.0.0.1:5001", weight = 0 }"#),
        r#"bad.toml:2:53: error: `weight` must be from 1 to 65535, found 0
  endpoints = [{ address = "127.0.0.1:5001", weight = 0 }]
                                                      ^"#,
    );
    check(
        &to(r#"{ address = "127.0.0.1:5001", weight = 65536 }"#),
        r#"bad.toml:2:53: error: `weight` must be from 1 to 65535, found 65536
  endpoints = [{ address = "127.0.0.1:5001", weight = 65536 }]
                                                      ^^^^^"#,
    );
    check(
        &to(r#"{ address = "127.0.0.1:5001", weight = "3" }"#),
        r#"bad.toml:2:53: error: `weight` must be a whole number, found a string
  endpoints = [{ address = "127.0.0.1:5001", weight = "3" }]
                                                      ^^^"#,
    );
    check(
        &to(r#"{ address = "127.0.0.1:5001", labels = { zone = 1 }, drain = "no", wieght = 2 }"#),
        r#"bad.toml:2:62: error: `zone` must be a string, found a whole number
  endpoints = [{ address = "127.0.0.1:5001", labels = { zone = 1 }, drain = "no", wieght = 2 }]
                                                               ^
bad.toml:2:75: error: `drain` must be true or false, found a string
  endpoints = [{ address = "127.0.0.1:5001", labels = { zone = 1 }, drain = "no", wieght = 2 }]
                                                                            ^^^^
bad.toml:2:81: error: unknown key `wieght` in an endpoint
  endpoints = [{ address = "127.0.0.1:5001", labels = { zone = 1 }, drain = "no", wieght = 2 }]
                                                                                  ^^^^^^
  help: did you mean `weight`? known keys: `address`, `weight`, `labels`, `drain`, `backup`, `tier`"#,
    );
    check(
        &to(r#"{ address = "127.0.0.1:5001", labels = ["a"] }"#),
        r#"bad.toml:2:53: error: `labels` must be a table, found a list
  endpoints = [{ address = "127.0.0.1:5001", labels = ["a"] }]
                                                      ^^^^^"#,
    );
}

#[test]
fn tiers_panic_and_slow_start() {
    check(
        &to(r#"{ address = "127.0.0.1:5001", backup = true, tier = 2 }"#),
        r#"bad.toml:2:53: error: `backup` does not go with `tier`
  endpoints = [{ address = "127.0.0.1:5001", backup = true, tier = 2 }]
                                                      ^^^^
  help: `backup = true` is `tier = 1`"#,
    );
    check(
        &to(r#"{ address = "127.0.0.1:5001", tier = 16 }"#),
        r#"bad.toml:2:51: error: `tier` must be from 0 to 15, found 16
  endpoints = [{ address = "127.0.0.1:5001", tier = 16 }]
                                                    ^^"#,
    );
    check(
        &with_endpoint("panic-threshold = \"50%\"\nslow-start = 30"),
        r#"bad.toml:3:19: error: `panic-threshold` must be a number, found a string
  panic-threshold = "50%"
                    ^^^^^
bad.toml:4:14: error: `slow-start` must be a duration, found a whole number
  slow-start = 30
               ^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
    check(
        &with_endpoint("panic-threshold = 50\nslow-start = \"0s\""),
        r#"bad.toml:3:19: error: `panic-threshold` must be from 0 to 1, found 50
  panic-threshold = 50
                    ^^
bad.toml:4:14: error: `slow-start` must be longer than nothing
  slow-start = "0s"
               ^^^^"#,
    );
}

#[test]
fn duplicate_endpoints() {
    check(
        &with_upstream(
            r#"endpoints = [
  "127.0.0.1:5001",
  { address = "127.0.0.1:5001", weight = 2 },
  "[::1]:1",
  "[0:0::1]:1",
]"#,
        ),
        r#"bad.toml:4:15: error: duplicate endpoint: `127.0.0.1:5001` is also in line 3
    { address = "127.0.0.1:5001", weight = 2 },
                ^^^^^^^^^^^^^^^^
  help: remove one; `weight` gives an endpoint a larger share
bad.toml:6:3: error: duplicate endpoint: `[::1]:1` is also in line 5
    "[0:0::1]:1",
    ^^^^^^^^^^^^
  help: remove one; `weight` gives an endpoint a larger share"#,
    );
}

#[test]
fn health_checks() {
    check(
        &with_endpoint(r#"health = "/healthz""#),
        r#"bad.toml:3:10: error: `health` must be a table, found a string
  health = "/healthz"
           ^^^^^^^^^^"#,
    );
    check(
        &with_endpoint(r#"health = {}"#),
        r#"bad.toml:3:10: error: missing key `path` in `health`
  health = {}
           ^^
  help: write `path = "/healthz"`, or `type = "tcp"` to try a connection only"#,
    );
    check(
        &with_endpoint(
            r#"health = { path = "healthz", host = "a b", rise = 0, fall = 0, interval = "0s", timeout = "x" }"#,
        ),
        r#"bad.toml:3:19: error: `healthz` is not a path
  health = { path = "healthz", host = "a b", rise = 0, fall = 0, interval = "0s", timeout = "x" }
                    ^^^^^^^^^
  help: begin with `/`, percent-encoded: "/healthz"
bad.toml:3:37: error: `a b` is not a host
  health = { path = "healthz", host = "a b", rise = 0, fall = 0, interval = "0s", timeout = "x" }
                                      ^^^^^
  help: what the Host header says: "example.com"
bad.toml:3:51: error: `rise` must be from 1 to 1000, found 0
  health = { path = "healthz", host = "a b", rise = 0, fall = 0, interval = "0s", timeout = "x" }
                                                    ^
bad.toml:3:61: error: `fall` must be from 1 to 1000, found 0
  health = { path = "healthz", host = "a b", rise = 0, fall = 0, interval = "0s", timeout = "x" }
                                                              ^
bad.toml:3:75: error: `interval` must be longer than nothing
  health = { path = "healthz", host = "a b", rise = 0, fall = 0, interval = "0s", timeout = "x" }
                                                                            ^^^^
bad.toml:3:91: error: `x` is not a duration
  health = { path = "healthz", host = "a b", rise = 0, fall = 0, interval = "0s", timeout = "x" }
                                                                                            ^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
    check(
        &with_endpoint(r#"health = { type = "udp" }"#),
        r#"bad.toml:3:19: error: unknown `type`: `udp`
  health = { type = "udp" }
                    ^^^^^
  help: known: `http`, `grpc`, `tcp`, `tls`"#,
    );
    check(
        &with_endpoint(r#"health = { type = "tcp", path = "/" }"#),
        r#"bad.toml:3:26: error: `path` does not go with `type = "tcp"`
  health = { type = "tcp", path = "/" }
                           ^^^^"#,
    );
    check(
        &with_endpoint(r#"health = { path = "/", expect = 99 }"#),
        r#"bad.toml:3:33: error: `expect` must be from 100 to 599, found 99
  health = { path = "/", expect = 99 }
                                  ^^"#,
    );
    check(
        &with_endpoint(r#"health = { path = "/", expect = [200, "399-300", true] }"#),
        r#"bad.toml:3:39: error: `399-300` is not a range of statuses
  health = { path = "/", expect = [200, "399-300", true] }
                                        ^^^^^^^^^
  help: 100 to 599: 200, "200-299", [200, "300-399"]
bad.toml:3:50: error: `expect[2]` must be a status, or a range of them, found true or false
  health = { path = "/", expect = [200, "399-300", true] }
                                                   ^^^^"#,
    );
    check(
        &with_endpoint(r#"health = { path = "/", expect = [] }"#),
        r#"bad.toml:3:33: error: `expect` is empty
  health = { path = "/", expect = [] }
                                  ^^
  help: 200, "200-299", or a list of them"#,
    );
    check(
        &with_endpoint(r#"health = { path = "/", intervall = "1s" }"#),
        r#"bad.toml:3:24: error: unknown key `intervall` in `health`
  health = { path = "/", intervall = "1s" }
                         ^^^^^^^^^
  help: did you mean `interval`? known keys: `type`, `path`, `method`, `host`, `headers`, `expect`, `body`, `interval`, `interval-down`, `timeout`, `rise`, `fall`, `jitter`"#,
    );
}

#[test]
fn health_checks_of_each_kind() {
    check(
        &with_endpoint(
            r#"health = { path = "/", method = "get", headers = { Host = "a", te = "x", x = "a\nb" }, body = "~ (", jitter = 1.5 }"#,
        ),
        r#"bad.toml:3:33: error: `get` is not a method
  health = { path = "/", method = "get", headers = { Host = "a", te = "x", x = "a\nb" }, body = "~ (", jitter = 1.5 }
                                  ^^^^^
  help: methods are upper case: "GET"
bad.toml:3:52: error: `host` is a key of its own
  health = { path = "/", method = "get", headers = { Host = "a", te = "x", x = "a\nb" }, body = "~ (", jitter = 1.5 }
                                                     ^^^^
  help: write `host = "example.com"` beside `headers`
bad.toml:3:64: error: `te` is set by the proxy itself
  health = { path = "/", method = "get", headers = { Host = "a", te = "x", x = "a\nb" }, body = "~ (", jitter = 1.5 }
                                                                 ^^
bad.toml:3:78: error: `a\nb` is not the value of a header
  health = { path = "/", method = "get", headers = { Host = "a", te = "x", x = "a\nb" }, body = "~ (", jitter = 1.5 }
                                                                               ^^^^^^
  help: no line ends or other control characters
bad.toml:3:95: error: `(` is not a regular expression: unclosed group
  health = { path = "/", method = "get", headers = { Host = "a", te = "x", x = "a\nb" }, body = "~ (", jitter = 1.5 }
                                                                                                ^^^^^
bad.toml:3:111: error: `jitter` must be from 0 to 1, found 1.5
  health = { path = "/", method = "get", headers = { Host = "a", te = "x", x = "a\nb" }, body = "~ (", jitter = 1.5 }
                                                                                                                ^^^"#,
    );
    check(
        &with_endpoint(r#"health = { path = "/", method = "HEAD", body = "ok", send = "x", jitter = "much" }"#),
        r#"bad.toml:3:48: error: there is no `body` to look into with `method = "HEAD"`
  health = { path = "/", method = "HEAD", body = "ok", send = "x", jitter = "much" }
                                                 ^^^^
bad.toml:3:54: error: `send` does not go with an HTTP check
  health = { path = "/", method = "HEAD", body = "ok", send = "x", jitter = "much" }
                                                       ^^^^
bad.toml:3:75: error: `jitter` must be a number, found a string
  health = { path = "/", method = "HEAD", body = "ok", send = "x", jitter = "much" }
                                                                            ^^^^^^"#,
    );
    check(
        &with_endpoint(
            r#"health = { type = "tcp", path = "/", send = "hex:0", expect = "", service = "x", body = "y" }"#,
        ),
        r#"bad.toml:3:26: error: `path` does not go with `type = "tcp"`
  health = { type = "tcp", path = "/", send = "hex:0", expect = "", service = "x", body = "y" }
                           ^^^^
bad.toml:3:45: error: `hex:0` is not a row of bytes
  health = { type = "tcp", path = "/", send = "hex:0", expect = "", service = "x", body = "y" }
                                              ^^^^^^^
  help: two digits each: "hex:00ff0d0a"
bad.toml:3:63: error: `expect` is empty
  health = { type = "tcp", path = "/", send = "hex:0", expect = "", service = "x", body = "y" }
                                                                ^^
  help: leave it out
bad.toml:3:67: error: `service` does not go with `type = "tcp"`
  health = { type = "tcp", path = "/", send = "hex:0", expect = "", service = "x", body = "y" }
                                                                    ^^^^^^^
bad.toml:3:82: error: `body` does not go with `type = "tcp"`
  health = { type = "tcp", path = "/", send = "hex:0", expect = "", service = "x", body = "y" }
                                                                                   ^^^^"#,
    );
    check(
        &with_endpoint(r#"health = { type = "tls" }"#),
        r#"bad.toml:3:19: error: `type = "tls"` needs the `tls` of the upstream
  health = { type = "tls" }
                    ^^^^^
  help: write `tls = true`, or `type = "tcp"` to try a connection only"#,
    );
    check(
        &with_endpoint("protocol = \"http1\"\nhealth = { type = \"grpc\", expect = 200 }"),
        r#"bad.toml:4:19: error: `type = "grpc"` does not go with `protocol = "http1"`
  health = { type = "grpc", expect = 200 }
                    ^^^^^^
  help: gRPC is spoken over HTTP/2: `protocol = "h2"`"#,
    );
    check(
        &with_endpoint(r#"health = { type = "grpc", expect = 200, send = "x" }"#),
        r#"bad.toml:3:27: error: `expect` does not go with `type = "grpc"`
  health = { type = "grpc", expect = 200, send = "x" }
                            ^^^^^^
bad.toml:3:41: error: `send` does not go with `type = "grpc"`
  health = { type = "grpc", expect = 200, send = "x" }
                                          ^^^^"#,
    );
}

#[test]
fn outliers() {
    check(
        &with_endpoint(r#"outlier = true"#),
        r#"bad.toml:3:11: error: `outlier` must be a table, found true or false
  outlier = true
            ^^^^"#,
    );
    check(
        &with_endpoint(
            r#"outlier = { consecutive-5xx = -1, success-rate = true, max-ejected = "10%", jitter = 2, max-ejection-time = "1s", base = 1 }"#,
        ),
        r#"bad.toml:3:11: error: `max-ejection-time` must not be shorter than `ejection-time`
  outlier = { consecutive-5xx = -1, success-rate = true, max-ejected = "10%", jitter = 2, max-ejection-time = "1s", base = 1 }
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
bad.toml:3:31: error: `consecutive-5xx` must be from 0 to 10000, found -1
  outlier = { consecutive-5xx = -1, success-rate = true, max-ejected = "10%", jitter = 2, max-ejection-time = "1s", base = 1 }
                                ^^
bad.toml:3:50: error: `success-rate` must be false, or a table, found true or false
  outlier = { consecutive-5xx = -1, success-rate = true, max-ejected = "10%", jitter = 2, max-ejection-time = "1s", base = 1 }
                                                   ^^^^
bad.toml:3:70: error: `max-ejected` must be a number, found a string
  outlier = { consecutive-5xx = -1, success-rate = true, max-ejected = "10%", jitter = 2, max-ejection-time = "1s", base = 1 }
                                                                       ^^^^^
bad.toml:3:86: error: `jitter` must be from 0 to 1, found 2
  outlier = { consecutive-5xx = -1, success-rate = true, max-ejected = "10%", jitter = 2, max-ejection-time = "1s", base = 1 }
                                                                                       ^
bad.toml:3:115: error: unknown key `base` in `outlier`
  outlier = { consecutive-5xx = -1, success-rate = true, max-ejected = "10%", jitter = 2, max-ejection-time = "1s", base = 1 }
                                                                                                                    ^^^^
  help: known keys: `consecutive-5xx`, `consecutive-gateway`, `success-rate`, `interval`, `ejection-time`, `max-ejection-time`, `max-ejected`, `jitter`"#,
    );
    check(
        &with_endpoint(
            r#"outlier = { success-rate = { factor = -0.5, min-endpoints = 1, min-requests = 0, stdev = 1 } }"#,
        ),
        r#"bad.toml:3:39: error: `factor` must be from 0 to 100, found -0.5
  outlier = { success-rate = { factor = -0.5, min-endpoints = 1, min-requests = 0, stdev = 1 } }
                                        ^^^^
bad.toml:3:61: error: `min-endpoints` must be from 2 to 1000000, found 1
  outlier = { success-rate = { factor = -0.5, min-endpoints = 1, min-requests = 0, stdev = 1 } }
                                                              ^
bad.toml:3:79: error: `min-requests` must be from 1 to 1000000000, found 0
  outlier = { success-rate = { factor = -0.5, min-endpoints = 1, min-requests = 0, stdev = 1 } }
                                                                                ^
bad.toml:3:82: error: unknown key `stdev` in `success-rate`
  outlier = { success-rate = { factor = -0.5, min-endpoints = 1, min-requests = 0, stdev = 1 } }
                                                                                   ^^^^^
  help: known keys: `factor`, `min-endpoints`, `min-requests`"#,
    );
}

#[test]
fn load_reports() {
    check(
        &with_endpoint(r#"load = true"#),
        r#"bad.toml:3:8: error: `load` must be a table, found true or false
  load = true
         ^^^^"#,
    );
    check(
        &with_endpoint(r#"load = { orca = 1, poll = {} }"#),
        r#"bad.toml:3:17: error: `orca` must be true or false, found a whole number
  load = { orca = 1, poll = {} }
                  ^
bad.toml:3:27: error: missing key `path` in `poll`
  load = { orca = 1, poll = {} }
                            ^^
  help: write `path = "/load"`"#,
    );
    check(
        &with_endpoint(r#"load = { poll = { path = "load", every = "1s" } }"#),
        r#"bad.toml:3:26: error: `load` is not a path
  load = { poll = { path = "load", every = "1s" } }
                           ^^^^^^
  help: begin with `/`, percent-encoded: "/healthz"
bad.toml:3:34: error: unknown key `every` in `poll`
  load = { poll = { path = "load", every = "1s" } }
                                   ^^^^^
  help: known keys: `path`, `interval`, `timeout`"#,
    );
    check(
        &with_endpoint(r#"load = { poll = { path = "/load", interval = "10s" } }"#),
        r#"bad.toml:3:8: error: `expires` must be longer than `interval` of `poll`: a report would be gone before the next
  load = { poll = { path = "/load", interval = "10s" } }
         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn tls() {
    check(
        &with_endpoint(r#"tls = "yes""#),
        r#"bad.toml:3:7: error: `tls` must be true, false or a table, found a string
  tls = "yes"
        ^^^^^"#,
    );
    check(
        &with_endpoint(r#"tls = { ca = "nowhere.pem", server-name = "a:1", verify = 0, key = "x" }"#),
        r#"bad.toml:3:14: error: cannot read FOLDER/nowhere.pem: No such file or directory (os error 2)
  tls = { ca = "nowhere.pem", server-name = "a:1", verify = 0, key = "x" }
               ^^^^^^^^^^^^^
bad.toml:3:43: error: `a:1` is not a server name
  tls = { ca = "nowhere.pem", server-name = "a:1", verify = 0, key = "x" }
                                            ^^^^^
  help: a name without port: "example.com"
bad.toml:3:59: error: `verify` must be true or false, found a whole number
  tls = { ca = "nowhere.pem", server-name = "a:1", verify = 0, key = "x" }
                                                            ^
bad.toml:3:62: error: unknown key `key` in `tls` of an upstream
  tls = { ca = "nowhere.pem", server-name = "a:1", verify = 0, key = "x" }
                                                               ^^^
  help: known keys: `ca`, `server-name`, `verify`"#,
    );
    check(
        &with_endpoint(r#"tls = { ca = "site.key" }"#),
        r#"bad.toml:3:14: error: FOLDER/site.key holds no certificate
  tls = { ca = "site.key" }
               ^^^^^^^^^^
  help: what it holds is: PRIVATE KEY"#,
    );
}
