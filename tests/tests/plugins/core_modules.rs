//! Core modules that are dropped in as they leave the compiler: they are made components on load, and
//! get of WASI preview 1 what our adapter has. Files that cannot be wrapped say why.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jackfield::config::PluginKind;
use jackfield::plugin::{Balancer, Choice, Decision, Engine, Library, Plugin, Usage};
use jackfield_tests::host::{Host, endpoints, exchange, guest};
use jackfield_tests::tool::{compiles_for, skipped, tool};
use jackfield_tests::{Client, Origin, Proxy, wait_until};

use crate::{cache_folder, metric, patched, plugins_folder, put, with_plugins};

fn host() -> Host {
    Host { engine: Engine::new(Some(cache_folder())).unwrap(), library: Library::default() }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `guests/preview1`, for the target that has WASI.
fn rust() -> Option<Vec<u8>> {
    if !compiles_for("wasm32-wasip1") {
        return None;
    }
    // That of `jackfield-plugin-build`, where most of it is built already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../plugins");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "guest-preview1", "--target", "wasm32-wasip1", "--profile", "plugin"]);
    run(cargo.arg("--target-dir").arg(&target).current_dir(root()).env_remove("RUSTFLAGS"));
    Some(std::fs::read(target.join("wasm32-wasip1/plugin/guest_preview1.wasm")).unwrap())
}

/// `modules/c`, without the last step.
fn c() -> Option<Vec<u8>> {
    let clang = tool("clang-19", "clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32")?;
    let generator = tool("wit-bindgen", "none; cargo install wit-bindgen-cli")?;
    let folder = tempfile::tempdir().unwrap();
    let (bindings, wasm) = (folder.path(), folder.path().join("noisy.wasm"));
    let mut generate = Command::new(generator);
    run(generate.arg("c").arg(root().join("wit")).args(["--world", "balancer", "--out-dir"]).arg(bindings));
    let mut compile = Command::new(clang);
    compile.args(["--target=wasm32-wasi", "-mexec-model=reactor", "-Oz", "-I"]).arg(bindings).arg("-o").arg(&wasm);
    compile.arg(root().join("tests/modules/c/noisy.c")).arg(bindings.join("balancer.c"));
    run(compile.arg(bindings.join("balancer_component_type.o")));
    Some(std::fs::read(wasm).unwrap())
}

/// `modules/go`, as the examples are built.
fn go() -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("noisy.wasm");
    let mut build = Command::new(root().join("examples/plugins/go/build.sh"));
    let output = build.arg("balancer").arg(root().join("tests/modules/go")).arg(&wasm).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        skipped(&said);
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(std::fs::read(wasm).unwrap())
}

/// A proxy with the module as its balancer.
#[track_caller]
fn started(wasm: &[u8], action: &str, origin: &Origin) -> Proxy {
    let config = format!(
        r#"
workers = 1
admin = {{ address = "127.0.0.1:0" }}
[[listener]]
address = "127.0.0.1:0"
upstream = "api"
[upstream.api]
balancer = {{ plugin = "module", grants = ["clock", "random", "log"], settings = {{ do = "{action}" }} }}
endpoints = ["{}"]
"#,
        origin.address()
    );
    Proxy::start_with(jackfield_tests::program!(), &with_plugins(&config), |folder| {
        put(&plugins_folder(folder), "module", wasm);
    })
}

fn failures(proxy: &Proxy) -> u64 {
    metric(proxy, "jackfield_plugin_failures_total{plugin=\"module\",place=\"upstream.api.balancer\"}")
}

/// Serves, and what it prints is in the log. The module itself looks at all the rest.
#[track_caller]
fn serves_and_says(wasm: &[u8], stream: &str, line: &str) {
    let origin = Origin::echo("a");
    let proxy = started(wasm, "nothing", &origin);
    assert_eq!(Client::connect(proxy.address(0)).get("/").status(), 200);
    let logged = proxy.wait_for_log(line);
    assert!(logged.contains(&format!("\"stream\":\"{stream}\"")), "{logged}");
    assert_eq!(failures(&proxy), 0);
}

