//! The program replaced while it serves: nobody notices, or nothing happens.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jackfield_tests::raw::RawConnection;
use jackfield_tests::{Client, DEADLINE, Origin, Proxy, RawOrigin, client, http2, program, wait_until};
use rustix::process::Signal;

use crate::{config, endpoints, start};

const UPGRADE: &str = "[upgrade]\nsocket = \"FOLDER/run/upgrade.sock\"\n";

fn upgradable(origin: &Origin) -> String {
    format!("{UPGRADE}{}", config("", &endpoints(&[origin])))
}

const NOBODY: u32 = 65534;

/// Clients that do not stop asking; each kind counts its answers.
struct Load {
    stop: Arc<AtomicBool>,
    answered: BTreeMap<&'static str, Arc<AtomicUsize>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn new() -> Self {
        Self { stop: Arc::default(), answered: BTreeMap::new(), clients: Vec::new() }
    }

    /// `turn` gets an answer, or panics.
    fn add<C>(&mut self, kind: &'static str, begin: impl FnOnce() -> C, turn: impl Fn(&mut C) + Send + 'static)
    where
        C: Send + 'static,
    {
        let (stop, answered) = (Arc::clone(&self.stop), Arc::clone(self.answered.entry(kind).or_default()));
        let mut client = begin();
        self.clients.push(std::thread::spawn(move || {
            while !stop.load(SeqCst) {
                turn(&mut client);
                answered.fetch_add(1, SeqCst);
            }
        }));
    }

    /// Until every kind has got so many answers more.
    #[track_caller]
    fn goes_on(&self, more: usize) {
        let before: Vec<usize> = self.answered.values().map(|count| count.load(SeqCst)).collect();
        for ((kind, count), before) in self.answered.iter().zip(before) {
            wait_until(kind, || {
                count.load(SeqCst) >= before + more || self.clients.iter().any(JoinHandle::is_finished)
            });
        }
    }

    /// Answers of each kind, when nobody has failed.
    #[track_caller]
    fn end(self) -> BTreeMap<&'static str, usize> {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        self.answered.into_iter().map(|(kind, count)| (kind, count.load(SeqCst))).collect()
    }
}

/// A client that keeps its connection for as long as it is allowed to, as browsers do.
struct Kept {
    to: SocketAddr,
    open: Option<Client>,
    last: Instant,
}

impl Kept {
    fn new(to: SocketAddr) -> Self {
        Self { to, open: None, last: Instant::now() }
    }

    fn ask(&mut self) {
        let reused = self.open.is_some();
        let client = self.open.get_or_insert_with(|| Client::connect(self.to));
        let answer = match client.try_ask("GET /kept HTTP/1.1\r\nhost: a\r\n\r\n") {
            Ok(answer) => answer,
            // A connection that nobody has used for long may be closed at any moment
            // (RFC 9112, section 9.5): so it is on a machine that has not let us run.
            Err(_) if reused && self.last.elapsed() > Duration::from_millis(700) => {
                self.open = None;
                return self.ask();
            }
            Err(error) => panic!("{error}, {:?} after the last answer", self.last.elapsed()),
        };
        assert_eq!(answer.status(), 200, "{answer:?}");
        self.last = Instant::now();
        if answer.header("connection") == Some("close") {
            self.open = None;
        }
    }
}

/// An HTTP/2 client; a request that hyper gives back unsent goes out on the next connection.
struct Http2 {
    runtime: tokio::runtime::Runtime,
    to: SocketAddr,
    open: Option<hyper::client::conn::http2::SendRequest<http2::Body>>,
}

impl Http2 {
    fn new(to: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, to, open: None }
    }

    fn ask(&mut self) {
        let (to, open) = (self.to, &mut self.open);
        self.runtime.block_on(async {
            let mut request = http2::get("/h2");
            loop {
                let client = match open {
                    Some(client) => client,
                    None => open.insert(http2::connect(to).await),
                };
                if client.ready().await.is_err() {
                    *open = None;
                    continue;
                }
                match client.try_send_request(request).await {
                    Ok(response) => {
                        let answer = http2::whole(response).await;
                        assert_eq!(answer.status, 200, "{answer:?}");
                        return;
                    }
                    Err(mut refused) => {
                        let unsent = refused.take_message();
                        request = unsent.unwrap_or_else(|| panic!("{:?}", refused.into_error()));
                        *open = None;
                    }
                }
            }
        });
    }
}

