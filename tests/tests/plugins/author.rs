//! `jackfield plugin test`: cases, random input and a bench, as the author of a plugin runs them.

use std::path::Path;
use std::process::Command;

use jackfield::config::PluginKind;
use jackfield::plugin::Library;
use jackfield_tests::host::guest;

use crate::cache_folder;

/// What the program said, and its exit code.
struct Ran {
    out: String,
    errors: String,
    code: Option<i32>,
}

/// Tries a default plugin, or a guest of the tests, with these cases and flags.
#[track_caller]
fn try_plugin(name: &str, cases: Option<&str>, flags: &[&str]) -> Ran {
    let wasm = Library::default_file(name).map_or_else(|| guest(name), <[u8]>::to_vec);
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join(format!("{name}.wasm"));
    std::fs::write(&plugin, wasm).unwrap();
    if let Some(cases) = cases {
        std::fs::write(folder.path().join("cases.toml"), cases).unwrap();
    }
    let with_cases: &[&str] = if cases.is_some() { &["--cases", "cases.toml"] } else { &[] };
    run(folder.path(), &plugin, &[with_cases, flags].concat())
}

#[track_caller]
fn run(folder: &Path, plugin: &Path, flags: &[&str]) -> Ran {
    let mut command = Command::new(jackfield_tests::program!());
    command.current_dir(folder).args(["plugin", "test"]).arg(plugin).arg("--cache").arg(cache_folder()).args(flags);
    let ran = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { out: text(ran.stdout), errors: text(ran.stderr), code: ran.status.code() }
}

#[track_caller]
fn passes(name: &str, cases: &str, expected: &str) {
    let ran = try_plugin(name, Some(cases), &[]);
    assert_eq!((ran.out.as_str(), ran.code), (expected, Some(0)), "{}", ran.errors);
}

#[track_caller]
fn fails(name: &str, cases: &str, expected: &str) {
    let ran = try_plugin(name, Some(cases), &[]);
    assert_eq!((ran.out.as_str(), ran.code), (expected, Some(1)), "{}", ran.errors);
}

/// The cases cannot be used, and this is said of them.
#[track_caller]
fn unusable(name: &str, cases: &str, expected: &str) {
    let ran = try_plugin(name, Some(cases), &[]);
    assert_eq!((ran.errors.as_str(), ran.out.as_str(), ran.code), (expected, "", Some(2)));
}

const TWO: &str = "endpoints = [\"10.0.0.1:80\", \"10.0.0.2:80\"]\n";

#[test]
fn the_default_plugins_own_cases_pass() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut found = 0;
    for folder in std::fs::read_dir(plugins).unwrap().flatten() {
        let Ok(cases) = std::fs::read_to_string(folder.path().join("cases.toml")) else { continue };
        let name = folder.file_name().into_string().unwrap();
        let ran = try_plugin(&name, Some(&cases), &[]);
        assert_eq!(ran.code, Some(0), "{name}\n{}{}", ran.out, ran.errors);
        assert!(ran.out.contains(&format!(" {} passed, 0 failed", cases.matches("[[case]]").count())), "{}", ran.out);
        found += 1;
    }
    assert!(found >= 3);
}

#[test]
fn measures_are_what_the_case_says() {
    let cases = r#"
endpoints = [
  { address = "10.0.0.1:80", weight = 2, active = 3, latency-us = 900, cpu = 0.9 },
  { address = "[::1]:80", active = 2, latency-us = 1200 },
]
[[case]]
name = "by the number of connections"
expect = { endpoint = "[::1]:80" }
"#;
    let passed = "ok      by the number of connections\n1 case: 1 passed, 0 failed\n";
    passes("least-connections", cases, passed);
    // 3 of weight 2 are fewer than 2 of weight 1.
    let other = "FAILED  by the number of connections
        endpoint: expected [::1]:80, got 10.0.0.1:80
1 case: 0 passed, 1 failed
";
    fails("weighted-least-connections", cases, other);
}

