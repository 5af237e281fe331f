//! Bad configurations and the exact answers to them. `FOLDER` stands for the folder of the file.

#![allow(clippy::needless_raw_string_hashes, reason = "expected texts all look the same")]
#![allow(clippy::too_many_lines, reason = "a test is as long as the list of its cases")]

mod grants;
mod listener;
mod plugin;
mod root;
mod route;
mod tls;
mod upstream;

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jackfield::config::{self, Diagnostic, Diagnostics, KnownPlugin, KnownPlugins, PluginKind, Source};

/// A folder with the files that the configurations name.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad_config");
    std::fs::create_dir_all(&folder).unwrap();
    for (file, label) in
        [("site.pem", "CERTIFICATE"), ("site.key", "PRIVATE KEY"), ("locked.key", "ENCRYPTED PRIVATE KEY")]
    {
        let pem = format!("-----BEGIN {label}-----\nAA==\n-----END {label}-----\n");
        std::fs::write(folder.join(file), pem).unwrap();
    }
    std::fs::write(folder.join("empty.pem"), "").unwrap();
    folder
});

#[track_caller]
fn check(text: &str, expected: &str) {
    check_with(known, text, expected);
}

#[track_caller]
fn check_with(known: impl FnOnce(Option<&Path>) -> KnownPlugins, text: &str, expected: &str) {
    let error = config::parse(source(text), known).expect_err("the configuration is accepted");
    let shown = error.to_string().replace(&FOLDER.display().to_string(), "FOLDER");
    assert_eq!(shown, expected, "\n--- found:\n{shown}\n--- expected:\n{expected}\n");
}

fn source(text: &str) -> Source {
    Source { name: "bad.toml".to_owned(), text: text.to_owned(), folder: FOLDER.clone() }
}

fn known(_: Option<&Path>) -> KnownPlugins {
    let plugin = |name: &str, kind| (name.to_owned(), KnownPlugin { kinds: vec![kind], needs: Vec::new() });
    BTreeMap::from([
        plugin("round-robin", PluginKind::Balancer),
        plugin("least-connections", PluginKind::Balancer),
        plugin("x-forwarded-for", PluginKind::HttpFilter),
        plugin("headers", PluginKind::HttpFilter),
    ])
}

const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
const UPSTREAM: &str = "[upstream.api]\nendpoints = [\"127.0.0.1:5001\"]\n";

/// A right configuration with these lines at its beginning.
fn with_root(lines: &str) -> String {
    format!("{lines}\n{LISTENER}upstream = \"api\"\n{UPSTREAM}")
}

/// A right configuration, but for the lines of its listener.
fn with_listener(lines: &str) -> String {
    format!("{LISTENER}{lines}\n{UPSTREAM}")
}

/// A right configuration, but for the listener's address.
fn at(address: &str) -> String {
    format!("[[listener]]\naddress = {address}\nupstream = \"api\"\n{UPSTREAM}")
}

/// Two listeners.
fn at_both(first: &str, second: &str) -> String {
    format!("[[listener]]\naddress = \"{first}\"\nupstream = \"api\"\n{}", at(&format!("\"{second}\"")))
}

/// A right configuration, but for the one route.
fn with_route(keys: &str) -> String {
    with_routes(&format!("{{ {keys} }},"))
}

fn with_routes(routes: &str) -> String {
    with_listener(&format!("routes = [\n  {routes}\n]"))
}

/// A right configuration, but for the lines of its upstream.
fn with_upstream(lines: &str) -> String {
    format!("[upstream.api]\n{lines}\n{LISTENER}upstream = \"api\"\n")
}

/// The same, and the upstream has an endpoint.
fn with_endpoint(lines: &str) -> String {
    with_upstream(&format!("endpoints = [\"127.0.0.1:5001\"]\n{lines}"))
}

/// A right configuration, but for its one endpoint.
fn to(endpoint: &str) -> String {
    with_upstream(&format!("endpoints = [{endpoint}]"))
}

#[test]
fn a_host_that_nobody_knows() {
    // The system's words for it differ between machines.
    let why = ("nowhere.invalid", 80).to_socket_addrs().unwrap_err();
    let expected = format!(
        r#"bad.toml:2:14: error: cannot resolve `nowhere.invalid`: {why}
  endpoints = ["nowhere.invalid:80"]
               ^^^^^^^^^^^^^^^^^^^^
  help: a name that this machine can look up, or an IP address"#
    );
    check(&to(r#""nowhere.invalid:80""#), &expected);
}

#[test]
fn a_file_that_is_not_there() {
    let error = config::load(Path::new("/nowhere/jackfield.toml"), known).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nowhere/jackfield.toml: error: cannot read the configuration: No such file or directory (os error 2)"
    );
}

#[test]
fn a_file_that_is_not_text() {
    let path = FOLDER.join("latin1.toml");
    std::fs::write(&path, b"workers = 2\n# caf\xe9\n").unwrap();
    let error = config::load(&path, known).unwrap_err().to_string();
    let expected = "FOLDER/latin1.toml:2:6: error: not UTF-8 text\n  # caf\u{fffd}\n       ^";
    assert_eq!(error.replace(&FOLDER.display().to_string(), "FOLDER"), expected);
}

#[test]
fn what_is_found_later_is_shown_in_the_same_form() {
    let path = FOLDER.join("good.toml");
    std::fs::write(&path, with_endpoint(r#"balancer = "round-robin""#)).unwrap();
    let loaded = config::load(&path, known).unwrap();
    let place = loaded.config.uses[0].place;
    let message = "plugin `round-robin` refuses its settings: no".to_owned();
    let error = Diagnostics::new(loaded.source, vec![Diagnostic { place, message, help: None }]);
    let expected = r#"FOLDER/good.toml:3:12: error: plugin `round-robin` refuses its settings: no
  balancer = "round-robin"
             ^^^^^^^^^^^^^"#;
    assert_eq!(error.to_string().replace(&FOLDER.display().to_string(), "FOLDER"), expected);
}