/// Sends back what it gets.
fn tcp_echo(mut connection: RawConnection) {
    let mut bytes = [0; 1000];
    while let Ok(count @ 1..) = connection.reader.read(&mut bytes) {
        connection.send(&bytes[..count]);
    }
}

fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 2000];
        while let Ok((count, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..count], from);
        }
    });
    address
}

struct Asking {
    socket: UdpSocket,
    turn: u64,
}

impl Asking {
    fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.connect(to).unwrap();
        Self { socket, turn: 0 }
    }

    /// Each datagram's answer comes, and comes once.
    fn ask(&mut self) {
        self.turn += 1;
        self.socket.send(&self.turn.to_be_bytes()).unwrap();
        let mut bytes = [0; 8];
        self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no answer to datagram {}: {error}", self.turn));
        assert_eq!(u64::from_be_bytes(bytes), self.turn);
    }
}

fn everything(workers: usize, http: &Origin, tcp: SocketAddr, udp: SocketAddr) -> String {
    let listener = |protocol: &str| {
        format!("[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"{protocol}\"\n")
    };
    let upstream =
        |protocol: &str, address: SocketAddr| format!("[upstream.{protocol}]\nendpoints = [\"{address}\"]\n");
    format!(
        "workers = {workers}\n{UPGRADE}drain-timeout = \"5m\"\n[admin]\naddress = \"127.0.0.1:0\"\n{}{}{}{}{}{}",
        listener("http"),
        listener("tcp"),
        listener("udp"),
        upstream("http", http.address()),
        upstream("tcp", tcp),
        upstream("udp", udp)
    )
}

fn load_on(proxy: &Proxy) -> Load {
    let (http, udp) = (proxy.address(0), proxy.address(2));
    let mut load = Load::new();
    for _ in 0..3 {
        load.add("kept connections", || Kept::new(http), Kept::ask);
    }
    for _ in 0..2 {
        load.add("new connections", || (), move |()| assert_eq!(client::get(http, "/new").status(), 200));
        load.add("UDP", || Asking::new(udp), Asking::ask);
    }
    load.add("HTTP/2", || Http2::new(http), Http2::ask);
    load
}

#[test]
fn ten_upgrades_under_load_fail_nobody() {
    let http = Origin::echo("a");
    let (tcp, udp) = (RawOrigin::start(tcp_echo), udp_echo());
    let mut now = start(&everything(2, &http, tcp.address(), udp));
    let addresses: Vec<_> = (0..3).map(|slot| now.address(slot)).collect();
    let admin = now.admin();
    let load = load_on(&now);
    let mut long: Vec<Client> = (0..3).map(|_| Client::connect(addresses[1])).collect();
    let mut before: Vec<Proxy> = Vec::new();
    let echo = |long: &mut Vec<Client>, text: &str| {
        for client in long {
            client.send(text);
            let mut bytes = vec![0; text.len()];
            client.reader().read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, text.as_bytes());
        }
    };
    echo(&mut long, "begin");
    load.goes_on(5);
    for turn in 0..10 {
        // More workers than sockets, and fewer: no queue may be left that nobody serves.
        now.write_config(&everything([3, 1, 2, 4][turn % 4], &http, tcp.address(), udp));
        let next = now.upgrade(program!());
        before.push(std::mem::replace(&mut now, next));
        assert_eq!((0..3).map(|slot| now.address(slot)).collect::<Vec<_>>(), addresses);
        assert_eq!(now.admin(), admin);
        load.goes_on(5);
        echo(&mut long, &format!("after {turn}"));
        assert_eq!(client::get(admin, "/ready").text(), "ready\n");
    }
    let answered = load.end();
    // Long connections stay where they began; all the others have let go.
    for old in &mut before[1..] {
        assert!(old.exit_status().success());
    }
    assert!(before[0].is_running());
    drop(long);
    assert!(before[0].exit_status().success());
    assert!(now.stop().success());
    // The access logs of all together know every request once.
    let mut logged = BTreeMap::new();
    for process in before.iter().chain([&now]) {
        assert!(process.log().iter().all(|line| !line.contains("panic")), "{:?}", process.log());
        for line in process.finished_access_log() {
            *logged
                .entry(line["path"].as_str().unwrap_or(line["protocol"].as_str().unwrap()).to_owned())
                .or_insert(0) += 1;
        }
    }
    eprintln!("ten upgrades: answered {answered:?}, logged {logged:?}, failed 0");
    assert_eq!(logged["/kept"], answered["kept connections"]);
    assert_eq!(logged["/new"], answered["new connections"]);
    assert_eq!(logged["/h2"], answered["HTTP/2"]);
    assert_eq!(logged["tcp"], 3);
}

