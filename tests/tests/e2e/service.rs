//! As a service of the system: what systemd passes and wants to hear, and rights that are given up.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use jackfield_tests::proxy::FILE;
use jackfield_tests::tool::{root, tool};
use jackfield_tests::{Client, DEADLINE, Origin, Proxy, client, program, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::{config, endpoints, start};

/// What a service manager hears.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    #[track_caller]
    fn hears(&self) -> String {
        let mut bytes = [0; 1000];
        let count = self.0.recv(&mut bytes).expect("nothing was said");
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }
}

#[test]
fn systemd_hears_of_start_reload_upgrade_and_end() {
    let origin = Origin::echo("a");
    let upgrade = "[upgrade]\nsocket = \"FOLDER/run/upgrade.sock\"\n";
    let folder = Proxy::folder_for(&format!("{upgrade}{}", config("", &endpoints(&[&origin]))), |_| {});
    let manager = Manager::at(&folder.path().join("notify"));
    let mut command = Command::new(program!());
    command.args(["run", "-c"]).arg(folder.path().join(FILE)).env("NOTIFY_SOCKET", folder.path().join("notify"));
    let mut old = Proxy::run(Arc::clone(&folder), &mut command);
    assert_eq!(manager.hears(), "READY=1");
    old.signal(Signal::HUP);
    let reloading = manager.hears();
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(since.parse::<u64>().unwrap() > 0);
    assert_eq!(manager.hears(), "READY=1");
    // The process of the same program that it starts is the main one from then on.
    old.signal(Signal::USR2);
    let main = manager.hears();
    let pid: i32 = main.strip_prefix("MAINPID=").expect(&main).parse().unwrap();
    let _guard = Killed(pid);
    assert_ne!(pid, old.pid().cast_signed());
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(client::get(old.address(0), "/").status(), 200);
    assert!(old.exit_status().success());
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    assert_eq!(manager.hears(), "STOPPING=1");
    wait_until("nobody to listen", || Client::try_connect(old.address(0)).is_err());
}

/// A process that nobody here has started.
struct Killed(i32);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_raw(self.0).unwrap(), Signal::KILL);
    }
}

/// Binds what is asked for, as systemd does, and becomes the program.
const ACTIVATE: &str = "
import os, socket, sys
kinds = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}
sockets = []
for kind, port in (spec.split(':') for spec in sys.argv[1].split(',')):
    s = socket.socket(socket.AF_INET, kinds[kind])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.argv[2] == 'reuseport':
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(('127.0.0.1', int(port)))
    if kind == 'tcp':
        s.listen(16)
    sockets.append(s)
for s in sockets:
    s.detach()
fds = [3 + i for i in range(len(sockets))]
for fd in fds:
    os.set_inheritable(fd, True)
early = socket.create_connection(('127.0.0.1', int(sys.argv[3])))
early.sendall(b'GET /early HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n')
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=':'.join('n' * len(sockets)))
os.execv(sys.argv[4], sys.argv[4:])
";

/// Three workers with one socket, which they share, or with two of a group, to which they add one.
#[test]
fn systemd_passes_sockets() {
    let Some(python) = tool("python3", "python3") else { return };
    let origin = Origin::echo("a");
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (sharing, count) in [("alone", 1), ("reuseport", 2)] {
        let (http, admin, unused) = (free(), free(), free());
        let listener = config("", &endpoints(&[&origin])).replace("127.0.0.1:0", &format!("127.0.0.1:{http}"));
        let text = format!("workers = 3\n[admin]\naddress = \"127.0.0.1:{admin}\"\n{listener}");
        let folder = Proxy::folder_for(&text, |_| {});
        let specs = format!("{}udp:{unused},tcp:{admin}", format!("tcp:{http},").repeat(count));
        let mut command = Command::new(&python);
        command.args(["-c", ACTIVATE, &specs, sharing, &http.to_string(), program!(), "run", "-c"]);
        let mut proxy = Proxy::run(Arc::clone(&folder), command.arg(folder.path().join(FILE)));
        // Who came before the program was there is served.
        proxy.access_of("/early");
        assert_eq!(proxy.address(0).port(), http);
        assert_eq!(client::get(proxy.admin(), "/ready").text(), "ready\n");
        proxy.wait_for_log("for which there is no listener");
        // None of the queues is left alone.
        for _ in 0..50 {
            assert_eq!(client::get(proxy.address(0), "/").status(), 200);
        }
        assert!(proxy.stop().success());
    }
}

