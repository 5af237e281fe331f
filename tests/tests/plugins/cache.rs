//! Compiled plugins on disk: loaded when they are whole, compiled again when they are not, and
//! never from a folder where others may write.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jackfield_tests::{Client, Origin, Proxy};

#[track_caller]
fn serve_once(origin: &Origin, cache: &Path) -> Proxy {
    let config = format!(
        "cache = \"{}\"\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\n\
         [upstream.api]\nendpoints = [\"{}\"]\n",
        cache.display(),
        origin.address()
    );
    let proxy = Proxy::start(jackfield_tests::program!(), &config);
    assert_eq!(Client::connect(proxy.address(0)).get("/").status(), 200);
    proxy
}

/// Each file with the time when it was written.
fn files(cache: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let entries = std::fs::read_dir(cache).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap())).collect()
}

#[test]
fn the_second_start_compiles_nothing() {
    let (origin, folder) = (Origin::echo("a"), tempfile::tempdir().unwrap());
    let cache = folder.path().join("made/by/itself");
    serve_once(&origin, &cache);
    let written = files(&cache);
    assert!(written.len() > 10, "one for each default plugin: {written:?}");
    let proxy = serve_once(&origin, &cache);
    assert_eq!(files(&cache), written);
    assert!(!proxy.log_contains("compiling again"));
}

#[test]
fn damaged_files_are_compiled_again() {
    let (origin, folder) = (Origin::echo("a"), tempfile::tempdir().unwrap());
    serve_once(&origin, folder.path());
    let whole: BTreeMap<_, _> = files(folder.path()).into_keys().map(|file| (file.clone(), bytes(&file))).collect();
    for (number, (file, bytes)) in whole.iter().enumerate() {
        let mut bytes = bytes.clone();
        match number % 3 {
            // A bit of the machine code, a file cut short, an empty one.
            0 => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            1 => bytes.truncate(bytes.len() / 2),
            _ => bytes.clear(),
        }
        std::fs::write(file, bytes).unwrap();
    }
    let proxy = serve_once(&origin, folder.path());
    for reason in ["the file is damaged", "the file is cut off"] {
        let line = proxy.wait_for_log(reason);
        assert!(line.contains("compiling again: the cached plugin does not load"), "{line}");
    }
    // Compiled code may differ from run to run; that the files are whole again is what counts.
    let proxy = serve_once(&origin, folder.path());
    assert!(!proxy.log_contains("compiling again"));
    assert_eq!(files(folder.path()).len(), whole.len());
}

fn bytes(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap()
}

#[test]
fn a_folder_where_others_may_write_is_not_used() {
    let (origin, folder) = (Origin::echo("a"), tempfile::tempdir().unwrap());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let proxy = serve_once(&origin, folder.path());
    let line = proxy.wait_for_log("no cache of compiled plugins");
    assert!(line.contains("the folder must belong to the user who runs jackfield"), "{line}");
    assert!(files(folder.path()).is_empty());
}
