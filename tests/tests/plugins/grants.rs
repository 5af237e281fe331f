//! What a plugin is not granted it does not get: at the start, by a reload, and by a new version.

use std::path::Path;
use std::process::Command;

use jackfield_tests::host::guest;
use jackfield_tests::{Client, Origin, Proxy, client};

use crate::{cache_folder, plugins_folder, put, start, with_plugins};

fn config(balancer: &str, origin: &str) -> String {
    format!(
        "workers = 1\nadmin = {{ address = \"127.0.0.1:0\" }}\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         upstream = \"api\"\n[upstream.api]\nbalancer = {balancer}\nendpoints = [\"{origin}\"]\n"
    )
}

fn started(balancer: &str, origin: &Origin, guests: &[&str]) -> Proxy {
    start(&config(balancer, &origin.address().to_string()), guests)
}

fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(jackfield_tests::program!())
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", cache_folder())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn check_names_the_line_to_add() {
    let folder = tempfile::tempdir().unwrap();
    put(&plugins_folder(folder.path()), "wasi", &guest("wasi"));
    let file = folder.path().join("jackfield.toml");
    std::fs::write(&file, with_plugins(&config("{ plugin = \"wasi\", grants = [\"log\"] }", "127.0.0.1:1"))).unwrap();
    let (code, said) = run(&["check", "-c", "jackfield.toml"], folder.path());
    assert_eq!(
        said,
        "jackfield.toml:9:23: error: plugin `wasi` imports wasi:clocks/monotonic-clock@0.2.3, \
         wasi:clocks/wall-clock@0.2.3, wasi:random/random@0.2.3, wasi:random/insecure@0.2.3, \
         wasi:random/insecure-seed@0.2.3, which are not granted here\n  \
         balancer = { plugin = \"wasi\", grants = [\"log\"] }\n                        ^^^^^^\n  \
         help: write in this use: grants = [\"log\", \"clock\", \"random\"]\n"
    );
    assert_eq!(code, Some(2));
    // And that line is right.
    let granted = "{ plugin = \"wasi\", grants = [\"log\", \"clock\", \"random\"] }";
    std::fs::write(&file, with_plugins(&config(granted, "127.0.0.1:1"))).unwrap();
    assert_eq!(run(&["check", "-c", "jackfield.toml"], folder.path()), (Some(0), "jackfield.toml: ok\n".to_owned()));
}

#[test]
fn inspect_tells_what_is_needed_and_what_a_configuration_lacks() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["wasi", "keep"] {
        put(&plugins_folder(folder.path()), name, &guest(name));
    }
    let (code, said) = run(&["plugin", "inspect", "plugins/wasi.wasm"], folder.path());
    assert_eq!(code, Some(0));
    for line in
        ["wasi:clocks/wall-clock@0.2.3       needs \"clock\"\n", "  needs    grants = [\"clock\", \"random\"]\n"]
    {
        assert!(said.contains(line), "{said}");
    }
    let (_, said) = run(&["plugin", "inspect", "plugins/keep.wasm"], folder.path());
    assert!(said.contains("  needs    grants = [\"state:NAME\"]\n"), "{said}");

    let wrapped = "{ plugin = \"wasi\", grants = [\"clock\", \"log\"], then = \
                   { plugin = \"wasi\", grants = [\"random\", \"clock\"] } }";
    std::fs::write(folder.path().join("a.toml"), with_plugins(&config(wrapped, "127.0.0.1:1"))).unwrap();
    let (code, said) = run(&["plugin", "inspect", "plugins/wasi.wasm", "--config", "a.toml"], folder.path());
    let uses = &said[said.find("  uses").unwrap()..];
    assert_eq!(
        uses,
        "  uses     upstream.api.balancer.then
             granted: \"random\", \"clock\"
           upstream.api.balancer
             granted: \"clock\", \"log\"
             missing: \"random\" for wasi:random/random@0.2.3, \"random\" for wasi:random/insecure@0.2.3, \
         \"random\" for wasi:random/insecure-seed@0.2.3
             write:   grants = [\"clock\", \"log\", \"random\"]
"
    );
    assert_eq!(code, Some(1));
    let (code, said) = run(&["plugin", "inspect", "plugins/keep.wasm", "--config", "a.toml"], folder.path());
    assert!(said.ends_with("(none in this configuration; a plugin's name is its file's, here `keep`)\n"), "{said}");
    assert_eq!(code, Some(0));
    std::fs::write(folder.path().join("a.toml"), "listener = 1\n").unwrap();
    let (code, said) = run(&["plugin", "inspect", "plugins/keep.wasm", "--config", "a.toml"], folder.path());
    assert!(said.contains("a.toml:1:12: error: `listener` must be a list"), "{said}");
    assert_eq!(code, Some(2));
}

