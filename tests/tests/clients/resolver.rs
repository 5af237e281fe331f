//! dig and dnsmasq over a UDP listener.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use jackfield_tests::Proxy;
use jackfield_tests::tool::{Server, run, tool};

use crate::{free_port, layer4, start};

struct Dns {
    dig: PathBuf,
    dnsmasq: PathBuf,
}

impl Dns {
    fn find() -> Option<Self> {
        Some(Self { dig: tool("dig", "bind9-dnsutils")?, dnsmasq: tool("dnsmasq", "dnsmasq-base")? })
    }

    /// A resolver that answers with this address for every name below `test.example`.
    fn serve(&self, answer: &str) -> (Server, u16) {
        let port = free_port();
        let mut command = Command::new(&self.dnsmasq);
        command.args(["--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file="]);
        command.args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--address=/test.example/{answer}"));
        let server = Server::start(&mut command);
        server.log.wait(0, "that dnsmasq runs", |line| line.contains("started"));
        (server, port)
    }

    /// The answers to so many queries through the proxy, each from a socket of its own.
    #[track_caller]
    fn ask(&self, proxy: &Proxy, queries: usize) -> Vec<String> {
        let file = proxy.folder().join("queries");
        let names = (0..queries).fold(String::new(), |mut all, number| {
            writeln!(all, "n{number}.test.example A").unwrap();
            all
        });
        std::fs::write(&file, names).unwrap();
        let listens = proxy.address(0);
        let (server, port) = (format!("@{}", listens.ip()), listens.port().to_string());
        let arguments = [&server, "-p", &port, "+short", "+tries=1", "+time=10", "-f", file.to_str().unwrap()];
        run(&self.dig, &arguments).lines().map(str::to_owned).collect()
    }
}

/// Listens on an address that dig does not send from. dig shares its ports (`SO_REUSEPORT`): once in
/// some fifty runs it is given the very port of the proxy, and on one address would ask itself.
fn datagrams(first: u16, second: u16) -> String {
    layer4("udp", &[first, second]).replace("127.0.0.1:0", "127.0.0.2:0")
}

fn count(answers: &[String], of: &str) -> usize {
    answers.iter().filter(|answer| *answer == of).count()
}

#[test]
fn queries_are_balanced_over_two_resolvers() {
    let Some(dns) = Dns::find() else { return };
    let ((_first, a), (_second, b)) = (dns.serve("10.0.0.1"), dns.serve("10.0.0.2"));
    let proxy = start(&datagrams(a, b));
    let answers = dns.ask(&proxy, 500);
    // Not half of them to the last: where dig happens to take a port again, the session goes on.
    let counts = [count(&answers, "10.0.0.1"), count(&answers, "10.0.0.2")];
    assert_eq!((answers.len(), counts.iter().sum()), (500, 500), "{answers:?}");
    assert!(counts.iter().all(|count| *count > 220), "{counts:?}");
}

/// One try for each query: the datagram that was refused goes to the other resolver. None is asked
/// before: a socket on the same port would go on with a session that has had its answers, and a
/// datagram of such a session is not kept.
#[test]
fn where_one_refuses_the_other_answers() {
    let Some(dns) = Dns::find() else { return };
    let ((mut first, a), (_second, b)) = (dns.serve("10.0.0.1"), dns.serve("10.0.0.2"));
    let proxy = start(&datagrams(a, b));
    first.kill();
    let answers = dns.ask(&proxy, 200);
    assert_eq!((answers.len(), count(&answers, "10.0.0.2")), (200, 200), "{answers:?}");
}

/// As a resolver is asked when an answer is too long for a datagram.
#[test]
fn a_query_over_tcp() {
    let Some(dns) = Dns::find() else { return };
    let (_server, port) = dns.serve("10.0.0.1");
    let proxy = start(&layer4("tcp", &[port]));
    let listens = proxy.address(0).port().to_string();
    let query = ["@127.0.0.1", "-p", &listens, "+short", "+tcp", "+tries=1", "a.test.example"];
    assert_eq!(run(&dns.dig, &query), "10.0.0.1\n");
}
