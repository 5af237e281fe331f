//! Plugins: hostile ones, broken files, swaps at run time, the cache of compiled ones.

mod ask;
mod author;
mod body;
mod cache;
mod core_modules;
mod files;
mod flood;
mod grants;
mod hostile;
mod languages;
mod meddle;
mod metrics;
mod new;
mod state;
mod swap;
mod timer;
mod twins;
mod typescript;
mod wasi;
mod wrap;

use std::path::{Path, PathBuf};

use jackfield_tests::Proxy;
use jackfield_tests::host::guest;

/// A proxy with this configuration, and guests of the tests in its plugins folder.
#[track_caller]
fn start(config: &str, guests: &[&str]) -> Proxy {
    Proxy::start_with(jackfield_tests::program!(), &with_plugins(config), |folder| {
        let folder = plugins_folder(folder);
        for name in guests {
            put(&folder, name, &guest(name));
        }
    })
}

fn with_plugins(config: &str) -> String {
    format!("plugins = \"plugins\"\ncache = \"{}\"\n{config}", cache_folder().display())
}

/// One for all tests: each plugin is compiled once.
fn cache_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

fn plugins_folder(folder: &Path) -> PathBuf {
    let plugins = folder.join("plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    plugins
}

/// In one step: the proxy never sees half of it.
fn put(folder: &Path, name: &str, wasm: &[u8]) {
    let half = folder.join(format!(".{name}.half"));
    std::fs::write(&half, wasm).unwrap();
    std::fs::rename(half, folder.join(format!("{name}.wasm"))).unwrap();
}

/// Another component: a text in it is replaced by one of the same length.
#[track_caller]
fn patched(wasm: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut patched = wasm.to_vec();
    let places: Vec<usize> =
        (0..=wasm.len() - from.len()).filter(|place| wasm[*place..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from} is not in the component");
    for place in places {
        patched[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    patched
}

/// The same requests, one for each of the numbers, by so many clients at once.
fn at_once(clients: usize, requests: usize, address: std::net::SocketAddr, path: impl Fn(usize) -> String + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = jackfield_tests::Client::connect(address);
                for request in 0..requests {
                    assert_eq!(client.get(&path(request)).status(), 200);
                }
            });
        }
    });
}

/// A number of the metrics page.
#[track_caller]
fn metric(proxy: &Proxy, line: &str) -> u64 {
    let page = jackfield_tests::client::get(proxy.admin(), "/metrics").text();
    let value = page.lines().find_map(|found| found.strip_prefix(line));
    value.unwrap_or_else(|| panic!("no {line} in\n{page}")).trim().parse().unwrap()
}