const GRANTED: &str = "{ plugin = \"wasi\", grants = [\"clock\", \"random\"] }";

#[test]
fn a_reload_that_takes_away_what_is_needed_changes_nothing() {
    let origin = Origin::echo("a");
    let proxy = started(GRANTED, &origin, &["wasi"]);
    let less = config("{ plugin = \"wasi\", grants = [\"clock\"] }", &origin.address().to_string());
    let refused = proxy.change_config(&with_plugins(&less)).unwrap_err();
    assert!(refused.contains("the old one goes on"), "{refused}");
    assert!(refused.contains("help: write in this use: grants = [\"clock\", \"random\"]"), "{refused}");
    assert_eq!(Client::connect(proxy.address(0)).get("/").status(), 200);
    let page = client::get(proxy.admin(), "/plugins").json();
    let wasi = page["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "wasi").unwrap();
    assert_eq!(wasi["uses"][0]["grants"], serde_json::json!(["clock", "random"]));
    assert_eq!(wasi["needs"][0]["grant"], "clock");
}

/// All or nothing: neither its balancer nor its filter takes over.
#[test]
fn a_new_version_that_needs_more_than_is_granted_does_not_take_over() {
    let origin = Origin::echo("a");
    let proxy = started("\"version\"", &origin, &["version"]);
    let mut client = Client::connect(proxy.address(0));
    put(&proxy.plugins_folder(), "version", &guest("wasi"));
    let refused = proxy.wait_for_log("configuration refused");
    for words in [
        "the old one goes on",
        "plugin `version` imports wasi:clocks/monotonic-clock@0.2.3, ",
        r#"help: write `{ plugin = \"version\", grants = [\"clock\", \"random\"] }`"#,
    ] {
        // In the JSON of the log a quote has one more backslash.
        assert!(refused.replace("\\\\", "\\").contains(words), "{refused}");
    }
    for _ in 0..5 {
        assert_eq!(client.get("/").header("x-balancer"), Some("version-0000"));
    }
    // Granted, it does.
    let granted = config(&GRANTED.replace("wasi", "version"), &origin.address().to_string());
    proxy.change_config(&with_plugins(&granted)).unwrap();
    let answer = client.get("/");
    assert_eq!((answer.status(), answer.header("x-balancer")), (200, None));
}

/// As long as nothing goes wrong.
#[test]
fn what_is_printed_stays_out_of_the_log_without_its_grant() {
    let origin = Origin::echo("a");
    let printing = |action: &str| GRANTED.replace("\"wasi\"", &format!("\"wasi\", settings = {{ do = \"{action}\" }}"));
    let proxy = started(&printing("print"), &origin, &["wasi"]);
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    proxy.change_config(&with_plugins(&config(&printing("panic"), &origin.address().to_string()))).unwrap();
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    let failed = proxy.wait_for_log("plugin failed");
    assert!(failed.contains("; it said: panicked at src/lib.rs: the reason of it\""), "{failed}");
    assert!(!proxy.log_lines().iter().any(|line| line.contains("\"stream\"") || line.contains("first line")));
}