/// The request is served all the same; answers the line of the log.
#[track_caller]
fn fails(wasm: &[u8], action: &str) -> String {
    let origin = Origin::echo("a");
    let proxy = started(wasm, action, &origin);
    assert_eq!(Client::connect(proxy.address(0)).get("/").status(), 200);
    wait_until("the failure", || failures(&proxy) == 1);
    proxy.wait_for_log("plugin failed")
}

#[track_caller]
fn fails_and_says(wasm: &[u8], action: &str, words: &[&str]) {
    let failed = fails(wasm, action);
    for word in words {
        assert!(failed.contains(word), "no {word:?} in {failed}");
    }
}

#[test]
fn rust_with_the_standard_library_runs_and_says_why_it_dies() {
    let Some(wasm) = rust() else { return };
    serves_and_says(&wasm, "stdout", "Rust says hello");
    fails_and_says(&wasm, "panic", &["it said: ", "panicked at tests/guests/preview1/src/lib.rs", "the reason of it"]);
    fails_and_says(&wasm, "exit", &["trapped: it called exit with code 3"]);
}

#[test]
fn c_with_its_library_runs() {
    let Some(wasm) = c() else { return };
    serves_and_says(&wasm, "stdout", "C says hello, 16");
    serves_and_says(&wasm, "stderr", "C on the other stream");
}

#[test]
fn go_runs_and_says_why_it_dies() {
    let Some(wasm) = go() else { return };
    serves_and_says(&wasm, "stdout", "Go says hello");
    fails_and_says(&wasm, "panic", &["it said: panic: the reason of it", "noisy.go:", ".reason < "]);
    fails_and_says(&wasm, "block", &["it said: fatal error: all goroutines are asleep - deadlock!"]);
    fails_and_says(&wasm, "exit", &["trapped: it called exit with code 3"]);
}

#[test]
fn goroutines_run_and_garbage_is_collected_while_the_host_hands_over_texts() {
    let Some(wasm) = go() else { return };
    let host = host();
    for action in ["goroutines", "garbage"] {
        let usage = host.usage_of(&wasm, PluginKind::Balancer, &format!("{{\"do\":\"{action}\"}}"), None);
        picks(&usage, 2_000);
    }
}

/// Each pick answers endpoint 0 of one.
#[track_caller]
fn picks(usage: &Arc<Usage>, count: usize) {
    let set = endpoints(1, 1);
    let mut balancer = Balancer::start(usage, 0, &set).unwrap();
    let mut exchange = exchange(Ipv4Addr::new(192, 0, 2, 7));
    let large = http::HeaderValue::from_maybe_shared(vec![b'x'; 8192]).unwrap();
    exchange.request.as_mut().unwrap().headers.insert("x-large", large);
    let mut exchange = Some(exchange);
    for _ in 0..count {
        let (back, decision) = balancer.pick(exchange.take().unwrap(), &mut Choice::default(), &set);
        assert_eq!(decision, Decision::Endpoint(0));
        exchange = Some(back);
    }
    assert_eq!(usage.shared.totals.failures(), 0);
}

/// A balancer in text form, which says by its exports' names alone what it is. `configure` runs `body`
/// and refuses the settings with the number that lies in `$amiss` then.
fn text(imports: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
  {imports}
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 4096))
  (global $amiss (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $free (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -8)))
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 3))))
  ;; Of the first that answers another thing, its number.
  (func $want (param $number i32) (param $expected i32) (param $got i32)
    (if (i32.and (i32.eqz (global.get $amiss)) (i32.ne (local.get $got) (local.get $expected)))
      (then (global.set $amiss (local.get $number)))))
  (func (export "jackfield:plugin/balancing@0.1.0#configure") (param i32 i32) (result i32)
    {body}
    ;; Two digits.
    (i32.store8 (i32.const 16) (i32.add (i32.const 48) (i32.div_u (global.get $amiss) (i32.const 10))))
    (i32.store8 (i32.const 17) (i32.add (i32.const 48) (i32.rem_u (global.get $amiss) (i32.const 10))))
    (i32.store8 (i32.const 0) (i32.ne (global.get $amiss) (i32.const 0)))
    (i32.store (i32.const 4) (i32.const 16))
    (i32.store (i32.const 8) (i32.const 2))
    (i32.const 0))
  (func (export "jackfield:plugin/balancing@0.1.0#update")
    (param i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32))
  (func (export "jackfield:plugin/balancing@0.1.0#pick") (param i64 i32 i32 i32 i32) (result i32) (i32.const 0)))"#
    );
    wat::parse_str(&text).unwrap()
}

