//! Builds the guests of the tests, and hands over where their components lie; beside them the core
//! modules that those are made of (`NAME.core.wasm`).

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let tests = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for watched in ["guests", "../examples/plugins/rust", "../plugin-sdk/src", "../wit", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", tests.join(watched).display());
    }
    let packages = jackfield_plugin_build::packages(&tests.join("guests"), "guest-");
    let modules = jackfield_plugin_build::modules(&tests.join(".."), &packages);
    let folder = out.join("guests");
    fs::create_dir_all(&folder).expect("the build folder can be written");
    for (package, module) in packages.iter().zip(modules) {
        let write = |kind: &str, wasm: &[u8]| {
            let file = folder.join(format!("{}{kind}.wasm", package.plugin));
            fs::write(file, wasm).expect("the build folder can be written");
        };
        write("", &jackfield_plugin_build::componentize(package, &module));
        write(".core", &module);
    }
    println!("cargo::rustc-env=JACKFIELD_GUESTS={}", folder.display());
}