#[test]
fn a_pick_that_differs_is_told() {
    let cases = format!(
        r#"{TWO}
[[case]]
name = "right"
expect = {{ endpoint = ["10.0.0.2:80", "10.0.0.1:80"] }}
[[case]]
name = "wrong"
expect = {{ endpoint = ["10.0.0.2:80", "none"] }}
[[case]]
name = "wrong in the middle"
expect = {{ sequence = ["10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80"] }}
[[case]]
name = "not refused"
expect = {{ refused = "settings" }}
[[case]]
name = "refused"
settings = {{ a = 1 }}
[[case]]
name = "refused otherwise"
settings = {{ a = 1 }}
expect = {{ refused = "weights" }}
"#
    );
    let expected = r#"ok      right
FAILED  wrong
        endpoint: expected 10.0.0.2:80 or none, got 10.0.0.1:80
FAILED  wrong in the middle
        pick 2: expected 10.0.0.1:80, got 10.0.0.2:80
FAILED  not refused
        refused: expected a message that contains "settings", got no refusal
FAILED  refused
        start: refuses its settings: this plugin has no settings; leave them out
FAILED  refused otherwise
        refused: expected a message that contains "weights", got "this plugin has no settings; leave them out"
6 cases: 1 passed, 5 failed
"#;
    fails("round-robin", &cases, expected);
}

#[test]
fn messages_that_differ_are_told_line_by_line() {
    let cases = r#"
settings = { request = { set = { x-a = "1" }, append = { x-b = ["2", "3"] } }, response = { remove = ["server"] } }
[[case]]
name = "all of it is wrong"
request = { path = "/p?q", headers = { x-c = "4", x-d = { hex = "ff" } } }
response = { status = 404, headers = { server = "x" } }
[case.expect.request]
method = "POST"
path = "/p"
host = "example.org"
upstream = "canary"
headers = { x-a = "0", X-B = ["2"], x-d = "5" }
absent = ["x-c"]
present = ["x-e"]
notes = { user = "alice" }
[case.expect.answer]
status = 401
[case.expect.response]
status = 200
headers = { server = "x" }
"#;
    let expected = r#"FAILED  all of it is wrong
        method: expected POST, got GET
        path: expected /p, got /p?q
        host: expected example.org, got www.example.com
        upstream: expected canary, got none
        request headers:
          - x-a: 0
          + x-a: 1
          - x-b: 2
          + x-b: 2
          + x-b: 3
          - x-d: 5
          + x-d: \xff
          - x-e: (any value)
          + x-c: 4 (expected absent)
        note user: expected "alice", got no such note
        answer: expected one, got none: the request goes on
        response status: expected 200, got 404
        response headers:
          - server: x
1 case: 0 passed, 1 failed
"#;
    fails("headers", cases, expected);
}

#[test]
fn an_answer_passes_the_plugins_own_response_phase() {
    let cases = r#"
kind = "http-filter"
grants = ["log"]
[[case]]
name = "answered, and reported on"
request = { path = "/meddle/notes" }
[case.expect.answer]
status = 200
[[case]]
name = "another body"
request = { path = "/meddle/no-content" }
expect = { answer = { status = 200, body = "text" } }
[[case]]
name = "no answer"
request = { path = "/" }
expect = { answer = "none", response = { status = 200 } }
[[case]]
name = "notes of filters before"
request = { notes = { a = "b" } }
expect = { request = { notes = { a = "b" } } }
[[case]]
name = "of the endpoint"
request = { path = "/meddle/after" }
response = { status = 201 }
expect = { response = { status = 201, present = ["x-report"] } }
"#;
    let expected = r#"ok      answered, and reported on
FAILED  another body
        answer status: expected 200, got 204
        answer body:
          - "text"
          + "a body"
FAILED  no answer
        response: there is none: the filter answered nothing, and the case has no `response` that an endpoint would give
ok      notes of filters before
ok      of the endpoint
5 cases: 3 passed, 2 failed
"#;
    fails("meddle", cases, expected);
}

/// A case for the hostile guest.
fn misbehaving(kind: &str, action: &str) -> String {
    let endpoints = if kind == "balancer" { TWO } else { "" };
    format!("kind = \"{kind}\"\nsettings = {{ do = \"{action}\" }}\n{endpoints}[[case]]\nname = \"x\"\n")
}

