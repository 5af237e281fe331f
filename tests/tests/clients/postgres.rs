//! psql and `PostgreSQL` over a TCP listener.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jackfield_tests::tool::{Server, run, tool};
use jackfield_tests::wait_until;
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::{free_port, layer4, start};

/// A database of its own, which ends with this.
struct Postgres {
    server: Server,
    port: u16,
    _folder: TempDir,
}

impl Postgres {
    #[track_caller]
    fn start(psql: &Path) -> Option<Self> {
        let programs = programs()?;
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let user = user();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let command = |name: &str| {
            let mut command = Command::new(programs.join(name));
            // Neither of them likes to be root.
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command.current_dir(folder.path()).stdin(Stdio::null());
            command
        };
        let data = folder.path().join("data");
        let prepare = ["--auth=trust", "--username=test", "--no-sync", "--locale=C", "--encoding=UTF8", "-D"];
        let made = command("initdb").args(prepare).arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let listen = ["-h", "127.0.0.1", "-p", &port.to_string(), "-k", "", "-F"];
        let server = Server::start(command("postgres").args(listen).arg("-D").arg(&data));
        let url = url(port);
        let ready = || Command::new(psql).args([&url, "-c", "select 1"]).output().unwrap().status.success();
        wait_until("PostgreSQL to answer", ready);
        Some(Self { server, port, _folder: folder })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed, it would leave its processes and its shared memory.
        self.server.end(Signal::QUIT);
    }
}

/// Where `initdb` and `postgres` are: Debian keeps them out of `PATH`.
#[track_caller]
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let newest = folders.filter(|folder| folder.join("initdb").is_file()).max();
    newest.or_else(|| Some(tool("initdb", "postgresql")?.parent()?.to_owned()))
}

/// Whom to run it as, when this is root: user and group.
fn user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    })
}

fn url(port: u16) -> String {
    format!("postgresql://test@127.0.0.1:{port}/postgres?connect_timeout=10")
}

#[test]
fn queries_small_and_large() {
    let Some(psql) = tool("psql", "postgresql-client") else { return };
    let Some(database) = Postgres::start(&psql) else { return };
    let proxy = start(&layer4("tcp", &[database.port]));
    let url = url(proxy.address(0).port());
    let ask = |query: &str| run(&psql, &[&url, "--no-psqlrc", "-At", "-c", query]);
    assert_eq!(ask("select 6 * 7"), "42\n");

    let rows = ask("select repeat('x', 1000) from generate_series(1, 10000)");
    assert_eq!(rows.len(), 10_000 * 1001);
    assert!(rows.bytes().all(|byte| matches!(byte, b'x' | b'\n')));

    // And as much the other way.
    let file = proxy.folder().join("rows");
    std::fs::write(&file, &rows).unwrap();
    let copy = format!("\\copy kept from '{}'", file.display());
    let commands = ["-c", "create table kept (line text)", "-c", &copy];
    run(&psql, &[&[url.as_str(), "--no-psqlrc", "-q"], &commands[..]].concat());
    assert_eq!(ask("select count(*), sum(length(line)) from kept"), "10000|10000000\n");
}

#[test]
fn a_database_that_is_not_there_is_passed_over() {
    let Some(psql) = tool("psql", "postgresql-client") else { return };
    let Some(database) = Postgres::start(&psql) else { return };
    let proxy = start(&layer4("tcp", &[free_port(), database.port]));
    for number in 0..10 {
        let query = format!("select {number}");
        let answer = run(&psql, &[&url(proxy.address(0).port()), "--no-psqlrc", "-At", "-c", &query]);
        assert_eq!(answer, format!("{number}\n"));
    }
}
