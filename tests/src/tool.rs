//! Programs that tests use as clients and servers. Where one is missing, the test says so and
//! passes; with `CI=true` in the environment it fails.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::lines::Lines;
use crate::wait_for;

/// Where `name` is, or none and a visible word. `package` is Debian's.
#[track_caller]
pub fn tool(name: &str, package: &str) -> Option<PathBuf> {
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skipped(&format!("{name} is not installed (apt: {package})"));
    }
    found
}

#[track_caller]
pub fn skipped(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    // Not by println: the test harness would hide it.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {why}\n").as_bytes());
}

/// Whether Rust compiles for `target` here, or a visible word.
#[track_caller]
pub fn compiles_for(target: &str) -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim());
    let there = sysroot.join("lib/rustlib").join(target).is_dir();
    if !there {
        skipped(&format!("Rust does not compile for {target} (rustup target add {target})"));
    }
    there
}

/// Whether the test runs as root, or a visible word.
#[track_caller]
pub fn root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skipped("only root can become somebody else");
    }
    is_root
}

/// The Python of the virtual environment that `.ci/run` makes from `tests/python/requirements.txt`:
/// `JACKFIELD_TEST_VENV`, or `test-venv` in the target folder.
#[track_caller]
pub fn python() -> Option<PathBuf> {
    let given = std::env::var_os("JACKFIELD_TEST_VENV").map(PathBuf::from);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-venv");
    let python = given.unwrap_or(target).join("bin/python");
    if !python.is_file() {
        skipped("no Python environment (see tests/python/requirements.txt)");
        return None;
    }
    Some(python)
}

/// The same, where it has this module.
#[track_caller]
pub fn python_with(module: &str) -> Option<PathBuf> {
    let python = python()?;
    let import =
        Command::new(&python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status().unwrap();
    if !import.success() {
        skipped(&format!("the Python environment has no {module} (see tests/python/requirements.txt)"));
        return None;
    }
    Some(python)
}

/// What a program printed, once it has ended well.
#[track_caller]
pub fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}{}", program.display(), String::from_utf8_lossy(&output.stderr));
    text
}

/// A program that runs until this is dropped.
pub struct Server {
    child: Child,
    pub log: Lines,
}

impl Server {
    /// Standard error and output go to `log`.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// One that prints its port as the first line of its output.
    #[track_caller]
    pub fn with_port(command: &mut Command) -> (Self, u16) {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("no port but {line:?}: {:?}", log.all()));
        (Self { child, log }, port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end by this signal, and waits until it has.
    #[track_caller]
    pub fn end(&mut self, signal: Signal) {
        if self.child.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
            wait_for("a server's end", || self.child.try_wait().unwrap());
        }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
