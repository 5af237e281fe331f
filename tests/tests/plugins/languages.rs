//! `examples/plugins`: what each language makes of the same three plugins passes the same battery. Where
//! a toolchain is missing the test says so and passes.

mod api_key;
mod canary;
mod sticky;
mod table;

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use jackfield::config::{EndpointConfig, PluginKind};
use jackfield::endpoint::{Endpoint, EndpointSet, EndpointState};
use jackfield::plugin::{Balancer, Engine, Exchange, Filter, Library, Usage};
use jackfield_tests::Proxy;
use jackfield_tests::host::{Host, exchange};

use crate::{cache_folder, plugins_folder, put, with_plugins};

/// A test for each plugin of each of these languages, and their list for the table.
macro_rules! languages {
    ($($language:ident),*) => {
        const LANGUAGES: &[&str] = &[$(stringify!($language)),*];
        $(mod $language {
            #[test]
            fn canary_by_header() {
                super::canary::battery(stringify!($language));
            }

            #[test]
            fn sticky_by_cookie() {
                super::sticky::battery(stringify!($language));
            }

            #[test]
            fn api_key() {
                super::api_key::battery(stringify!($language));
            }
        })*
    };
}

languages!(rust, go, c, zig, javascript, typescript, python);

/// Builds the plugin of this folder, as its README says.
fn build(language: &str, plugin: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins").join(language).join(plugin);
    build_in(&folder, &format!("{language}-{plugin}"))
}

/// Runs the `build.sh` of a folder; none where its toolchain is missing.
pub fn build_in(folder: &Path, what: &str) -> Option<Vec<u8>> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{what}-{}.wasm", std::process::id()));
    let output = Command::new(folder.join("build.sh")).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}: {said}");
        // Not by println: the test harness would hide it.
        let _ = std::io::stderr().write_all(format!("SKIPPED: {what}: {said}").as_bytes());
        return None;
    }
    assert!(output.status.success(), "{what}: {said}");
    let wasm = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    Some(wasm)
}

/// Python takes seconds to compile, so the proxies' cache serves here too.
pub fn host() -> Host {
    Host { engine: Engine::new(Some(cache_folder())).unwrap(), library: Library::default() }
}

/// A proxy with this configuration and the plugin in its folder.
fn proxy(plugin: &str, wasm: &[u8], config: &str) -> Proxy {
    Proxy::start_with(jackfield_tests::program!(), &complete(config), |folder| {
        put(&plugins_folder(folder), plugin, wasm);
    })
}

/// Listeners and upstreams, and what every configuration of these tests says too.
fn complete(config: &str) -> String {
    with_plugins(&format!("workers = 1\nadmin = {{ address = \"127.0.0.1:0\" }}\n{config}"))
}

/// What a configuration says to use a plugin of these tests, with what the runtimes of some need.
fn used(plugin: &str, settings: &str, then: &str) -> String {
    let part = |key: &str, value: &str| if value.is_empty() { String::new() } else { format!(", {key} = {value}") };
    let (settings, then) = (part("settings", settings), part("then", then));
    format!("{{ plugin = \"{plugin}\", grants = [\"clock\", \"random\", \"log\"]{settings}{then} }}")
}

#[track_caller]
fn no_failures(proxy: &Proxy) {
    let page = jackfield_tests::client::get(proxy.admin(), "/metrics").text();
    let mut lines = page.lines().filter(|line| line.starts_with("jackfield_plugin_failures_total{")).peekable();
    assert!(lines.peek().is_some(), "{page}");
    lines.for_each(|line| assert!(line.ends_with(" 0"), "{line}"));
}

/// Each of these settings is refused with this text.
#[track_caller]
fn refused(host: &Host, wasm: &[u8], kind: PluginKind, settings: &[&str], text: &str) {
    for settings in settings {
        let usage = host.usage_of(wasm, kind, settings, None);
        let refusal = match kind {
            PluginKind::Balancer => Balancer::start(&usage, 0, &endpoints(1, &[EndpointState::Healthy])).err(),
            PluginKind::HttpFilter => Filter::start(&usage, 0).err(),
        };
        let refusal = refusal.unwrap_or_else(|| panic!("{settings} was taken"));
        assert_eq!(refusal.to_string(), format!("refuses its settings: {text}"), "{settings}");
    }
}

/// In these states. Number 2 is labelled `canary`.
fn endpoints(generation: u64, states: &[EndpointState]) -> Arc<EndpointSet> {
    let endpoint = |number: usize| {
        let address = std::net::SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number as u32), 80));
        let labels = if number == 2 { vec![("canary".to_owned(), "yes".to_owned())] } else { Vec::new() };
        let config = EndpointConfig { name: address.to_string(), address, weight: 1, labels, draining: false, tier: 0 };
        Arc::new(Endpoint::new(config, Arc::default()))
    };
    let endpoints = (0..states.len()).map(endpoint).collect();
    Arc::new(EndpointSet::new(generation, endpoints, states.to_vec(), Duration::from_secs(10)))
}

/// A request with these headers.
fn request(headers: &[(&'static str, &str)]) -> Box<Exchange> {
    let mut exchange = exchange(Ipv4Addr::new(192, 0, 2, 7));
    let map = &mut exchange.request.as_mut().unwrap().headers;
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    exchange
}

#[track_caller]
fn assert_no_failures(usage: &Usage) {
    assert_eq!(usage.shared.totals.failures(), 0);
}
