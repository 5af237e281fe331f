//! The files of `examples/deploy`, checked by those who will read them.

use std::path::{Path, PathBuf};
use std::process::Command;

use jackfield_tests::tool::{python_with, tool};

fn file(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy").join(name)
}

/// `jackfield check`, with folders and names that this machine has.
#[track_caller]
fn is_right(name: &str, config: &str) {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("jackfield.toml");
    let config = config
        .replace("/var/cache/jackfield", &folder.path().join("cache").display().to_string())
        .replace("app.default.svc.cluster.local", "127.0.0.1");
    std::fs::write(&written, config).unwrap();
    let output = Command::new(jackfield_tests::program!()).args(["check", "-c"]).arg(&written).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The block of a YAML file below this key.
fn block(yaml: &str, key: &str) -> String {
    let mut lines = yaml.lines().skip_while(|line| line.trim() != format!("{key}: |")).skip(1).peekable();
    let indent = lines.peek().map_or(0, |line| line.len() - line.trim_start().len());
    let inside = |line: &&str| line.trim().is_empty() || line.len() - line.trim_start().len() >= indent;
    let lines: Vec<&str> = lines.take_while(inside).map(|line| line.get(indent..).unwrap_or("")).collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_configurations_are_right() {
    for name in ["systemd/jackfield.toml", "container/jackfield.toml"] {
        is_right(name, &file(name));
    }
    let config = block(&file("kubernetes/jackfield.yaml"), "jackfield.toml");
    assert!(config.contains("[[listener]]") && config.ends_with("cluster.local:80\"]\n"), "{config}");
    is_right("kubernetes/jackfield.yaml", &config);
}

/// What one file says and another relies on.
#[test]
fn the_times_and_ports_fit_together() {
    let manifest = file("kubernetes/jackfield.yaml");
    for word in
        ["containerPort: 8080", "containerPort: 9901", "address = \"0.0.0.0:8080\"", "address = \"0.0.0.0:9901\""]
    {
        assert!(manifest.contains(word), "{word}");
    }
    let number = |text: &str, before: &str| -> u64 {
        let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before}"));
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    let drain = number(&manifest, "drain-delay = \"") + number(&manifest, "drain-timeout = \"");
    assert!(number(&manifest, "terminationGracePeriodSeconds: ") > drain + number(&manifest, "sleep: { seconds: "));
    let (unit, config) = (file("systemd/jackfield.service"), file("systemd/jackfield.toml"));
    assert!(number(&unit, "TimeoutStopSec=") > number(&config, "drain-timeout = \""));
    assert!(unit.contains("CacheDirectory=jackfield") && config.contains("cache = \"/var/cache/jackfield\""));
    assert!(unit.contains("RuntimeDirectory=jackfield") && config.contains("socket = \"/run/jackfield/upgrade.sock\""));
    assert!(
        file("systemd/jackfield.socket").contains("ListenStream=0.0.0.0:80\n")
            && config.contains("address = \"0.0.0.0:80\"")
    );
}

#[test]
fn systemd_reads_the_units() {
    let Some(analyze) = tool("systemd-analyze", "systemd") else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["jackfield.service", "jackfield.socket"] {
        let unit = file(&format!("systemd/{name}")).replace("/usr/local/bin/jackfield", jackfield_tests::program!());
        std::fs::write(folder.path().join(name), unit).unwrap();
    }
    let unit = |name: &str| folder.path().join(name);
    let verify = |command: &mut Command| {
        let output = command.output().unwrap();
        (
            output.status.success(),
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        )
    };
    let (right, said) = verify(
        Command::new(&analyze)
            .args(["verify", "--man=no"])
            .arg(unit("jackfield.service"))
            .arg(unit("jackfield.socket")),
    );
    // Of other units of this machine nothing is said here.
    let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("jackfield")).collect();
    assert!(right && of_ours.is_empty(), "{said}");
    // 0 is nothing to attack, 10 everything; a service that says nothing of it has 9.6.
    let (right, said) = verify(
        Command::new(&analyze)
            .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
            .arg(unit("jackfield.service")),
    );
    assert!(right, "{said}");
}

#[test]
fn the_manifest_fits_the_schema_of_kubernetes() {
    let Some(python) = python_with("kubernetes_validate") else { return };
    let mut command = Command::new(python);
    command.args(["-m", "kubernetes_validate", "--strict"]).arg(path("kubernetes/jackfield.yaml"));
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for kind in ["configmap", "deployment", "service", "poddisruptionbudget"] {
        assert!(said.contains(&format!("passed for resource {kind}/jackfield")), "{said}");
    }
}

/// The image has no more than this in it.
#[test]
fn the_program_needs_only_what_the_image_has() {
    let Some(ldd) = tool("ldd", "libc-bin") else { return };
    let said = jackfield_tests::tool::run(&ldd, &[jackfield_tests::program!()]);
    for library in said.lines().filter_map(|line| line.split_whitespace().next()) {
        let name = library.rsplit('/').next().unwrap_or_default();
        let known = ["linux-vdso.so", "libgcc_s.so", "libm.so", "libc.so", "ld-linux-"];
        assert!(known.iter().any(|known| name.starts_with(known)), "{library} is not in distroless/cc");
    }
}
