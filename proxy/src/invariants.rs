//! What ARCHITECTURE.md says of the tree, checked against the tree.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `src`, as `/`-separated path and text without its tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let is_source = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "invariants.rs"
    };
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        (path.strip_prefix(&root).unwrap().display().to_string(), code)
    };
    files.into_iter().filter(is_source).map(read).collect()
}

/// Files that contain one of the words, comments aside, and lie in none of the places.
#[track_caller]
fn only_in(words: &[&str], places: &[&str]) {
    let names = |code: &str| {
        let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.any(|line| words.iter().any(|word| line.contains(word)))
    };
    let elsewhere: Vec<String> = sources()
        .into_iter()
        .filter(|(path, code)| !places.iter().any(|place| path.starts_with(place)) && names(code))
        .map(|(path, _)| path)
        .collect();
    assert!(elsewhere.is_empty(), "{words:?} stands outside of {places:?}: {elsewhere:?}");
}

#[test]
fn only_plugin_names_wasmtime() {
    only_in(&["wasmtime::", "wit_component::", "wasm_encoder::"], &["plugin.rs", "plugin/"]);
}

#[test]
fn only_tls_names_rustls() {
    only_in(&[" rustls::", "tokio_rustls::"], &["tls.rs"]);
}

#[test]
fn only_config_reads_the_file() {
    only_in(&["toml::"], &["config/"]);
}

/// But for the default of a configuration that names no balancer, and the demo's configuration.
#[test]
fn the_proxy_knows_no_plugin_by_name() {
    // Words that mean something else too.
    const HEADERS_TOO: [&str; 3] = ["\"headers\"", "\"random\"", "\"x-forwarded-for\""];
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins")).unwrap();
    let names: Vec<String> =
        folders.flatten().map(|folder| format!("\"{}\"", folder.file_name().to_string_lossy())).collect();
    let words: Vec<&str> = names.iter().map(String::as_str).filter(|name| !HEADERS_TOO.contains(name)).collect();
    assert!(words.len() > 5);
    only_in(&words, &["config/file", "program/demo.rs"]);
}

#[test]
fn unsafe_code_is_in_the_cache_of_compiled_plugins_and_where_systemd_passes_sockets_only() {
    only_in(&["unsafe {", "allow(unsafe_code)"], &["plugin/cache.rs", "systemd.rs"]);
}