fn import(name: &str, parameters: &str) -> String {
    format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {parameters}) (result i32)))\n")
}

#[test]
fn a_module_without_metadata_is_known_by_its_exports() {
    let wasm = text("", "");
    picks(&host().usage_of(&wasm, PluginKind::Balancer, "{}", None), 100);
}

#[test]
fn preview_1_answers_what_there_is_and_refuses_the_rest() {
    let imports = [
        import("args_sizes_get", "i32 i32"),
        import("environ_get", "i32 i32"),
        import("clock_res_get", "i32 i32"),
        import("clock_time_get", "i32 i64 i32"),
        import("random_get", "i32 i32"),
        import("fd_write", "i32 i32 i32 i32"),
        import("fd_read", "i32 i32 i32 i32"),
        import("fd_prestat_get", "i32 i32"),
        import("fd_fdstat_get", "i32 i32"),
        import("fd_close", "i32"),
        import("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
        import("sock_accept", "i32 i32 i32"),
        import("sock_send", "i32 i32 i32 i32 i32"),
        import("poll_oneoff", "i32 i32 i32 i32"),
    ];
    let body = r"
    (i64.store (i32.const 256) (i64.const -1))
    (call $want (i32.const 1) (i32.const 0) (call $args_sizes_get (i32.const 256) (i32.const 260)))
    (call $want (i32.const 2) (i32.const 1) (i64.eqz (i64.load (i32.const 256))))
    (call $want (i32.const 3) (i32.const 0) (call $environ_get (i32.const 256) (i32.const 260)))
    (call $want (i32.const 4) (i32.const 0) (call $clock_res_get (i32.const 1) (i32.const 256)))
    (call $want (i32.const 5) (i32.const 28) (call $clock_res_get (i32.const 2) (i32.const 256)))
    (call $want (i32.const 6) (i32.const 0) (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 256)))
    (call $want (i32.const 7) (i32.const 1)
      (i64.gt_u (i64.load (i32.const 256)) (i64.const 1700000000000000000)))
    (call $want (i32.const 8) (i32.const 28) (call $clock_time_get (i32.const 2) (i64.const 1) (i32.const 256)))
    ;; So many bytes and not one more, none of them among the hundred that were there.
    (memory.fill (i32.const 256) (i32.const 0) (i32.const 32))
    (call $want (i32.const 9) (i32.const 0) (call $random_get (i32.const 256) (i32.const 21)))
    (call $want (i32.const 10) (i32.const 0) (i64.eqz (i64.load (i32.const 256))))
    (call $want (i32.const 11) (i32.const 0) (i64.eqz (i64.load (i32.const 269))))
    (call $want (i32.const 12) (i32.const 1) (i64.eqz (i64.load (i32.const 277))))
    ;; Two pieces, the second larger than what is taken at once.
    (i64.store (i32.const 300) (i64.const 0x0000000500000010))
    (i64.store (i32.const 308) (i64.const 0x0000ffff00000000))
    (call $want (i32.const 13) (i32.const 0)
      (call $fd_write (i32.const 1) (i32.const 300) (i32.const 2) (i32.const 256)))
    (call $want (i32.const 14) (i32.const 65536) (i32.load (i32.const 256)))
    (call $want (i32.const 15) (i32.const 8)
      (call $fd_write (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 256)))
    (call $want (i32.const 16) (i32.const 8)
      (call $fd_write (i32.const 3) (i32.const 300) (i32.const 1) (i32.const 256)))
    (call $want (i32.const 17) (i32.const 0)
      (call $fd_read (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 256)))
    (call $want (i32.const 18) (i32.const 0) (i32.load (i32.const 256)))
    (call $want (i32.const 19) (i32.const 8) (call $fd_prestat_get (i32.const 3) (i32.const 256)))
    (call $want (i32.const 20) (i32.const 0) (call $fd_fdstat_get (i32.const 2) (i32.const 256)))
    (call $want (i32.const 21) (i32.const 8) (call $fd_fdstat_get (i32.const 3) (i32.const 256)))
    (call $want (i32.const 22) (i32.const 8) (call $fd_close (i32.const -1)))
    (call $want (i32.const 23) (i32.const 8)
      (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 0) (i64.const 0)
        (i64.const 0) (i32.const 0) (i32.const 256)))
    (call $want (i32.const 24) (i32.const 52) (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 256)))
    (call $want (i32.const 25) (i32.const 52)
      (call $sock_send (i32.const 3) (i32.const 300) (i32.const 1) (i32.const 0) (i32.const 256)))
    ;; A clock and a file: what was given with it, no error, EBADF.
    (memory.fill (i32.const 512) (i32.const 0) (i32.const 256))
    (i64.store (i32.const 512) (i64.const 77))
    (i64.store (i32.const 560) (i64.const 78))
    (i32.store8 (i32.const 568) (i32.const 1))
    (call $want (i32.const 26) (i32.const 0)
      (call $poll_oneoff (i32.const 512) (i32.const 768) (i32.const 2) (i32.const 256)))
    (call $want (i32.const 27) (i32.const 2) (i32.load (i32.const 256)))
    (call $want (i32.const 28) (i32.const 77) (i32.load (i32.const 768)))
    (call $want (i32.const 29) (i32.const 0) (i32.load (i32.const 776)))
    (call $want (i32.const 30) (i32.const 78) (i32.load (i32.const 800)))
    (call $want (i32.const 31) (i32.const 0x10008) (i32.load (i32.const 808)))
    (call $want (i32.const 32) (i32.const 28)
      (call $poll_oneoff (i32.const 512) (i32.const 768) (i32.const 0) (i32.const 256)))
    ";
    let wasm = text(&imports.concat(), body);
    picks(&host().usage_of(&wasm, PluginKind::Balancer, "{}", None), 1);
}