#[test]
fn failures_of_the_plugin_itself_are_told_with_their_place() {
    for (action, failure) in [
        ("trap", "pick: trapped: wasm trap: wasm `unreachable` instruction executed"),
        ("loop", "pick: overran its deadline of 50ms"),
        ("recurse", "pick: trapped: wasm trap: call stack exhausted"),
        ("out-of-range", "pick: chose endpoint 9, of 2"),
        ("loop-in-update", "start: overran its deadline of 250ms"),
        ("trap-in-configure", "start: trapped: wasm trap: wasm `unreachable` instruction executed"),
    ] {
        let ran = try_plugin("misbehave", Some(&misbehaving("balancer", action)), &[]);
        let begin = format!("FAILED  x\n        {failure}\n");
        assert!(ran.out.starts_with(&begin), "{action}: {}", ran.out);
        assert!(ran.out.ends_with("1 case: 0 passed, 1 failed\n"), "{action}: {}", ran.out);
        let place = if action == "out-of-range" { false } else { ran.out.contains("\n        in: ") };
        assert_eq!(place, action != "out-of-range", "{action}: {}", ran.out);
        assert_eq!(ran.code, Some(1));
    }
    let ran = try_plugin("misbehave", Some(&misbehaving("http-filter", "trap")), &[]);
    assert!(ran.out.contains("on-request: trapped: "), "{}", ran.out);
}

#[test]
fn limits_are_the_files() {
    // So much time that it is the memory that stands in the way.
    let cases = format!("memory = \"2MiB\"\ndeadline = \"5s\"\n{}", misbehaving("balancer", "bomb"));
    let ran = try_plugin("misbehave", Some(&cases), &[]);
    assert!(ran.out.contains("pick: reached its memory limit of 2048 KiB"), "{}", ran.out);
    let cases = format!("deadline = \"20ms\"\n{}", misbehaving("balancer", "loop"));
    let ran = try_plugin("misbehave", Some(&cases), &[]);
    assert!(ran.out.contains("pick: overran its deadline of 20ms"), "{}", ran.out);
}

#[test]
fn what_the_plugin_logged_stands_with_the_case_that_failed() {
    let cases = format!(
        "kind = \"balancer\"\ngrants = [\"log\"]\n{TWO}[[case]]\nname = \"a\"\nexpect = {{ endpoint = \"10.0.0.2:80\" }}\n[[case]]\nname = \"b\"\n"
    );
    let ran = try_plugin("meddle", Some(&cases), &[]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[..2], ["FAILED  a", "        endpoint: expected 10.0.0.2:80, got 10.0.0.1:80"]);
    assert!(lines[2].starts_with("        log: info: pick: set-header=Forbidden "), "{}", ran.out);
    assert_eq!(lines[3..], ["ok      b", "2 cases: 1 passed, 1 failed"]);
}

#[test]
fn cases_are_chosen_by_name() {
    let cases = format!("{TWO}[[case]]\nname = \"north by day\"\n[[case]]\nname = \"south by day\"\n");
    let ran = try_plugin("random", Some(&cases), &["--case", "north"]);
    assert_eq!(ran.out, "ok      north by day\n1 case: 1 passed, 0 failed\n");
    let ran = try_plugin("random", Some(&cases), &["--case", "night"]);
    assert!(ran.code == Some(2) && ran.errors == "no case has \"night\" in its name\n", "{}", ran.errors);
}

#[test]
fn bad_cases_are_explained() {
    unusable(
        "round-robin",
        "[[case]]\nname = \"a\"\nexpects = {}\nendpoints = [\"10.0.0.1\"]\n",
        r#"cases.toml:3:1: error: unknown key `expects` in a case
  expects = {}
  ^^^^^^^
  help: did you mean `expect`? known keys: `name`, `kind`, `settings`, `grants`, `endpoints`, `then`, `before`, `request`, `tried`, `candidates`, `expect`
cases.toml:4:14: error: `10.0.0.1` has no port
  endpoints = ["10.0.0.1"]
               ^^^^^^^^^^
  help: a host and a port: "127.0.0.1:5001", "[::1]:5001", "backend.internal:80"
"#,
    );
    unusable(
        "round-robin",
        &format!(
            "{TWO}then = \"maglef\"\n[[case]]\ntried = [\"10.0.0.3:80\"]\nexpect = {{ endpoint = \"nobody\", request = {{}} }}\n"
        ),
        r#"cases.toml:2:8: error: no plugin `maglef`
  then = "maglef"
         ^^^^^^^^
  help: did you mean `maglev`? balancers: `ip-hash`, `least-connections`, `least-response-time`, `maglev`, `power-of-two-choices`, `random`, `resource-based`, `round-robin`, `sticky-cookie`, `weighted-least-connections`, `weighted-round-robin`
cases.toml:3:1: error: missing key `name` in a case
  [[case]]
  ^^^^^^^^
  help: write `name = "what it shows"`
cases.toml:4:10: error: no endpoint `10.0.0.3:80`
  tried = ["10.0.0.3:80"]
           ^^^^^^^^^^^^^
  help: did you mean `10.0.0.1:80`? endpoints: `10.0.0.1:80`, `10.0.0.2:80`
cases.toml:5:23: error: no endpoint `nobody`
  expect = { endpoint = "nobody", request = {} }
                        ^^^^^^^^
  help: endpoints: `10.0.0.1:80`, `10.0.0.2:80`
cases.toml:5:33: error: `request` does not go with a balancer: only a filter changes messages
  expect = { endpoint = "nobody", request = {} }
                                  ^^^^^^^
"#,
    );
}

