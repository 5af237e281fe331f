//! Every configuration under examples/ is one that runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use jackfield_tests::program;

fn configurations(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            configurations(&path, found);
        } else if path.file_name().is_some_and(|name| name == "jackfield.toml") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_passes_the_check() {
    let mut found = Vec::new();
    configurations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"), &mut found);
    assert!(found.len() >= 2, "{found:?}");
    for file in found {
        let output = Command::new(program!()).args(["check", "-c"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let readme = file.with_file_name("README.md");
        assert!(readme.is_file(), "{} is missing", readme.display());
    }
}