/// Go says so while it allocates for the host, which must not be called then.
#[test]
fn a_paused_clock_stands_still() {
    let pause = "(import \"wasi_snapshot_preview1\" \"adapter_monotonic_clock_set_paused\" (func $pause (param i32)))";
    let body = r"
    (call $want (i32.const 1) (i32.const 0) (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 256)))
    (call $pause (i32.const 1))
    (call $want (i32.const 2) (i32.const 0) (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 264)))
    (call $want (i32.const 3) (i32.const 1) (i64.eq (i64.load (i32.const 256)) (i64.load (i32.const 264))))
    (call $pause (i32.const 0))
    (call $want (i32.const 4) (i32.const 0) (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 264)))
    (call $want (i32.const 5) (i32.const 1) (i64.lt_u (i64.load (i32.const 256)) (i64.load (i32.const 264))))
    ";
    let wasm = text(&format!("{}{pause}", import("clock_time_get", "i32 i64 i32")), body);
    picks(&host().usage_of(&wasm, PluginKind::Balancer, "{}", None), 1);
}

fn imports_of(wasm: &[u8]) -> Vec<String> {
    Plugin::inspect(&host().engine, wasm).unwrap().imports
}

#[test]
fn what_a_module_does_not_use_of_preview_1_it_does_not_import_of_the_host() {
    let ours = |wasm: &[u8]| {
        let imports = imports_of(wasm).into_iter();
        imports.filter(|import| import.starts_with("jackfield:preview1/")).collect::<Vec<_>>()
    };
    for (used, imported) in [
        ("clock_time_get", Some("clock")),
        ("random_get", Some("random")),
        ("fd_write", Some("stdio")),
        ("clock_res_get", None),
        ("path_unlink_file", None),
    ] {
        let parameters = match used {
            "clock_time_get" => "i32 i64 i32",
            "fd_write" => "i32 i32 i32 i32",
            "path_unlink_file" => "i32 i32 i32",
            _ => "i32 i32",
        };
        let expected: Vec<String> =
            imported.iter().map(|interface| format!("jackfield:preview1/{interface}@0.1.0")).collect();
        assert_eq!(ours(&text(&import(used, parameters), "")), expected, "{used}");
    }
}

/// `guests/NAME` as the compiler left it.
fn core(name: &str) -> Vec<u8> {
    guest(&format!("{name}.core"))
}