#[test]
fn bad_cases_of_a_filter_are_explained() {
    unusable(
        "headers",
        r#"kind = "balancer"
[[case]]
name = "a"
request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
tried = []
response = { status = 900 }
expect = { answer = true, response = { status = "ok" } }
"#,
        r#"cases.toml:1:8: error: the plugin is a filter, not a balancer
  kind = "balancer"
         ^^^^^^^^^^
cases.toml:4:24: error: a filter sees HTTP only
  request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
                         ^^^^^
  help: known: `http1`, `http2`
cases.toml:4:40: error: `192.0.2.7` is not the address of a client
  request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
                                         ^^^^^^^^^^^
  help: an IP address and a port: "192.0.2.7:40000", "[2001:db8::7]:40000"
cases.toml:4:60: error: `a` is not a path
  request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
                                                             ^^^
  help: begin with `/`, and write it as it is sent, percent-encoded: "/a?b=c"
cases.toml:4:77: error: `x y` is not the name of a header
  request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
                                                                              ^^^^^
  help: letters, digits and `-`
cases.toml:4:96: error: `x-a` must be a string, a list of strings or `{ hex = "…" }`, found a whole number
  request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
                                                                                                 ^
cases.toml:4:113: error: `f` is not a row of bytes
  request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
                                                                                                                  ^^^
  help: two hexadecimal digits for each: "c3a9"
cases.toml:4:126: error: `x-c` cannot be the value of a header
  request = { protocol = "tcp", client = "192.0.2.7", path = "a", headers = { "x y" = "1", x-a = 3, x-b = { hex = "f" }, x-c = "\n" } }
                                                                                                                               ^^^^
  help: any bytes but control characters; a tab may be in it
cases.toml:5:1: error: `tried` does not go with a filter: only a balancer chooses endpoints
  tried = []
  ^^^^^
cases.toml:6:23: error: `status` must be from 101 to 599, found 900
  response = { status = 900 }
                        ^^^
cases.toml:7:21: error: `answer` must be a table, or "none", found true or false
  expect = { answer = true, response = { status = "ok" } }
                      ^^^^
cases.toml:7:49: error: `status` must be a whole number, found a string
  expect = { answer = true, response = { status = "ok" } }
                                                  ^^^^
"#,
    );
}

#[test]
fn what_is_measured_has_its_range() {
    unusable(
        "random",
        r#"endpoints = [{ address = "10.0.0.1:80", weight = 0, state = "sick", error-rate = 2, cpu = "half" }, "10.0.0.1:80"]
[[case]]
name = "a"
request = { protocol = "udp", path = "/" }
expect = { endpoint = [], sequence = [] }
"#,
        r#"cases.toml:1:50: error: `weight` must be from 1 to 65535, found 0
  endpoints = [{ address = "10.0.0.1:80", weight = 0, state = "sick", error-rate = 2, cpu = "half" }, "10.0.0.1:80"]
                                                   ^
cases.toml:1:61: error: unknown `state`: `sick`
  endpoints = [{ address = "10.0.0.1:80", weight = 0, state = "sick", error-rate = 2, cpu = "half" }, "10.0.0.1:80"]
                                                              ^^^^^^
  help: known: `healthy`, `unhealthy`, `draining`
cases.toml:1:82: error: `error-rate` must be from 0 to 1, found 2
  endpoints = [{ address = "10.0.0.1:80", weight = 0, state = "sick", error-rate = 2, cpu = "half" }, "10.0.0.1:80"]
                                                                                   ^
  help: 0.25 is 25 %
cases.toml:1:91: error: `cpu` must be a number, found a string
  endpoints = [{ address = "10.0.0.1:80", weight = 0, state = "sick", error-rate = 2, cpu = "half" }, "10.0.0.1:80"]
                                                                                            ^^^^^^
  help: 0.25 is 25 %
cases.toml:1:101: error: duplicate endpoint: `10.0.0.1:80` is also in line 1
  endpoints = [{ address = "10.0.0.1:80", weight = 0, state = "sick", error-rate = 2, cpu = "half" }, "10.0.0.1:80"]
                                                                                                      ^^^^^^^^^^^^^
  help: remove one; `weight` gives an endpoint a larger share
cases.toml:4:31: error: `path` does not go with `tcp` and `udp`, which have no requests
  request = { protocol = "udp", path = "/" }
                                ^^^^
cases.toml:5:23: error: `endpoint` is empty
  expect = { endpoint = [], sequence = [] }
                        ^^
  help: for no endpoint at all write "none"
cases.toml:5:38: error: `sequence` is empty
  expect = { endpoint = [], sequence = [] }
                                       ^^
  help: name an endpoint for each pick: `sequence = ["10.0.0.1:80", "10.0.0.2:80"]`
"#,
    );
}

