//! `jackfield plugin new`: what it makes builds as it is, and passes its own cases. Where a toolchain is
//! missing the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jackfield_tests::tool::skipped;

use crate::cache_folder;

const KINDS: [&str; 2] = ["balancer", "http-filter"];

fn jackfield(arguments: &[&str]) -> Output {
    Command::new(jackfield_tests::program!()).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What was installed for the examples of a language.
fn example(language: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins").join(language).join(file)
}

/// `installed`: what its README has the author install, and where the examples have it.
#[track_caller]
fn builds_and_passes(language: &str, installed: Option<(&str, &Path)>) {
    for kind in KINDS {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().to_str().unwrap();
        let made = jackfield(&["plugin", "new", "--lang", language, "--kind", kind, "first-one", "--path", path]);
        assert!(made.status.success(), "{}", text(&made));
        let folder = place.path().join("first-one");
        if let Some((name, from)) = installed
            && let Ok(from) = from.canonicalize()
        {
            std::os::unix::fs::symlink(from, folder.join(name)).unwrap();
        }
        let built = Command::new(folder.join("build.sh")).env_remove("CARGO_TARGET_DIR").output().unwrap();
        if built.status.code() == Some(77) {
            return skipped(&format!("{language}: {}", text(&built)));
        }
        assert!(built.status.success(), "{language} {kind}: {}", text(&built));
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let cache = cache_folder();
        let arguments = ["plugin", "test", &file("first-one.wasm"), "--cases", &file("cases.toml"), "--cache"];
        let tested = jackfield(&[&arguments[..], &[cache.to_str().unwrap(), "--fuzz", "200ms"]].concat());
        assert!(tested.status.success(), "{language} {kind}: {}", text(&tested));
        assert!(text(&tested).contains(" passed, 0 failed\n"), "{language} {kind}: {}", text(&tested));
    }
}

#[test]
fn rust() {
    builds_and_passes("rust", None);
}

#[test]
fn go() {
    builds_and_passes("go", Some((".venv", &example("go", ".venv"))));
}

#[test]
fn javascript() {
    builds_and_passes("js", Some(("node_modules", &example("javascript", "node_modules"))));
}

#[test]
fn typescript() {
    builds_and_passes("ts", Some(("node_modules", &example("typescript", "node_modules"))));
}

#[test]
fn python() {
    builds_and_passes("python", Some((".venv", &example("python", ".venv"))));
}

#[test]
fn c() {
    builds_and_passes("c", None);
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_is_left() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_str().unwrap();
    let new =
        |name: &str| jackfield(&["plugin", "new", "--lang", "c", "--kind", "balancer", "--path", path, "--", name]);
    let refused = new("../first");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("\"../first\" is no name for a plugin: letters, digits and - only"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    assert!(new("first").status.success());
    let again = new("first");
    assert!(text(&again).contains("is there already; choose another name"), "{}", text(&again));
    let unknown = jackfield(&["plugin", "new", "--lang", "cobol", "--kind", "balancer", "first"]);
    assert!(text(&unknown).contains("rust, go, js, ts, python, c"), "{}", text(&unknown));
}
