//! Files that are no plugins, with the exact words for each: told by `plugin inspect`, by `check`
//! and at run time, where nothing that runs changes.

use std::path::Path;
use std::process::Command;

use jackfield_tests::host::guest;
use jackfield_tests::{Client, Origin, client};

use crate::{cache_folder, patched, plugins_folder, put, start, with_plugins};

/// A file's bytes, and the reason why it is no plugin.
struct Case {
    name: &'static str,
    wasm: Vec<u8>,
    reason: &'static str,
}

fn cases() -> Vec<Case> {
    let guest = guest("misbehave");
    vec![
        Case {
            name: "text",
            wasm: b"hello, world".to_vec(),
            reason: "not a WebAssembly file: it begins with 68 65 6c 6c 6f 2c 20 77, a component begins with \
                     00 61 73 6d 0d 00 01 00",
        },
        Case {
            name: "empty",
            wasm: Vec::new(),
            reason: "not a WebAssembly file: it begins with nothing (the file is empty), a component begins with \
                     00 61 73 6d 0d 00 01 00",
        },
        Case {
            name: "core-module",
            wasm: b"\0asm\x01\0\0\0".to_vec(),
            reason: "a core WebAssembly module that exports nothing of the contract; build it with bindings for the \
                     world jackfield:plugin/balancer or jackfield:plugin/http-filter (wit-bindgen), so that it exports \
                     jackfield:plugin/balancing@0.1.0#pick or jackfield:plugin/filtering@0.1.0#on-request",
        },
        Case {
            name: "half-written",
            wasm: guest[..guest.len() / 2].to_vec(),
            reason: "damaged or unsupported WebAssembly: ",
        },
        Case {
            name: "nothing-in-it",
            wasm: b"\0asm\x0d\0\x01\0".to_vec(),
            reason: "not a Jackfield plugin: it exports no interface; a balancer exports \
                     jackfield:plugin/balancing@0.1.0, a filter exports jackfield:plugin/filtering@0.1.0",
        },
        Case {
            name: "wrong-world",
            wasm: patched(&guest, "jackfield:plugin", "elsewhere:plugin"),
            reason: "not a Jackfield plugin: it exports elsewhere:plugin/balancing@0.1.0, \
                     elsewhere:plugin/filtering@0.1.0; a balancer exports jackfield:plugin/balancing@0.1.0, a filter \
                     exports jackfield:plugin/filtering@0.1.0",
        },
        Case {
            name: "wrong-version",
            wasm: patched(&guest, "@0.1.0", "@0.2.0"),
            reason: "made for another version of the contract: it exports jackfield:plugin/balancing@0.2.0, this \
                     proxy speaks version 0.1.0",
        },
        Case {
            name: "not-offered",
            wasm: patched(&guest, "jackfield:plugin/endpoints@0.1.0", "wasi:http/outgoing-handler@0.2.9"),
            reason: "imports what plugins are not given: wasi:http/outgoing-handler@0.2.9; a plugin may import the \
                     interfaces of jackfield:plugin@0.1.0, and of WASI 0.2 its clocks, randomness and standard \
                     streams",
        },
        Case {
            name: "no-replies",
            wasm: jackfield_tests::host::guest("deaf"),
            reason: "imports jackfield:plugin/http@0.1.0, but exports no jackfield:plugin/replies@0.1.0: it would \
                     never see a reply",
        },
        Case {
            name: "wrong-function",
            wasm: patched(&guest, "eligible", "elegible"),
            reason: "its imports or exports differ from the contract jackfield:plugin@0.1.0: ",
        },
    ]
}