#[test]
fn a_file_without_cases_and_one_that_is_not_toml() {
    unusable(
        "random",
        "settings = {}\n",
        r#"cases.toml:1:1: error: no case: nothing would be tested
  settings = {}
  ^^^^^^^^^^^^^
  help: write `[[case]]`, then `name = "…"` and what it is about
"#,
    );
    unusable(
        "random",
        "[[case]\n",
        "cases.toml:1:8: error: not valid TOML: unclosed array table, expected `]`\n  [[case]\n         ^\n",
    );
    unusable(
        "misbehave",
        "[[case]]\nname = \"a\"\n",
        r#"cases.toml:1:1: error: the plugin is both a balancer and a filter: which of them is this case about?
  [[case]]
  ^^^^^^^^
  help: write `kind = "balancer"` or `kind = "http-filter"` here or at the top of the file
"#,
    );
    let ran = try_plugin("random", None, &["--cases", "gone.toml"]);
    assert_eq!(ran.errors, "gone.toml: error: cannot read the cases: No such file or directory (os error 2)\n");
    assert_eq!(ran.code, Some(2));
}

#[test]
fn it_says_what_it_can_do() {
    let ran = try_plugin("random", None, &[]);
    assert!(ran.code == Some(2) && ran.out.is_empty());
    for part in ["say what to do with the plugin", "--cases cases.toml", "--fuzz 10s", "--bench"] {
        assert!(ran.errors.contains(part), "{}", ran.errors);
    }
    for (flags, part) in [
        (&["--fuzz", "10"][..], "write a whole number and a unit: 500ms, 10s, 5m"),
        (&["--fuzz", "0s"], "write a whole number and a unit"),
        (&["--bench", "--seed", "1"], "--fuzz <TIME>"),
        (&["--bench", "--case", "a"], "--cases <FILE>"),
    ] {
        let ran = try_plugin("random", None, flags);
        assert!(ran.code == Some(2) && ran.errors.contains(part), "{flags:?}: {}", ran.errors);
    }
}

#[test]
fn a_file_that_is_no_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.wasm");
    std::fs::write(&file, "no Wasm").unwrap();
    let ran = run(folder.path(), Path::new("notes.wasm"), &["--bench"]);
    assert!(ran.errors.starts_with("notes.wasm: not a WebAssembly file"), "{}", ran.errors);
    assert_eq!(ran.code, Some(2));
    let ran = run(folder.path(), Path::new("gone.wasm"), &["--bench"]);
    assert_eq!((ran.errors.as_str(), ran.code), ("gone.wasm: No such file or directory (os error 2)\n", Some(2)));
}

/// The cases that random input printed.
fn reproducing(ran: &Ran) -> Vec<String> {
    let cases = ran.out.split("\n[[case]]\n").skip(1);
    cases.map(|case| format!("[[case]]\n{}", case.split("\n\n").next().unwrap())).collect()
}

