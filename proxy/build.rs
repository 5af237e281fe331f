//! Builds the default plugins (every folder of `plugins/`) and embeds them as components; beside them,
//! for core modules, the adapter and the metadata of the contract's worlds, and for new plugins the
//! templates.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The contract for TypeScript.
const DECLARATIONS: &str = "examples/plugins/typescript/jackfield.d.ts";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    for watched in [
        "plugins",
        "plugin-sdk/src",
        "plugin-sdk/Cargo.toml",
        "wit",
        "Cargo.lock",
        "proxy/adapter",
        "proxy/templates",
        DECLARATIONS,
    ] {
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
    fs::write(out.join("templates.rs"), templates(&root)).expect("the build folder can be written");
}

/// The files of `proxy/templates`, by the template that they belong to, and what all new plugins share
/// with this tree.
fn templates(root: &Path) -> String {
    let folder = root.join("proxy/templates");
    let mut files = Vec::new();
    for template in entries(&folder) {
        let name = template.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        let mut folders = vec![template.clone()];
        while let Some(next) = folders.pop() {
            for entry in entries(&next) {
                let file = entry.strip_prefix(&template).expect("it lies there").display().to_string();
                if entry.is_dir() { folders.push(entry) } else { files.push((name.clone(), file, entry)) }
            }
        }
    }
    for wit in entries(&root.join("wit")) {
        let file = wit.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        files.push(("all".to_owned(), format!("wit/{file}"), wit));
    }
    files.push(("ts".to_owned(), "jackfield.d.ts".to_owned(), root.join(DECLARATIONS)));
    let mut table =
        String::from("/// Template, path and text of each file.\nstatic TEMPLATES: &[(&str, &str, &str)] = &[\n");
    for (template, file, path) in files {
        let path = path.to_str().expect("the path of the tree is text");
        writeln!(table, "    ({template:?}, {file:?}, include_str!({path:?})),").expect("a string takes all");
    }
    table + "];\n"
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
