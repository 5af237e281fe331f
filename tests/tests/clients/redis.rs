//! redis-cli and redis-server over a TCP listener.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jackfield_tests::tool::{Server, run, tool};
use jackfield_tests::{Proxy, wait_until};

use crate::{free_port, layer4, start};

struct Redis {
    cli: PathBuf,
    server: PathBuf,
}

impl Redis {
    fn find() -> Option<Self> {
        Some(Self { cli: tool("redis-cli", "redis-tools")?, server: tool("redis-server", "redis-server")? })
    }

    /// A server whose key `who` is `name`.
    fn serve(&self, name: &str) -> (Server, u16) {
        let port = free_port();
        let number = port.to_string();
        let mut command = Command::new(&self.server);
        command.args(["--port", &number, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let server = Server::start(&mut command);
        let say = ["-p", &number, "set", "who", name];
        wait_until("redis to listen", || {
            let output = Command::new(&self.cli).args(say).output().unwrap();
            output.stdout == b"OK\n"
        });
        (server, port)
    }

    /// What redis-cli answers to this through the proxy, on a connection of its own.
    #[track_caller]
    fn ask(&self, proxy: &Proxy, words: &[&str]) -> String {
        let port = proxy.address(0).port().to_string();
        run(&self.cli, &[&["-p", &port], words].concat()).trim_end().to_owned()
    }
}

#[test]
fn a_command_and_a_pipeline_of_ten_thousand() {
    let Some(redis) = Redis::find() else { return };
    let (_server, port) = redis.serve("a");
    let proxy = start(&layer4("tcp", &[port]));
    assert_eq!(redis.ask(&proxy, &["get", "who"]), "a");

    let commands = (0..10_000).fold(String::new(), |mut all, number| {
        write!(all, "SET key:{number} value-{number}\r\n").unwrap();
        all
    });
    let file = proxy.folder().join("commands");
    std::fs::write(&file, commands).unwrap();
    let output = Command::new(&redis.cli)
        .args(["-p", &proxy.address(0).port().to_string(), "--pipe"])
        .stdin(Stdio::from(std::fs::File::open(&file).unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("errors: 0, replies: 10000"), "{said}");
    assert_eq!(redis.ask(&proxy, &["dbsize"]), "10001");
    assert_eq!(redis.ask(&proxy, &["get", "key:9999"]), "value-9999");
}

#[test]
fn a_value_of_twenty_megabytes_passes() {
    let Some(redis) = Redis::find() else { return };
    let (_server, port) = redis.serve("a");
    let proxy = start(&layer4("tcp", &[port]));
    redis.ask(&proxy, &["setrange", "large", "20971519", "x"]);
    let port = proxy.address(0).port().to_string();
    let output = Command::new(&redis.cli).args(["-p", &port, "get", "large"]).output().unwrap();
    // And the line's end that redis-cli adds.
    assert_eq!(output.stdout.len(), 20 * 1024 * 1024 + 1);
}

#[test]
fn connections_are_balanced_and_leave_a_dead_server() {
    let Some(redis) = Redis::find() else { return };
    let ((mut first, a), (_second, b)) = (redis.serve("a"), redis.serve("b"));
    let proxy = start(&layer4("tcp", &[a, b]));
    let names = |count| (0..count).map(|_| redis.ask(&proxy, &["get", "who"])).collect::<Vec<_>>();
    let before = names(20);
    assert_eq!(before.iter().filter(|name| *name == "a").count(), 10, "{before:?}");
    let line = proxy.wait_for_access("a connection", |line| line["protocol"] == "tcp");
    assert_eq!((&line["upstream"], &line["endpoint"]), (&"servers".into(), &format!("127.0.0.1:{a}").into()));
    first.kill();
    assert_eq!(names(50).into_iter().collect::<BTreeSet<_>>(), ["b".to_owned()].into());
}