#[test]
fn random_input_finds_what_a_hostile_plugin_does_and_writes_a_case_that_shows_it() {
    for (kind, action, found) in [
        ("balancer", "trap", &["pick: trapped: "][..]),
        ("balancer", "loop", &["pick: overran its deadline"]),
        ("balancer", "recurse", &["pick: trapped: wasm trap: call stack exhausted"]),
        ("balancer", "out-of-range", &["pick: chose endpoint 7, of 0"]),
        ("balancer", "always-first", &["pick: chose endpoint 0, of 0", "pick: chose endpoint 0, which was tried"]),
        ("balancer", "loop-in-update", &["start: overran its deadline"]),
        ("http-filter", "panic", &["on-request: trapped: "]),
    ] {
        let cases = misbehaving(kind, action);
        let ran = try_plugin("misbehave", Some(&cases), &["--case", "x", "--fuzz", "300ms", "--seed", "5"]);
        assert_eq!(ran.code, Some(1), "{action}: {}{}", ran.out, ran.errors);
        assert_eq!(ran.out.matches("\nFOUND  ").count(), found.len(), "{action}: {}", ran.out);
        let shown = reproducing(&ran);
        assert_eq!(shown.len(), found.len());
        for (what, case) in found.iter().zip(&shown) {
            assert!(ran.out.contains(&format!("\nFOUND  {what}")), "{action}, {what}: {}", ran.out);
            assert!(case.len() < 400, "{action} is not small: {case}");
            let again = try_plugin("misbehave", Some(case), &[]);
            let told = found.iter().any(|what| again.out.contains(&format!("        {what}")));
            assert!(told && again.code == Some(1), "{action}: {case}\n{}{}", again.out, again.errors);
        }
    }
}

/// Cases for the careless guest, with a pick that goes well.
fn careless(kind: &str, mistake: &str) -> String {
    format!(
        r#"kind = "{kind}"
settings = {{ mistake = "{mistake}" }}
[[case]]
name = "x"
request = {{ headers = {{ x-user = "alice" }} }}
"#
    )
}

/// What is seldom in random input is found all the same, and what has nothing to do with it goes.
#[test]
fn random_input_finds_mistakes_and_makes_them_small() {
    let found = |kind: &str, mistake: &str| {
        let ran = try_plugin("careless", Some(&careless(kind, mistake)), &["--fuzz", "1s", "--seed", "2"]);
        assert_eq!(ran.code, Some(1), "{mistake}: {}{}", ran.out, ran.errors);
        for case in reproducing(&ran) {
            let again = try_plugin("careless", Some(&case), &[]);
            assert_eq!(again.code, Some(1), "{mistake}: {case}\n{}{}", again.out, again.errors);
        }
        let without_name = |case: String| case.replacen("fuzz 2: ", "", 1);
        reproducing(&ran).into_iter().map(without_name).collect::<Vec<_>>()
    };
    let settings = |mistake: &str| format!("settings = {{ mistake = \"{mistake}\" }}\n");
    for kind in ["balancer", "http-filter"] {
        let call = if kind == "balancer" { "pick" } else { "on-request" };
        let endpoints = if kind == "balancer" { "endpoints = []\n" } else { "" };
        let case = format!(
            "[[case]]\nname = \"{call} traps\"\nkind = \"{kind}\"\n{}{endpoints}request = {{ headers = {{ x-user = {{ hex = \"ff\" }} }} }}",
            settings("text")
        );
        let cases = found(kind, "text");
        assert_eq!(cases.len(), 1, "{cases:?}");
        // Any byte that is no text will do.
        let digits = cases[0].split("hex = \"").nth(1).unwrap();
        assert_eq!(cases[0].replacen(&digits[..2], "ff", 1), case);
    }
    let zone = found("balancer", "zone");
    assert!(zone.iter().all(|case| case.matches("address = ").count() == 1), "{zone:?}");
    let location = found("http-filter", "location");
    assert_eq!(location.len(), 1, "{location:?}");
    assert!(location[0].contains("\nresponse = { status = ") && !location[0].contains("headers"), "{location:?}");
    let position = found("balancer", "position");
    assert!(position.iter().all(|case| case.matches("[[case.before]]").count() == 1), "{position:?}");
    assert_eq!(position.len(), 2, "out of range, and tried already");
}