#[test]
fn what_waits_in_a_queue_is_served_by_the_next_process() {
    let origin = Origin::echo("a");
    // One connection at a time: the second is accepted and waits, the others stay in the queue.
    let limited = |rest: &str| {
        format!("workers = 1\n{UPGRADE}{}", config(&format!("max-connections = 1\n{rest}"), &endpoints(&[&origin])))
    };
    let mut old = start(&limited(""));
    let mut first = Client::connect(old.address(0));
    assert_eq!(first.get("/first").status(), 200);
    let mut waiting: Vec<Client> = (0..5).map(|_| Client::connect(old.address(0))).collect();
    for client in &mut waiting {
        client.send("GET /waiting HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    }
    let mut new = old.upgrade(program!());
    drop(first);
    for client in &mut waiting {
        assert_eq!(client.receive("GET").status(), 200);
    }
    assert!(old.exit_status().success());
    assert!(new.stop().success());
    let count = |proxy: &Proxy| proxy.finished_access_log().iter().filter(|line| line["path"] == "/waiting").count();
    assert_eq!(count(&old) + count(&new), 5);
    assert!(count(&new) >= 4, "{}", count(&new));
}

#[test]
fn an_upgrade_that_fails_changes_nothing() {
    let origin = Origin::echo("a");
    let good = upgradable(&origin);
    let mut proxy = start(&good);
    let address = proxy.address(0);
    let mut kept = Kept::new(address);
    // The file is watched: the old process refuses it too, and goes on.
    for (bad, why) in [
        (good.replace("[upstream.api]", "[upstream.other]"), "no upstream `api`"),
        (
            good.replace(
                "upstream = \"api\"",
                "upstream = \"api\"\nfilters = [{ plugin = \"headers\", settings = { x = 1 } }]",
            ),
            "headers",
        ),
        (format!("[admin]\naddress = \"{address}\"\n{good}"), "cannot be used"),
    ] {
        proxy.write_config(&bad);
        let (code, said) = proxy.failing_upgrade(&mut proxy.upgrade_command(program!()));
        assert!(code == Some(2) || code == Some(1), "{code:?} {said}");
        assert!(said.contains(why), "{said}");
        kept.ask();
        assert_eq!(client::get(address, "/").status(), 200);
    }
    // One that dies with the sockets in its hands.
    proxy.write_config(&good);
    let mut peer = UnixStream::connect(proxy.folder().join("run/upgrade.sock")).unwrap();
    peer.write_all(b"{\"hello\":{\"protocol\":1,\"version\":\"0\"}}\n").unwrap();
    assert!(peer.read(&mut [0; 100]).unwrap() > 10);
    drop(peer);
    proxy.wait_for_log("has not taken over");
    kept.ask();
    // And then one that does not fail.
    let next = proxy.upgrade(program!());
    kept.ask();
    assert_eq!(client::get(next.address(0), "/").status(), 200);
    assert!(proxy.exit_status().success());
}

#[test]
fn whoever_speaks_nonsense_at_the_socket_gets_nothing() {
    let origin = Origin::echo("a");
    let mut proxy = start(&upgradable(&origin));
    let path = proxy.folder().join("run/upgrade.sock");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let long = vec![b'x'; 100_000];
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\"ready\"\n",
        b"{\"hello\":{\"protocol\":99,\"version\":\"9\"}}\n",
        b"{\"sockets\":{\"sockets\":[],\"more\":false}}\n",
        &long,
        b"",
    ] {
        let mut peer = UnixStream::connect(&path).unwrap();
        peer.set_read_timeout(Some(DEADLINE)).unwrap();
        let _ = peer.write_all(nonsense);
        let _ = peer.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        match peer.read_to_end(&mut answer) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => {}
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("{\"refused\""), "{answer}");
    }
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    let next = proxy.upgrade(program!());
    assert!(proxy.exit_status().success());
    assert_eq!(client::get(next.address(0), "/").status(), 200);
}

