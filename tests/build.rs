//! Builds the guests of the tests, and hands over where their components lie.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let tests = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for watched in ["guests", "../examples/plugins/rust", "../plugin-sdk/src", "../wit", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", tests.join(watched).display());
    }
    let packages = jackfield_plugin_build::packages(&tests.join("guests"), "guest-");
    let components = jackfield_plugin_build::components(&tests.join(".."), &packages);
    let folder = out.join("guests");
    fs::create_dir_all(&folder).expect("the build folder can be written");
    for (package, component) in packages.iter().zip(components) {
        fs::write(folder.join(format!("{}.wasm", package.plugin)), component).expect("the build folder can be written");
    }
    println!("cargo::rustc-env=JACKFIELD_GUESTS={}", folder.display());
}
