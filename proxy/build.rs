//! Builds the default plugins (every folder of `plugins/`) and embeds them as components; beside them,
//! for core modules, the adapter and the metadata of the contract's worlds.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    for watched in ["plugins", "plugin-sdk/src", "plugin-sdk/Cargo.toml", "wit", "Cargo.lock", "proxy/adapter"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let packages = jackfield_plugin_build::packages(&root.join("plugins"), "plugin-");
    let components = jackfield_plugin_build::components(&root, &packages);
    let mut table = String::from(
        "/// Name and component of each default plugin.\npub(super) static EMBEDDED: &[(&str, &[u8])] = &[\n",
    );
    for (package, component) in packages.iter().zip(components) {
        let file = out.join(format!("{}.wasm", package.plugin));
        fs::write(&file, component).expect("the build folder can be written");
        let file = file.to_str().expect("the build folder's path is text");
        writeln!(table, "    ({:?}, include_bytes!({file:?})),", package.plugin).expect("a string takes all");
    }
    table.push_str("];\n");
    fs::write(out.join("embedded.rs"), table).expect("the build folder can be written");
    let texts = root.join("proxy/adapter");
    let adapter = jackfield_plugin_build::adapter(&texts.join("preview1.wat"), &texts.join("preview1.wit"), "adapter");
    fs::write(out.join("preview1.wasm"), adapter).expect("the build folder can be written");
    let interfaces = jackfield_plugin_build::interfaces(&root.join("wit"));
    fs::write(out.join("imports.metadata"), interfaces.imports).expect("the build folder can be written");
    let mut table =
        String::from("/// Of each interface how its exports begin, and the metadata of a world that exports it.\n");
    table.push_str("static EXPORTS: &[(&str, &[u8])] = &[\n");
    for (number, (name, metadata)) in interfaces.exports.into_iter().enumerate() {
        let file = out.join(format!("export{number}.metadata"));
        fs::write(&file, metadata).expect("the build folder can be written");
        writeln!(
            table,
            "    (\"{name}#\", include_bytes!({:?})),",
            file.to_str().expect("the build folder's path is text")
        )
        .expect("a string takes all");
    }
    table.push_str("];\n");
    fs::write(out.join("exports.rs"), table).expect("the build folder can be written");
}