#[test]
fn another_user_gets_nothing() {
    if !jackfield_tests::tool::root() {
        return;
    }
    let origin = Origin::echo("a");
    let proxy = start(&upgradable(&origin));
    // The folder alone keeps others out. Were it open, the kernel would tell who asks.
    let open = |path: &str, mode: u32| {
        std::fs::set_permissions(proxy.folder().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open("", 0o755);
    open("run", 0o755);
    let mut command = proxy.upgrade_command(program!());
    let (code, said) = proxy.failing_upgrade(command.uid(NOBODY).gid(NOBODY));
    assert!(code == Some(1) && said.contains("Permission denied"), "{code:?} {said}");
    open("run/upgrade.sock", 0o666);
    let (code, said) = proxy.failing_upgrade(command.uid(NOBODY).gid(NOBODY));
    assert!(code == Some(1) && said.contains("the other process refuses: uid 65534"), "{code:?} {said}");
    proxy.wait_for_log("may not have the sockets");
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
}

#[test]
fn without_being_told_to_a_process_takes_nothing_over() {
    let origin = Origin::echo("a");
    let proxy = start(&upgradable(&origin));
    let mut command = std::process::Command::new(program!());
    command.args(["run", "-c"]).arg(proxy.folder().join(jackfield_tests::proxy::FILE));
    let (code, said) = proxy.failing_upgrade(&mut command);
    assert!(code == Some(1) && said.contains("`jackfield run --upgrade` takes over"), "{code:?} {said}");
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    // Where nobody runs, it is a plain start; the socket that a killed one has left is no hindrance.
    proxy.signal(Signal::KILL);
    let next = proxy.upgrade(program!());
    next.wait_for_log("nobody to take over from");
    assert_eq!(client::get(next.address(0), "/").status(), 200);
    let without = start(&config("", &endpoints(&[&origin])));
    let (code, said) = without.failing_upgrade(&mut without.upgrade_command(program!()));
    assert!(code == Some(1) && said.contains("write `[upgrade]`"), "{code:?} {said}");
}

#[test]
fn compiled_plugins_are_shared_and_not_compiled_again() {
    let origin = Origin::echo("a");
    let proxy = start(&format!("cache = \"FOLDER/cache\"\n{}", upgradable(&origin)));
    let compiled = || {
        let files = std::fs::read_dir(proxy.folder().join("cache")).unwrap();
        let time = |file: std::fs::DirEntry| (file.file_name(), file.metadata().unwrap().modified().unwrap());
        files.map(|file| time(file.unwrap())).collect::<BTreeMap<_, _>>()
    };
    let before = compiled();
    assert!(!before.is_empty());
    let next = proxy.upgrade(program!());
    assert_eq!(client::get(next.address(0), "/").status(), 200);
    assert_eq!(compiled(), before);
}

#[test]
fn listeners_that_a_new_configuration_adds_and_leaves_out() {
    let origin = Origin::echo("a");
    let listener = |port: u16| format!("[[listener]]\naddress = \"127.0.0.1:{port}\"\nupstream = \"api\"\n");
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (one, two, three) = (free(), free(), free());
    let with = |ports: [u16; 2]| {
        format!("{UPGRADE}{}{}[upstream.api]\n{}\n", listener(ports[0]), listener(ports[1]), endpoints(&[&origin]))
    };
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let folder = Proxy::folder_for(&with([one, two]), |_| {});
    let mut command = std::process::Command::new(program!());
    let mut old = Proxy::run(
        Arc::clone(&folder),
        command.args(["run", "-c"]).arg(folder.path().join(jackfield_tests::proxy::FILE)),
    );
    // In a file of its own, which the old process does not follow.
    std::fs::write(
        folder.path().join("new.toml"),
        format!("{}[log]\nformat = \"json\"\n", with([two, three])).replace("FOLDER", folder.path().to_str().unwrap()),
    )
    .unwrap();
    let mut command = std::process::Command::new(program!());
    let new =
        Proxy::run(Arc::clone(&folder), command.args(["run", "--upgrade", "-c"]).arg(folder.path().join("new.toml")));
    new.wait_for_log("for which there is no listener");
    for port in [two, three] {
        assert_eq!(client::get(at(port), "/").status(), 200);
    }
    assert!(old.exit_status().success());
    assert!(Client::try_connect(at(one)).is_err());
}