fn program(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(jackfield_tests::program!())
        .args(arguments)
        .env("XDG_CACHE_HOME", cache_folder())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn inspect_says_what_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    for case in cases() {
        put(folder.path(), case.name, &case.wasm);
        let file = folder.path().join(format!("{}.wasm", case.name)).display().to_string();
        let (code, said) = program(&["plugin", "inspect", &file]);
        match case.name {
            // Inspection does not need what cannot be given.
            "not-offered" => {
                assert!(said.contains("  refused  wasi:http/outgoing-handler@0.2.9\n"), "{said}");
                assert!(said.contains("It cannot be used: the imports under `refused` are given to no plugin."));
                assert_eq!(code, Some(1));
            }
            "no-replies" => {
                assert!(said.ends_with(&format!("  It cannot be used: {}.\n", case.reason)), "{said}");
                assert_eq!(code, Some(1));
            }
            "wrong-function" => {}
            _ => {
                assert!(said.starts_with(&format!("jackfield: {file}: {}", case.reason)), "{said}");
                assert_eq!(code, Some(1));
            }
        }
    }
    put(folder.path(), "good", &guest("misbehave"));
    let (code, said) = program(&["plugin", "inspect", &folder.path().join("good.wasm").display().to_string()]);
    assert_eq!(code, Some(0));
    for line in [
        "  kind     balancer, http-filter\n",
        "  exports  jackfield:plugin/balancing@0.1.0\n",
        "           jackfield:plugin/filtering@0.1.0\n",
        "  needs    nothing that is not given to every plugin\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

fn config(balancer: &str, origin: &str) -> String {
    format!(
        "workers = 1\nadmin = {{ address = \"127.0.0.1:0\" }}\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         upstream = \"api\"\n[upstream.api]\nbalancer = {balancer}\nendpoints = [\"{origin}\"]\n"
    )
}

fn check(folder: &Path, config: &str) -> (Option<i32>, String) {
    let file = folder.join("jackfield.toml");
    std::fs::write(&file, with_plugins(config)).unwrap();
    let (code, said) = program(&["check", "-c", &file.display().to_string()]);
    (code, said.replace(&folder.display().to_string(), "FOLDER"))
}

#[test]
fn check_says_why_a_plugin_is_not_there() {
    for case in cases() {
        let folder = tempfile::tempdir().unwrap();
        put(&plugins_folder(folder.path()), case.name, &case.wasm);
        let reason = format!("FOLDER/plugins/{}.wasm: not loaded as a plugin: {}", case.name, case.reason);
        let (code, said) = check(folder.path(), &config("\"round-robin\"", "127.0.0.1:1"));
        assert!(said.contains(&reason), "{said}");
        assert_eq!(code, Some(0), "nothing needs it: {said}");
        let (code, said) = check(folder.path(), &config(&format!("\"{}\"", case.name), "127.0.0.1:1"));
        assert!(said.contains(&format!("jackfield.toml:9:12: error: no plugin `{}`\n", case.name)), "{said}");
        assert!(said.contains(&reason), "{said}");
        assert_eq!(code, Some(2));
    }
}

#[test]
fn plugins_that_do_not_start_are_errors_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    put(&plugins_folder(folder.path()), "misbehave", &guest("misbehave"));
    for (action, reason) in [
        ("refuse", "refuses its settings: these settings are refused"),
        ("loop-in-configure", "overran its deadline of 5s"),
        ("loop-in-update", "overran its deadline of 250ms"),
        ("trap-in-configure", "trapped: wasm trap: wasm `unreachable` instruction executed"),
    ] {
        let balancer = format!("{{ plugin = \"misbehave\", settings = {{ do = \"{action}\" }} }}");
        let (code, said) = check(folder.path(), &config(&balancer, "127.0.0.1:1"));
        let line = format!("balancer = {balancer}");
        let expected = format!(
            "FOLDER/jackfield.toml:9:12: error: plugin \"misbehave\" {reason}\n  {line}\n             {}\n",
            "^".repeat(balancer.len())
        );
        assert_eq!((code, said), (Some(2), expected));
    }
}

#[test]
fn bad_files_change_nothing_that_runs() {
    let origin = Origin::echo("a");
    let proxy = start(&config("\"misbehave\"", &origin.address().to_string()), &["misbehave"]);
    let mut client = Client::connect(proxy.address(0));
    for case in cases() {
        for name in [case.name, "misbehave"] {
            put(&proxy.plugins_folder(), name, &case.wasm);
            let file = format!("/plugins/{name}.wasm\"");
            let told = |line: &str| line.contains(&file) && line.contains("not loaded as a plugin: ");
            jackfield_tests::wait_until(&format!("word of {} as {name}", case.name), || {
                let reason = serde_json::to_string(case.reason).unwrap();
                proxy.log_lines().iter().any(|line| told(line) && line.contains(reason.trim_matches('"')))
            });
            assert_eq!(client.get("/").status(), 200, "{} as {name}", case.name);
        }
    }
    let page = client::get(proxy.admin(), "/plugins").text();
    assert!(page.contains("not a WebAssembly file") && page.contains("made for another version"), "{page}");
    assert!(!proxy.log_contains("configuration replaced"));
    // And the good file comes back.
    put(&proxy.plugins_folder(), "misbehave", &guest("version"));
    proxy.wait_for_log("configuration replaced");
    assert_eq!(client.get("/").header("x-balancer"), Some("version-0000"));
}

#[test]
fn a_file_takes_the_place_of_an_embedded_plugin_and_gives_it_back() {
    let origin = Origin::echo("a");
    let proxy = start(&config("\"round-robin\"", &origin.address().to_string()), &[]);
    let mut client = Client::connect(proxy.address(0));
    assert_eq!(client.get("/").header("x-balancer"), None);
    put(&proxy.plugins_folder(), "round-robin", &guest("version"));
    let answered = |client: &mut Client, version| client.get("/").header("x-balancer") == version;
    jackfield_tests::wait_until("the file's balancer", || answered(&mut client, Some("version-0000")));
    std::fs::remove_file(proxy.plugins_folder().join("round-robin.wasm")).unwrap();
    jackfield_tests::wait_until("the embedded balancer", || answered(&mut client, None));
}

#[test]
fn a_plugin_in_use_that_is_removed_runs_on() {
    let origin = Origin::echo("a");
    let proxy = start(&config("\"version\"", &origin.address().to_string()), &["version"]);
    std::fs::remove_file(proxy.plugins_folder().join("version.wasm")).unwrap();
    let refused = proxy.wait_for_log("configuration refused");
    assert!(refused.contains("no plugin `version`"), "{refused}");
    assert_eq!(Client::connect(proxy.address(0)).get("/").header("x-balancer"), Some("version-0000"));
}

/// A pipe would never end, a folder is no file.
#[test]
fn what_is_no_file_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = plugins_folder(folder.path());
    std::fs::create_dir(plugins.join("folder.wasm")).unwrap();
    assert!(Command::new("mkfifo").arg(plugins.join("pipe.wasm")).status().unwrap().success());
    std::fs::write(plugins.join(".half.wasm"), "half").unwrap();
    let (code, said) = check(folder.path(), &config("\"round-robin\"", "127.0.0.1:1"));
    assert_eq!(
        said,
        "FOLDER/jackfield.toml: ok\n\
         FOLDER/plugins/folder.wasm: not loaded as a plugin: not a file\n\
         FOLDER/plugins/pipe.wasm: not loaded as a plugin: not a file\n"
    );
    assert_eq!(code, Some(0));
}
