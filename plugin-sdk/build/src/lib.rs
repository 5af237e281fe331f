//! For build scripts: compiles crates of this workspace to Wasm and turns them into components, and
//! assembles the adapter that core modules of others are given.
//!
//! The inner build has a target folder of its own, so that it may run inside of another one, and a
//! profile of its own (`plugin`), so that a plugin is the same in debug and release.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use wasm_encoder::Section;

const TARGET: &str = "wasm32-unknown-unknown";

/// A plugin crate, ready to be compiled.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// The name under which it is used.
    pub plugin: String,
}

/// The crates in the folders of `folder`: each one's package is named `prefix` + folder.
///
/// # Panics
/// When the folder cannot be read: a build script has no better way to say so.
pub fn packages(folder: &Path, prefix: &str) -> Vec<Package> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut packages: Vec<Package> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .map(|plugin| Package { name: format!("{prefix}{plugin}"), plugin })
        .collect();
    packages.sort_by(|a, b| a.plugin.cmp(&b.plugin));
    packages
}

/// Builds the packages of the workspace at `root`; answers each one's component.
///
/// # Panics
/// When the build fails, with what is to be done about it.
pub fn components(root: &Path, packages: &[Package]) -> Vec<Vec<u8>> {
    let modules = modules(root, packages);
    packages.iter().zip(modules).map(|(package, module)| componentize(package, &module)).collect()
}

/// The same, but each one's core module, as the compiler leaves it.
///
/// # Panics
/// When the build fails, with what is to be done about it.
pub fn modules(root: &Path, packages: &[Package]) -> Vec<Vec<u8>> {
    let built = build(root, packages);
    let file = |package: &Package| built.join(format!("{}.wasm", package.name.replace('-', "_")));
    let read = |file: PathBuf| fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    packages.iter().map(|package| read(file(package))).collect()
}

/// Makes a component of a core module.
///
/// # Panics
/// When the module is for no world.
pub fn componentize(package: &Package, module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .unwrap_or_else(|error| panic!("{} is no component: {error:#}", package.name))
}

/// Answers the folder that has the core modules.
fn build(root: &Path, packages: &[Package]) -> PathBuf {
    // target/PROFILE/build/PACKAGE-HASH/out: one folder for all profiles spares building twice.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = out.ancestors().nth(4).expect("OUT_DIR lies in the target folder").join("plugins");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo.args(["build", "--profile", "plugin", "--target", TARGET, "--manifest-path"]);
    cargo.arg(root.join("Cargo.toml")).arg("--target-dir").arg(&target);
    for package in packages {
        cargo.arg("--package").arg(&package.name);
    }
    // What was said for the outer build (coverage, clippy, another target) is not for this one.
    for (key, _) in env::vars_os().filter(|(key, _)| is_for_the_outer_build(&key.to_string_lossy())) {
        cargo.env_remove(&key);
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the plugins did not build; if the target is missing: rustup target add {TARGET}");
    target.join(TARGET).join("plugin")
}

fn is_for_the_outer_build(key: &str) -> bool {
    let prefixes =
        ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_FEATURE_", "CARGO_CFG_", "CARGO_ENCODED_"];
    let names = ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"];
    prefixes.iter().any(|prefix| key.starts_with(prefix)) || names.contains(&key)
}

/// What a core module's custom section `component-type` says: the world that it is for.
///
/// # Panics
/// When the WIT is wrong.
pub fn metadata(wit: &Path, world: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(wit).unwrap_or_else(|error| panic!("{}: {error:#}", wit.display()));
    resolve
        .select_world(&[package], Some(world))
        .and_then(|world| wit_component::metadata::encode(&resolve, world, wit_component::StringEncoding::UTF8, None))
        .unwrap_or_else(|error| panic!("{}: {error:#}", wit.display()))
}

/// Assembles an adapter: a core module as text, and the WIT world of what it imports.
///
/// # Panics
/// When one of the two is wrong.
pub fn adapter(text: &Path, wit: &Path, world: &str) -> Vec<u8> {
    let mut module = wat::parse_file(text).unwrap_or_else(|error| panic!("{error}"));
    wasm_encoder::CustomSection { name: "component-type".into(), data: metadata(wit, world).into() }
        .append_to(&mut module);
    module
}
