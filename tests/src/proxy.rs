//! The program under test, run with a configuration of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::lines::Lines;
use crate::{wait_for, wait_until};

pub struct Proxy {
    folder: Arc<TempDir>,
    child: Child,
    log: Lines,
    access: Lines,
}

impl Proxy {
    /// Runs `program` (see [`crate::program!`]) and waits until it is ready. `FOLDER` in the
    /// configuration stands for the folder in which it lies.
    #[track_caller]
    pub fn start(program: &str, config: &str) -> Self {
        Self::start_with(program, config, |_| {})
    }

    /// The same, and `prepare` puts what the configuration names into its folder first.
    #[track_caller]
    pub fn start_with(program: &str, config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = Self::folder_for(config, prepare);
        let mut command = Command::new(program);
        command.args(["run", "-c"]).arg(folder.path().join(FILE));
        Self::run(folder, &mut command)
    }

    /// A folder with this configuration in it.
    #[track_caller]
    pub fn folder_for(config: &str, prepare: impl FnOnce(&Path)) -> Arc<TempDir> {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        write_config(folder.path(), config);
        Arc::new(folder)
    }

    /// Runs what ends up as the program, with the configuration of this folder ([`FILE`]), and
    /// waits until it is ready.
    #[track_caller]
    pub fn run(folder: Arc<TempDir>, command: &mut Command) -> Self {
        let proxy = Self::spawn(folder, command);
        proxy.wait_for_log("ready");
        proxy
    }

    fn spawn(folder: Arc<TempDir>, command: &mut Command) -> Self {
        command.env("RUST_BACKTRACE", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        let access = Lines::of(child.stdout.take().unwrap());
        Self { folder, child, log, access }
    }

    /// A new process of the same program that takes over from this one.
    #[track_caller]
    #[must_use]
    pub fn upgrade(&self, program: &str) -> Self {
        Self::run(Arc::clone(&self.folder), &mut self.upgrade_command(program))
    }

    /// One that does not get so far: its exit code and what it said.
    #[track_caller]
    pub fn failing_upgrade(&self, command: &mut Command) -> (Option<i32>, String) {
        let mut failing = Self::spawn(Arc::clone(&self.folder), command);
        let status = failing.exit_status();
        (status.code(), failing.log.finished().join("\n"))
    }

    pub fn upgrade_command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["run", "--upgrade", "-c"]).arg(self.folder().join(FILE));
        command
    }

    /// Where the listener in this position of the file (from 0) listens.
    #[track_caller]
    pub fn address(&self, slot: usize) -> SocketAddr {
        let is_it = |line: &Value| line["message"] == "listening" && line["listener"] == slot;
        address_in(&self.wait_for_entry(&format!("that listener {slot} listens"), is_it))
    }

    /// Where metrics, `/ready` and `/live` are served.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        address_in(&self.wait_for_entry("the admin address", |line| line["message"] == "admin listens"))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the configuration says `plugins = "plugins"`.
    pub fn plugins_folder(&self) -> PathBuf {
        let folder = self.folder().join("plugins");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Replaces the file. The program sees that by itself; [`Self::reload`] does not wait for it.
    pub fn write_config(&self, config: &str) {
        write_config(self.folder(), config);
    }

    /// SIGHUP; answers whether the configuration was replaced, or why not.
    #[track_caller]
    pub fn reload(&self) -> Result<(), String> {
        let seen = self.log.count();
        self.signal(Signal::HUP);
        self.replaced_since(seen)
    }

    /// Replaces the file and waits for what becomes of it.
    #[track_caller]
    pub fn change_config(&self, config: &str) -> Result<(), String> {
        let seen = self.log.count();
        self.write_config(config);
        self.replaced_since(seen)
    }

    #[track_caller]
    fn replaced_since(&self, seen: usize) -> Result<(), String> {
        let line = self.log.wait(seen, "what became of the configuration", |line| {
            line.contains("configuration replaced") || line.contains("configuration refused")
        });
        let message = message_of(&line);
        if message == "configuration replaced" { Ok(()) } else { Err(message) }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and the exit status.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exit_status()
    }

    #[track_caller]
    pub fn exit_status(&mut self) -> ExitStatus {
        wait_for("the program's end", || self.child.try_wait().unwrap())
    }

    /// The messages of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.all().iter().map(|line| message_of(line)).collect()
    }

    /// The lines of the log so far, as they are printed.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.all()
    }

    /// The first line of the log that contains this text, as it is printed.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        self.log.wait(0, text, |line| line.contains(text))
    }

    pub fn log_contains(&self, text: &str) -> bool {
        self.log.all().iter().any(|line| line.contains(text))
    }

    #[track_caller]
    fn wait_for_entry(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let line = self.log.wait(0, what, |line| serde_json::from_str(line).is_ok_and(|line| is_it(&line)));
        serde_json::from_str(&line).unwrap()
    }

    /// The access log so far.
    pub fn access_log(&self) -> Vec<Value> {
        self.access.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The whole access log of a process that has ended.
    #[track_caller]
    pub fn finished_access_log(&self) -> Vec<Value> {
        self.access.finished().iter().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The first line of the access log that is so.
    #[track_caller]
    pub fn wait_for_access(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let line = self.access.wait(0, what, |line| serde_json::from_str(line).is_ok_and(|line| is_it(&line)));
        serde_json::from_str(&line).unwrap()
    }

    /// The line of the request with this path.
    #[track_caller]
    pub fn access_of(&self, path: &str) -> Value {
        self.wait_for_access(path, |line| line["path"] == path)
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Waits until a page of the admin address says this.
    #[track_caller]
    pub fn wait_for_admin(&self, path: &str, text: &str) {
        let admin = self.admin();
        wait_until(&format!("{path} to say {text}"), || {
            crate::client::try_get(admin, path).is_ok_and(|answer| answer.text().contains(text))
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the proxy:\n{}\n--- its access log:", self.log.all().join("\n"));
            eprintln!("{}", self.access.all().join("\n"));
        }
    }
}

/// The configuration's name in its folder.
pub const FILE: &str = "jackfield.toml";

/// In one step, as an editor does it: a half-written file is never seen.
fn write_config(folder: &Path, config: &str) {
    let log = if config.contains("[log]") { "" } else { "\n[log]\nformat = \"json\"\n" };
    let config = format!("{config}{log}").replace("FOLDER", &folder.display().to_string());
    let new = folder.join("new.tmp");
    std::fs::write(&new, config).unwrap();
    std::fs::rename(new, folder.join(FILE)).unwrap();
}

fn message_of(line: &str) -> String {
    let entry: Option<Value> = serde_json::from_str(line).ok();
    entry.and_then(|entry| entry["message"].as_str().map(str::to_owned)).unwrap_or_else(|| line.to_owned())
}

fn address_in(line: &Value) -> SocketAddr {
    line["address"].as_str().unwrap().parse().unwrap()
}
