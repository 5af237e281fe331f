//! For build scripts: compiles crates of this workspace to Wasm and turns them into components, and
//! assembles the adapter that core modules of others are given.
//!
//! The inner build has a target folder of its own, so that it may run inside of another one, and a
//! profile of its own (`plugin`), so that a plugin is the same in debug and release.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use wasm_encoder::Section;
use wit_parser::{InterfaceId, PackageId, Resolve};

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

/// Assembles an adapter: a core module as text, and the WIT world of what it imports.
///
/// # Panics
/// When one of the two is wrong.
pub fn adapter(text: &Path, wit: &Path, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).unwrap_or_else(|error| panic!("{}: {error:#}", wit.display()));
    let mut module = wat::parse_file(text).unwrap_or_else(|error| panic!("{error}"));
    let metadata = metadata(&resolve, package, world);
    wasm_encoder::CustomSection { name: "component-type".into(), data: metadata.into() }.append_to(&mut module);
    module
}

/// The interfaces of a WIT package as metadata of core modules.
#[derive(Debug)]
pub struct Interfaces {
    /// Of a world that imports all of them.
    pub imports: Vec<u8>,
    /// Of those that have functions: the name, `jackfield:plugin/balancing@0.1.0`, and the metadata of
    /// a world that exports it.
    pub exports: Vec<(String, Vec<u8>)>,
}

/// # Panics
/// When the WIT is wrong.
pub fn interfaces(wit: &Path) -> Interfaces {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).unwrap_or_else(|error| panic!("{}: {error:#}", wit.display()));
    let interfaces: Vec<InterfaceId> = resolve.packages[package].interfaces.values().copied().collect();
    let name = |interface: &InterfaceId| resolve.id_of(*interface).expect("an interface of a package has a name");
    let with_functions = interfaces.iter().filter(|interface| !resolve.interfaces[**interface].functions.is_empty());
    let exported: Vec<String> = with_functions.map(name).collect();
    let imports: String =
        interfaces.iter().flat_map(|interface| ["import ".to_owned(), name(interface), ";".to_owned()]).collect();
    let mut worlds = format!("package jackfield:core;\nworld imports {{ {imports} }}\n");
    for (number, exported) in exported.iter().enumerate() {
        writeln!(worlds, "world export{number} {{ export {exported}; }}").expect("a string takes all");
    }
    let package = resolve.push_str("worlds.wit", &worlds).unwrap_or_else(|error| panic!("{error:#} in\n{worlds}"));
    let of = |world: &str| metadata(&resolve, package, world);
    let exports = (0..).zip(exported).map(|(number, name): (u32, _)| (name, of(&format!("export{number}"))));
    Interfaces { exports: exports.collect(), imports: of("imports") }
}

/// What the custom section `component-type` of a core module for this world says.
fn metadata(resolve: &Resolve, package: PackageId, world: &str) -> Vec<u8> {
    let world = resolve.select_world(&[package], Some(world)).unwrap_or_else(|error| panic!("{error:#}"));
    wit_component::metadata::encode(resolve, world, wit_component::StringEncoding::UTF8, None)
        .unwrap_or_else(|error| panic!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_interfaces_to_export_and_types_are_none() {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let names: Vec<String> = interfaces(&wit).exports.into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"jackfield:plugin/balancing@0.1.0".to_owned()), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("/types@")), "{names:?}");
    }
}