#[test]
fn what_fails_by_chance_is_made_small_too() {
    let ran = try_plugin("careless", Some(&careless("balancer", "chance")), &["--fuzz", "300ms", "--seed", "1"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.errors);
    assert_eq!(ran.out.matches("\nFOUND  pick: chose endpoint 1, of 1").count(), 1, "{}", ran.out);
    assert!(ran.out.contains("; this case shows it ") && ran.out.contains(" times of 20:\n"), "{}", ran.out);
    let case = &reproducing(&ran)[0];
    assert!(case.ends_with("endpoints = [\n  \"10.0.0.1:80\",\n]") && !case.contains("before"), "{case}");
}

#[test]
fn the_seed_is_told_and_makes_the_same_input_again() {
    let cases = "kind = \"balancer\"\nsettings = { do = \"always-first\" }\n[[case]]\nname = \"x\"\n";
    let first = try_plugin("misbehave", Some(cases), &["--fuzz", "300ms"]);
    let seed = first.out.split("seed ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let again = try_plugin("misbehave", Some(cases), &["--fuzz", "300ms", "--seed", &seed]);
    let (first, again) = (reproducing(&first), reproducing(&again));
    assert!(!first.is_empty());
    assert_eq!(first[0], again[0]);
}

#[test]
fn random_input_needs_settings_that_the_plugin_takes() {
    let ran = try_plugin("misbehave", Some(&misbehaving("balancer", "refuse")), &["--fuzz", "300ms"]);
    assert!(
        ran.errors.starts_with("the plugin refuses the settings {\"do\":\"refuse\"}: these settings are refused\n")
    );
    assert_eq!(ran.code, Some(2));
}

#[test]
fn the_default_plugins_survive_random_input() {
    const FEATURES: [&str; 5] =
        ["with endpoints tried before", "with none eligible", "with a delegate", "narrowed", "after an update"];
    let mut seen = [0_u64; FEATURES.len()];
    for (name, kinds) in Library::defaults() {
        let ran = try_plugin(&name, None, &["--fuzz", "300ms", "--seed", "1"]);
        assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.out, ran.errors);
        assert!(ran.out.ends_with("nothing found\n"));
        assert_eq!(ran.out.contains(" picks, of these\n"), kinds.kinds == [PluginKind::Balancer], "{}", ran.out);
        for mistake in ["chose nobody though somebody was eligible", "chose an endpoint that was not eligible"] {
            let row = ran.out.lines().find(|line| line.contains(mistake));
            // A session stays at an endpoint that drains.
            let may = name == "sticky-cookie" && mistake.ends_with("not eligible");
            assert!(may || row.is_none_or(|row| row.trim_start().starts_with("0 ")), "{name}: {}", ran.out);
        }
        for (feature, seen) in FEATURES.iter().zip(&mut seen) {
            let row = ran.out.lines().find(|line| line.contains(feature));
            *seen += row.map_or(0, |row| row.split_whitespace().next().unwrap().parse().unwrap());
        }
    }
    assert!(seen.iter().all(|seen| *seen > 0), "{FEATURES:?}: {seen:?}");
}

#[test]
fn a_bench_has_its_rows() {
    let ran = try_plugin("round-robin", None, &["--bench"]);
    let rows = |ran: &Ran| {
        let lines = ran.out.lines().skip(1);
        lines.map(|line| line.get(2..24).unwrap_or_default().trim_end().to_owned()).collect::<Vec<_>>()
    };
    let picks = ["pick, 10 endpoints", "pick, 100 endpoints", "pick, 1000 endpoints"];
    assert_eq!(rows(&ran), [&["compile", "start"][..], &picks, &["memory"]].concat(), "{}", ran.out);
    assert_eq!(ran.out.lines().next(), Some("bench of round-robin, a use as balancer"));
    assert_eq!(ran.code, Some(0));
    let ran = try_plugin(
        "headers",
        Some("settings = { response = { remove = [\"server\"] } }\n[[case]]\nname = \"a\"\n"),
        &["--bench"],
    );
    let bench = ran.out.split_once("failed\n").unwrap().1;
    let ran = Ran { out: bench.to_owned(), ..ran };
    assert_eq!(rows(&ran), ["compile", "start", "on-request", "on-response", "memory"], "{}", ran.out);
    assert!(ran.out.contains("  on-request            not called with these settings\n"), "{}", ran.out);
    // The second time it is in the cache.
    assert!(ran.out.contains("compile               ") && rows(&try_plugin("headers", None, &["--bench"])).len() == 5);
    assert!(try_plugin("headers", None, &["--bench"]).out.contains("  compile               from the cache\n"));
}

#[test]
fn a_bench_of_a_plugin_that_fails_says_so() {
    let cases = misbehaving("balancer", "trap");
    let ran = try_plugin("misbehave", Some(&cases), &["--bench"]);
    assert!(ran.out.contains("\n  FAILED  pick: trapped: "), "{}", ran.out);
    assert_eq!(ran.code, Some(1));
}