#[test]
fn what_cannot_be_wrapped_says_why() {
    let engine = host().engine;
    let core_module = core("version");
    for (name, wasm, reason) in [
        (
            "no export of the contract",
            wat::parse_str("(module (func (export \"run\")))").unwrap(),
            "a core WebAssembly module that exports nothing of the contract; build it with bindings for the world",
        ),
        ("cut in half", core_module[..core_module.len() / 2].to_vec(), "damaged or unsupported WebAssembly: "),
        (
            "another world",
            patched(&core_module, "jackfield:plugin", "elsewhere:plugin"),
            "a core WebAssembly module that exports nothing of the contract; ",
        ),
        (
            "another version",
            patched(&text("", ""), "@0.1.0", "@0.2.0"),
            "made for another version of the contract: it exports jackfield:plugin/balancing@0.2.0, this proxy speaks \
             version 0.1.0",
        ),
        (
            "an import from nowhere",
            text("(import \"env\" \"abort\" (func)) (import \"wasi:http/types@0.2.0\" \"x\" (func))", ""),
            "a core WebAssembly module that imports env, wasi:http/types@0.2.0; a core module may import the \
             interfaces of jackfield:plugin@0.1.0, and wasi_snapshot_preview1; what needs more must be a component \
             (`wasm-tools component new`)",
        ),
        (
            "a function that preview 1 does not have",
            text("(import \"wasi_snapshot_preview1\" \"fork\" (func))", ""),
            "a core WebAssembly module that cannot be made a component: ",
        ),
        (
            "a function of preview 1 with other parameters",
            text(&import("random_get", "i64 i64"), ""),
            "a core WebAssembly module that cannot be made a component: ",
        ),
        (
            "a missing function",
            patched(&text("", ""), "#pick", "#pack"),
            "a core WebAssembly module that cannot be made a component: ",
        ),
        (
            "a function that the contract does not have",
            text("(import \"jackfield:plugin/clock@0.1.0\" \"stop\" (func))", ""),
            "a core WebAssembly module that cannot be made a component: ",
        ),
    ] {
        let error = Plugin::load(&engine, name, &wasm).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{name}: {error}");
    }
}

#[test]
fn a_guest_is_the_same_with_and_without_the_last_step() {
    let origin = Origin::echo("a");
    let proxy = started(&core("version"), "nothing", &origin);
    assert_eq!(Client::connect(proxy.address(0)).get("/").header("x-balancer"), Some("version-0000"));
    let mut component = imports_of(&guest("misbehave"));
    let mut module = imports_of(&core("misbehave"));
    component.sort();
    module.sort();
    assert_eq!(module, component);
}

fn program(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(jackfield_tests::program!())
        .args(arguments)
        .env("XDG_CACHE_HOME", cache_folder())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn inspect_says_that_a_file_was_wrapped_and_componentize_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("plain.wasm"), core("version")).unwrap();
    std::fs::write(path("adapted.wasm"), text(&import("random_get", "i32 i32"), "")).unwrap();
    let (_, said) = program(&["plugin", "inspect", &path("plain.wasm")]);
    assert!(said.contains("  kind     balancer, http-filter\n"), "{said}");
    assert!(said.contains("  wrapped  core module\n"), "{said}");
    let (_, said) = program(&["plugin", "inspect", &path("adapted.wasm")]);
    assert!(said.contains("  wrapped  core module, adapter preview1\n"), "{said}");
    assert!(said.contains(" jackfield:preview1/random@0.1.0  needs \"random\"\n"), "{said}");

    let (code, said) = program(&["plugin", "componentize", &path("adapted.wasm"), "-o", &path("component.wasm")]);
    assert_eq!((code, &*said), (Some(0), ""));
    let component = std::fs::read(path("component.wasm")).unwrap();
    assert!(component.starts_with(b"\0asm\x0d\0\x01\0"));
    assert_eq!(Plugin::inspect(&host().engine, &component).unwrap().wrapped, None);
    let (code, said) = program(&["plugin", "componentize", &path("no.wasm"), "-o", &path("component.wasm")]);
    assert!(said.starts_with(&format!("jackfield: {}: No such file", path("no.wasm"))), "{said}");
    assert_eq!(code, Some(1));
}