/// systemd's own tool, where it is.
#[test]
fn systemd_socket_activate_starts_it_with_the_first_connection() {
    let Some(activate) = tool("systemd-socket-activate", "systemd") else { return };
    let origin = Origin::echo("a");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = config("", &endpoints(&[&origin])).replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let folder = Proxy::folder_for(&text, |_| {});
    let mut command = Command::new(activate);
    command.arg(format!("--listen=127.0.0.1:{port}")).arg("--fdname=http").arg(program!()).args(["run", "-c"]);
    command.arg(folder.path().join(FILE));
    let first = std::thread::spawn(move || {
        let to = ([127, 0, 0, 1], port).into();
        wait_until("somebody to listen", || Client::try_connect(to).is_ok());
        client::get(to, "/first").status()
    });
    let mut proxy = Proxy::run(Arc::clone(&folder), &mut command);
    assert_eq!(first.join().unwrap(), 200);
    proxy.access_of("/first");
    assert!(proxy.stop().success());
}

#[test]
fn readiness_ends_before_accepting_does() {
    let origin = Origin::echo("a");
    let mut proxy = start(&format!(
        "drain-delay = \"1h\"\n[admin]\naddress = \"127.0.0.1:0\"\n{}",
        config("", &endpoints(&[&origin]))
    ));
    proxy.signal(Signal::TERM);
    proxy.wait_for_log("still accepting");
    assert_eq!(client::get(proxy.admin(), "/ready").status(), 503);
    assert_eq!(client::get(proxy.admin(), "/live").status(), 200);
    let mut kept = Client::connect(proxy.address(0));
    for _ in 0..3 {
        let answer = kept.get("/");
        assert_eq!((answer.status(), answer.header("connection")), (200, None));
    }
    assert!(proxy.stop().success());
    let mut short = start(&format!("drain-delay = \"50ms\"\n{}", config("", &endpoints(&[&origin]))));
    assert!(short.stop().success());
    short.wait_for_log("what runs may finish");
}

/// A port below 1024 that nobody has.
fn low_port() -> u16 {
    (600..1000).rev().find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

#[test]
fn root_binds_and_is_root_no_more() {
    if !root() {
        return;
    }
    let origin = Origin::echo("a");
    let port = low_port();
    let with = |port: u16, rest: &str| {
        let listener = config("", &endpoints(&[&origin])).replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
        format!("workers = 2\nuser = \"nobody\"\ncache = \"FOLDER/cache\"\n{listener}{rest}")
    };
    let upgrade = "[upgrade]\nsocket = \"FOLDER/run/upgrade.sock\"\n";
    let folder = Proxy::folder_for(&with(port, upgrade), |folder| {
        for name in ["", "cache", "run"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
            std::os::unix::fs::chown(folder.join(name), Some(65534), Some(65534)).unwrap();
        }
    });
    let mut command = Command::new(program!());
    command.args(["run", "-c"]).arg(folder.path().join(FILE));
    let mut proxy = Proxy::run(Arc::clone(&folder), &mut command);
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    is_nobody(proxy.pid());
    // What it compiled belongs to whom it has become.
    assert!(std::fs::read_dir(folder.path().join("cache")).unwrap().count() > 0);
    assert!(!proxy.log_contains("no cache of compiled plugins"));
    // A second low port is out of reach now, and nothing changes.
    let more = format!("[[listener]]\naddress = \"127.0.0.1:{}\"\nupstream = \"api\"\n", low_port());
    let refused = proxy.change_config(&with(port, &format!("{upgrade}{more}"))).unwrap_err();
    assert!(
        refused.contains("Permission denied") && refused.contains("needs root when the process starts"),
        "{refused}"
    );
    assert_eq!(client::get(proxy.address(0), "/").status(), 200);
    // An upgrade by root has it.
    let mut next = proxy.upgrade(program!());
    assert!(proxy.exit_status().success());
    is_nobody(next.pid());
    for slot in 0..2 {
        assert_eq!(client::get(next.address(slot), "/").status(), 200);
    }
    assert!(next.stop().success());
}

/// Every thread of it, for good.
#[track_caller]
fn is_nobody(pid: u32) {
    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len() + 1..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("Uid"), ["65534"; 4]);
        assert_eq!(field("Gid"), ["65534"; 4]);
        assert!(field("Groups").iter().all(|group| group == "65534"), "{:?}", field("Groups"));
        for capabilities in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
            assert_eq!(field(capabilities), ["0000000000000000"], "{capabilities}");
        }
        assert_eq!(field("NoNewPrivs"), ["1"]);
        threads += 1;
    }
    // Two workers, the control side, the clock of the plugins.
    assert!(threads >= 4, "{threads}");
}

#[test]
fn who_is_not_root_becomes_nobody_else() {
    use std::os::unix::process::CommandExt;
    if !root() {
        return;
    }
    let origin = Origin::echo("a");
    let folder = Proxy::folder_for(&format!("user = \"nobody\"\n{}", config("", &endpoints(&[&origin]))), |_| {});
    std::os::unix::fs::chown(folder.path(), Some(1), Some(1)).unwrap();
    let mut command = Command::new(program!());
    command.args(["run", "-c"]).arg(folder.path().join(FILE)).uid(1).gid(1);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("uid 1 cannot become another user"), "{said}");
}
