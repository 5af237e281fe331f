//! TCP and UDP, with the servers and clients that people use.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use jackfield_tests::raw::nobody;
use jackfield_tests::tool::{Server, run, tool};
use jackfield_tests::{Proxy, wait_until};

use crate::start;

/// A listener for this protocol in front of these.
fn passing(protocol: &str, endpoints: &[SocketAddr]) -> Proxy {
    let all: Vec<String> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
    start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"all\"\n\
         [upstream.all]\nendpoints = [{}]\n",
        all.join(", ")
    ))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn redis_cli_speaks_to_a_redis_server() {
    let Some(server) = tool("redis-server", "redis-server") else { return };
    let Some(cli) = tool("redis-cli", "redis-tools") else { return };
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let mut command = Command::new(server);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(folder.path());
    let _server = Server::start(&mut command);
    wait_until("redis to serve", || std::net::TcpStream::connect(local(port)).is_ok());
    // The first endpoint refuses: nothing is lost.
    let proxy = passing("tcp", &[nobody(), local(port)]);
    let ask = |arguments: &[&str]| {
        let port = proxy.address(0).port().to_string();
        run(&cli, &[&["-h", "127.0.0.1", "-p", &port], arguments].concat())
    };
    assert_eq!(ask(&["ping"]), "PONG\n");
    assert_eq!(ask(&["set", "name", "jackfield"]), "OK\n");
    assert_eq!(ask(&["get", "name"]), "jackfield\n");
    let big = "x".repeat(100_000);
    assert_eq!(ask(&["set", "big", &big]), "OK\n");
    assert_eq!(ask(&["get", "big"]).trim(), big);
    assert_eq!(proxy.wait_for_access("a connection", |line| line["protocol"] == "tcp")["upstream"], "all");
}

/// Debian keeps them away from the path.
fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").is_file());
    found.or_else(|| tool("initdb", "postgresql").and_then(|initdb| initdb.parent().map(Path::to_owned)))
}

/// `PostgreSQL` refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

#[test]
fn psql_speaks_to_postgresql() {
    let Some(bin) = postgres_programs() else { return };
    let Some(psql) = tool("psql", "postgresql-client") else { return };
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    if rustix::process::getuid().is_root() {
        run(Path::new("/bin/chown"), &["postgres", &folder.path().display().to_string()]);
    }
    let data = folder.path().join("data");
    let made = as_postgres(&bin.join("initdb"))
        .args(["-A", "trust", "-U", "tester", "--no-sync", "-D"])
        .arg(&data)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut server = as_postgres(&bin.join("postgres"));
    server.current_dir("/").args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F", "-D"]).arg(&data);
    let _server = Server::start(server.arg("-k").arg(folder.path()));
    let proxy = passing("tcp", &[local(port)]);
    let target = format!("host=127.0.0.1 port={} user=tester dbname=postgres", proxy.address(0).port());
    wait_until("PostgreSQL to serve", || {
        Command::new(&psql).args([&target, "-c", "select 1"]).output().is_ok_and(|output| output.status.success())
    });
    let sum = run(&psql, &[&target, "-At", "-c", "select sum(n) from generate_series(1, 100000) n"]);
    assert_eq!(sum, "5000050000\n");
    let rows = run(&psql, &[&target, "-At", "-c", "select repeat('x', 1000) from generate_series(1, 5000)"]);
    assert_eq!(rows.len(), 5000 * 1001);
}

#[test]
fn dig_asks_a_resolver() {
    let Some(dnsmasq) = tool("dnsmasq", "dnsmasq-base") else { return };
    let Some(dig) = tool("dig", "bind9-dnsutils") else { return };
    let port = free_port();
    let mut command = Command::new(dnsmasq);
    command.args(["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--bind-interfaces"]);
    command.args(["--listen-address=127.0.0.1", "--user=", "--pid-file=", "--address=/jackfield.test/192.0.2.7"]);
    let _server = Server::start(command.arg(format!("--port={port}")));
    let ask = |port: u16, flags: &[&str]| {
        let port = port.to_string();
        let arguments =
            [&["@127.0.0.1", "-p", &port, "+short", "+tries=1", "+time=5", "jackfield.test"], flags].concat();
        Command::new(&dig).args(arguments).output().unwrap()
    };
    wait_until("dnsmasq to serve", || ask(port, &[]).status.success());
    // The first endpoint answers that nobody is there (ICMP): the next one is asked.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let udp = passing("udp", &[closed, local(port)]);
    let tcp = passing("tcp", &[local(port)]);
    for _ in 0..10 {
        let answer = ask(udp.address(0).port(), &[]);
        assert_eq!(String::from_utf8_lossy(&answer.stdout), "192.0.2.7\n");
    }
    let answer = ask(tcp.address(0).port(), &["+tcp"]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "192.0.2.7\n");
}

/// What one side has finished saying, the other can still answer.
#[test]
fn half_closed_connections_are_kept() {
    let origin = jackfield_tests::RawOrigin::start(|mut connection| {
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut connection.reader, &mut all).unwrap();
        connection.send(format!("{} bytes", all.len()));
    });
    let proxy = passing("tcp", &[nobody(), origin.address()]);
    for _ in 0..4 {
        let mut client = jackfield_tests::Client::connect(proxy.address(0));
        client.stream().write_all(&vec![7; 3_000_000]).unwrap();
        client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "3000000 bytes");
    }
}

#[test]
fn a_tcp_client_whose_endpoints_are_all_gone_is_closed() {
    let proxy = passing("tcp", &[nobody(), nobody()]);
    assert_eq!(jackfield_tests::Client::connect(proxy.address(0)).rest(), "");
    let line = proxy.wait_for_access("the reason", |line| line["error"].is_string());
    assert_eq!(line["protocol"], "tcp");
}

#[test]
fn connections_that_pass_through_end_with_the_drain() {
    let origin = jackfield_tests::RawOrigin::start(|mut connection| {
        connection.send("hello");
        let _ = std::io::Read::read(&mut connection.reader, &mut [0]);
    });
    let mut proxy = start(&format!(
        "drain-timeout = \"200ms\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\nupstream = \"all\"\n\
         [upstream.all]\nendpoints = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = jackfield_tests::Client::connect(proxy.address(0));
    let mut hello = [0; 5];
    std::io::Read::read_exact(client.reader(), &mut hello).unwrap();
    assert!(proxy.stop().success());
    assert_eq!(client.rest(), "");
}

#[test]
fn each_udp_client_has_a_session_of_its_own() {
    let origins = ["a", "b"].map(|name| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 2000];
            while let Ok((count, from)) = socket.recv_from(&mut bytes) {
                let answer = [name.as_bytes(), &bytes[..count]].concat();
                let _ = socket.send_to(&answer, from);
            }
        });
        address
    });
    let proxy = passing("udp", &origins);
    let mut served = std::collections::BTreeSet::new();
    for number in 0..8 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(jackfield_tests::DEADLINE)).unwrap();
        client.connect(proxy.address(0)).unwrap();
        let mut home = None;
        for turn in 0..5 {
            let text = format!(" {number} {turn}");
            client.send(text.as_bytes()).unwrap();
            let mut bytes = [0; 2000];
            let count = client.recv(&mut bytes).unwrap();
            let answer = String::from_utf8_lossy(&bytes[..count]).into_owned();
            assert_eq!(answer[1..], text);
            // The same endpoint for all datagrams of a session.
            assert_eq!(*home.get_or_insert(answer[..1].to_owned()), answer[..1]);
        }
        served.extend(home);
    }
    assert_eq!(served.len(), 2);
}
