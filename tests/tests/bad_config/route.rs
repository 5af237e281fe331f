//! The routes of an HTTP listener.

use super::{check, with_route, with_routes};

#[test]
fn a_route_does_one_thing() {
    check(
        &with_route(r#"path = "/""#),
        r#"bad.toml:4:3: error: a route needs `upstream`, `redirect` or `respond`, found none
    { path = "/" },
    ^^^^^^^^^^^^^^"#,
    );
    check(
        &with_route(r#"upstream = "api", redirect = "/", respond = {}"#),
        r#"bad.toml:4:3: error: a route has one of `upstream`, `redirect` and `respond`, found `upstream` and `redirect` and `respond`
    { upstream = "api", redirect = "/", respond = {} },
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
    check(
        &with_route(r#"upstrem = "api""#),
        r#"bad.toml:4:3: error: a route needs `upstream`, `redirect` or `respond`, found none
    { upstrem = "api" },
    ^^^^^^^^^^^^^^^^^^^
bad.toml:4:5: error: unknown key `upstrem` in a route
    { upstrem = "api" },
      ^^^^^^^
  help: did you mean `upstream`? known keys: `name`, `host`, `path`, `methods`, `headers`, `cookies`, `query`, `filters`, `timeout`, `upstream`, `redirect`, `respond`"#,
    );
    check(
        &with_route(r#"upstream = "apo""#),
        r#"bad.toml:4:16: error: no upstream `apo`
    { upstream = "apo" },
                 ^^^^^
  help: did you mean `api`? upstreams: `api`"#,
    );
    check(
        &with_route(r#"sni = "a.example.com", upstream = "api""#),
        r#"bad.toml:4:5: error: `sni` does not go with an HTTP listener, which has `host`
    { sni = "a.example.com", upstream = "api" },
      ^^^"#,
    );
}

#[test]
fn hosts() {
    check(
        &with_route(r#"host = "example.com:80", upstream = "api""#),
        r#"bad.toml:4:12: error: `example.com:80` is not a host
    { host = "example.com:80", upstream = "api" },
             ^^^^^^^^^^^^^^^^
  help: leave the port out: a route matches the name only"#,
    );
    check(
        &with_route(r#"host = "*example.com", upstream = "api""#),
        r#"bad.toml:4:12: error: `*example.com` is not a host
    { host = "*example.com", upstream = "api" },
             ^^^^^^^^^^^^^^
  help: `*` stands for the first labels only: "*.example.com""#,
    );
    check(
        &with_route(r#"host = "a.*.com", upstream = "api""#),
        r#"bad.toml:4:12: error: `a.*.com` is not a host
    { host = "a.*.com", upstream = "api" },
             ^^^^^^^^^
  help: `*` stands for the first labels only: "*.example.com""#,
    );
    check(
        &with_route(r#"host = "bücher.example", upstream = "api""#),
        r#"bad.toml:4:12: error: `bücher.example` is not a host
    { host = "bücher.example", upstream = "api" },
             ^^^^^^^^^^^^^^^^
  help: write the name as it is sent, in ASCII: "xn--…""#,
    );
    check(
        &with_route(r#"host = "a b", upstream = "api""#),
        r#"bad.toml:4:12: error: `a b` is not a host
    { host = "a b", upstream = "api" },
             ^^^^^
  help: a name, or `*.` and a name: "example.com", "*.example.com""#,
    );
    check(
        &with_route(r#"host = ["a", "b"], upstream = "api""#),
        r#"bad.toml:4:12: error: `host` must be a string, found a list
    { host = ["a", "b"], upstream = "api" },
             ^^^^^^^^^^"#,
    );
}

#[test]
fn paths() {
    check(
        &with_route(r#"path = "api", upstream = "api""#),
        r#"bad.toml:4:12: error: `api` is not a path
    { path = "api", upstream = "api" },
             ^^^^^
  help: begin with `/`, or with `~ ` for a regular expression"#,
    );
    check(
        &with_route(r#"path = "/api/*", upstream = "api""#),
        r#"bad.toml:4:12: error: `/api/*` is not a path
    { path = "/api/*", upstream = "api" },
             ^^^^^^^^
  help: end with `/` for everything below, or write a regular expression: "~ /a/[^/]*""#,
    );
    check(
        &with_route(r#"path = "/api?a=1", upstream = "api""#),
        r#"bad.toml:4:12: error: `/api?a=1` is not a path
    { path = "/api?a=1", upstream = "api" },
             ^^^^^^^^^^
  help: put what follows `?` into `query = { NAME = "VALUE" }`"#,
    );
    check(
        &with_route(r#"path = "/a b", upstream = "api""#),
        r#"bad.toml:4:12: error: `/a b` is not a path
    { path = "/a b", upstream = "api" },
             ^^^^^^
  help: write it as it is sent, percent-encoded"#,
    );
    check(
        &with_route(r#"path = "~/api", upstream = "api""#),
        r#"bad.toml:4:12: error: `~/api` is not a path
    { path = "~/api", upstream = "api" },
             ^^^^^^^
  help: begin with `/`, or with `~ ` for a regular expression"#,
    );
    check(
        &with_route(r#"path = "~ /a(", upstream = "api""#),
        r#"bad.toml:4:12: error: `/a(` is not a regular expression: unclosed group
    { path = "~ /a(", upstream = "api" },
             ^^^^^^^"#,
    );
    check(
        &with_route(r#"path = "~ /[z-a]", upstream = "api""#),
        r#"bad.toml:4:12: error: `/[z-a]` is not a regular expression: invalid character class range, the start must be <= the end
    { path = "~ /[z-a]", upstream = "api" },
             ^^^^^^^^^^"#,
    );
    check(
        &with_route(r#"path = "~ (?x)/a # all", upstream = "api""#),
        r#"bad.toml:4:12: error: `^(?:(?x)/a # all)$` is not a regular expression: unclosed group
    { path = "~ (?x)/a # all", upstream = "api" },
             ^^^^^^^^^^^^^^^^"#,
    );
    check(
        &with_route(r#"path = 3, upstream = "api""#),
        r#"bad.toml:4:12: error: `path` must be a string, found a whole number
    { path = 3, upstream = "api" },
             ^"#,
    );
}

#[test]
fn methods() {
    check(
        &with_route(r#"methods = "GET", upstream = "api""#),
        r#"bad.toml:4:15: error: `methods` must be a list, found a string
    { methods = "GET", upstream = "api" },
                ^^^^^"#,
    );
    check(
        &with_route(r#"methods = [], upstream = "api""#),
        r#"bad.toml:4:15: error: `methods` is empty
    { methods = [], upstream = "api" },
                ^^
  help: leave it out for any method"#,
    );
    check(
        &with_route(r#"methods = ["get", "PO ST", 3], upstream = "api""#),
        r#"bad.toml:4:16: error: `get` is not a method
    { methods = ["get", "PO ST", 3], upstream = "api" },
                 ^^^^^
  help: methods are upper case: "GET"
bad.toml:4:23: error: `PO ST` is not a method
    { methods = ["get", "PO ST", 3], upstream = "api" },
                        ^^^^^^^
  help: "GET", "POST", …
bad.toml:4:32: error: `methods[2]` must be a string, found a whole number
    { methods = ["get", "PO ST", 3], upstream = "api" },
                                 ^"#,
    );
}

#[test]
fn headers_cookies_and_query() {
    check(
        &with_route(r#"headers = { "a b" = "1" }, upstream = "api""#),
        r#"bad.toml:4:17: error: `a b` is not the name of a header
    { headers = { "a b" = "1" }, upstream = "api" },
                  ^^^^^
  help: letters, digits and `-`"#,
    );
    check(
        &with_route(r#"headers = { X-A = "1", x-a = "2" }, upstream = "api""#),
        r#"bad.toml:4:28: error: `x-a` stands in `headers` twice
    { headers = { X-A = "1", x-a = "2" }, upstream = "api" },
                             ^^^"#,
    );
    check(
        &with_route(r#"headers = { x-a = 1 }, upstream = "api""#),
        r#"bad.toml:4:23: error: `x-a` must be a string, found a whole number
    { headers = { x-a = 1 }, upstream = "api" },
                        ^"#,
    );
    check(
        &with_route(r#"headers = "x-a", upstream = "api""#),
        r#"bad.toml:4:15: error: `headers` must be a table, found a string
    { headers = "x-a", upstream = "api" },
                ^^^^^"#,
    );
    check(
        &with_route(r#"cookies = { "a=b" = "1" }, upstream = "api""#),
        r#"bad.toml:4:17: error: `a=b` is not the name of a cookie
    { cookies = { "a=b" = "1" }, upstream = "api" },
                  ^^^^^
  help: letters, digits, `-` and `_`"#,
    );
    check(
        &with_route(r#"query = { debug = true }, upstream = "api""#),
        r#"bad.toml:4:23: error: `debug` must be a string, found true or false
    { query = { debug = true }, upstream = "api" },
                        ^^^^"#,
    );
}

#[test]
fn a_timeout() {
    check(
        &with_route(r#"upstream = "api", timeout = "0ms""#),
        r#"bad.toml:4:33: error: `timeout` must be longer than nothing
    { upstream = "api", timeout = "0ms" },
                                  ^^^^^"#,
    );
    check(
        &with_route(r#"upstream = "api", timeout = "soon""#),
        r#"bad.toml:4:33: error: `soon` is not a duration
    { upstream = "api", timeout = "soon" },
                                  ^^^^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
}

#[test]
fn redirects() {
    check(
        &with_route(r#"redirect = true"#),
        r#"bad.toml:4:16: error: `redirect` must be a location, or a table with `location`, found true or false
    { redirect = true },
                 ^^^^"#,
    );
    check(
        &with_route(r#"redirect = { status = 200, location = "/" }"#),
        r#"bad.toml:4:27: error: 200 is not the status of a redirect
    { redirect = { status = 200, location = "/" } },
                            ^^^
  help: 301, 302, 303, 307 or 308"#,
    );
    check(
        &with_route(r#"redirect = { status = 301 }"#),
        r#"bad.toml:4:16: error: missing key `location` in `redirect`
    { redirect = { status = 301 } },
                 ^^^^^^^^^^^^^^^^
  help: write `location = "https://{host}{path}{query}"`"#,
    );
    check(
        &with_route(r#"redirect = "https://{hst}/""#),
        r#"bad.toml:4:16: error: unknown `{hst}` in a location
    { redirect = "https://{hst}/" },
                 ^^^^^^^^^^^^^^^^
  help: what may stand in braces: {scheme}, {host}, {path}, {query}"#,
    );
    check(
        &with_route(r#"redirect = "/a b""#),
        r#"bad.toml:4:16: error: `/a b` is not a location
    { redirect = "/a b" },
                 ^^^^^^
  help: a URL or a path, percent-encoded: "https://{host}{path}{query}""#,
    );
    check(
        &with_route(r#"redirect = """#),
        r#"bad.toml:4:16: error: `` is not a location
    { redirect = "" },
                 ^^
  help: a URL or a path, percent-encoded: "https://{host}{path}{query}""#,
    );
    check(
        &with_route(r#"redirect = { to = "/" }"#),
        r#"bad.toml:4:16: error: missing key `location` in `redirect`
    { redirect = { to = "/" } },
                 ^^^^^^^^^^^^
  help: write `location = "https://{host}{path}{query}"`
bad.toml:4:18: error: unknown key `to` in `redirect`
    { redirect = { to = "/" } },
                   ^^
  help: known keys: `status`, `location`"#,
    );
}

#[test]
fn responses() {
    check(
        &with_route(r#"respond = 404"#),
        r#"bad.toml:4:15: error: `respond` must be a table, found a whole number
    { respond = 404 },
                ^^^"#,
    );
    check(
        &with_route(r#"respond = { status = 99 }"#),
        r#"bad.toml:4:26: error: `status` must be from 200 to 599, found 99
    { respond = { status = 99 } },
                           ^^"#,
    );
    check(
        &with_route(r#"respond = { status = 204, body = "x" }"#),
        r#"bad.toml:4:15: error: an answer with status 204 has no body
    { respond = { status = 204, body = "x" } },
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
    check(
        &with_route(r#"respond = { headers = { Content-Length = "3", "a b" = "x", x-a = "\n", x-b = 1 } }"#),
        r#"bad.toml:4:29: error: `content-length` is set by the proxy itself
    { respond = { headers = { Content-Length = "3", "a b" = "x", x-a = "\n", x-b = 1 } } },
                              ^^^^^^^^^^^^^^
bad.toml:4:51: error: `a b` is not the name of a header
    { respond = { headers = { Content-Length = "3", "a b" = "x", x-a = "\n", x-b = 1 } } },
                                                    ^^^^^
  help: letters, digits and `-`
bad.toml:4:70: error: `\n` is not the value of a header
    { respond = { headers = { Content-Length = "3", "a b" = "x", x-a = "\n", x-b = 1 } } },
                                                                       ^^^^
  help: no line ends or other control characters
bad.toml:4:82: error: `x-b` must be a string, found a whole number
    { respond = { headers = { Content-Length = "3", "a b" = "x", x-a = "\n", x-b = 1 } } },
                                                                                   ^"#,
    );
    check(
        &with_route(r#"respond = { text = "x" }"#),
        r#"bad.toml:4:17: error: unknown key `text` in `respond`
    { respond = { text = "x" } },
                  ^^^^
  help: known keys: `status`, `body`, `headers`"#,
    );
}

#[test]
fn rewrites() {
    check(
        &with_route(r#"redirect = "/", rewrite = { prefix = "/" }"#),
        r#"bad.toml:4:21: error: `rewrite` does not go with a route without `upstream`
    { redirect = "/", rewrite = { prefix = "/" } },
                      ^^^^^^^"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = "/v2/""#),
        r#"bad.toml:4:33: error: `rewrite` must be a table, found a string
    { upstream = "api", rewrite = "/v2/" },
                                  ^^^^^^"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = {}"#),
        r#"bad.toml:4:33: error: missing key `prefix` in `rewrite`
    { upstream = "api", rewrite = {} },
                                  ^^
  help: write `prefix = "/v2/"`"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = { prefix = "v2" }"#),
        r#"bad.toml:4:44: error: `v2` is not a prefix
    { upstream = "api", rewrite = { prefix = "v2" } },
                                             ^^^^
  help: begin and end with `/`, percent-encoded: "/v2/""#,
    );
    check(
        &with_route(r#"path = "/a", upstream = "api", rewrite = { prefix = "/v2/" }"#),
        r#"bad.toml:4:57: error: `prefix` replaces a prefix, and the `path` of this route is not one
    { path = "/a", upstream = "api", rewrite = { prefix = "/v2/" } },
                                                          ^^^^^^
  help: end `path` with `/`, or write `rewrite = { regex = "…", replacement = "…" }`"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = { prefix = "/v2/", regex = "a", replacement = "b" }"#),
        r#"bad.toml:4:35: error: `prefix` does not go with `regex`
    { upstream = "api", rewrite = { prefix = "/v2/", regex = "a", replacement = "b" } },
                                    ^^^^^^"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = { regex = "/a" }"#),
        r#"bad.toml:4:33: error: missing key `replacement` in `rewrite`
    { upstream = "api", rewrite = { regex = "/a" } },
                                  ^^^^^^^^^^^^^^^^
  help: write `replacement = "/u/$1"`"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = { regex = "/(a", replacement = "/" }"#),
        r#"bad.toml:4:43: error: `/(a` is not a regular expression: unclosed group
    { upstream = "api", rewrite = { regex = "/(a", replacement = "/" } },
                                            ^^^^^"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = { regex = "/(a)", replacement = "/$2" }"#),
        r#"bad.toml:4:65: error: `/$2` uses the group `2`, which the pattern does not have
    { upstream = "api", rewrite = { regex = "/(a)", replacement = "/$2" } },
                                                                  ^^^^^
  help: set a number or name apart with braces: "${1}x"; "$$" is a dollar sign"#,
    );
    check(
        &with_route(r#"upstream = "api", rewrite = { regex = "/(a)", replacement = "/$1x" }"#),
        r#"bad.toml:4:65: error: `/$1x` uses the group `1x`, which the pattern does not have
    { upstream = "api", rewrite = { regex = "/(a)", replacement = "/$1x" } },
                                                                  ^^^^^^
  help: set a number or name apart with braces: "${1}x"; "$$" is a dollar sign"#,
    );
}

#[test]
fn duplicate_routes() {
    check(
        &with_routes(
            r#"{ host = "a.example.com", path = "/", methods = ["GET", "PUT"], upstream = "api" },
  { path = "/b", upstream = "api" },
  { host = "A.example.com", methods = ["PUT", "GET"], respond = {} },"#,
        ),
        r#"bad.toml:6:3: error: duplicate route: the one in line 4 matches the same requests
    { host = "A.example.com", methods = ["PUT", "GET"], respond = {} },
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: remove one, or give one of them another condition"#,
    );
}
