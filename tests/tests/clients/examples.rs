//! The folders of `examples`, as their READMEs say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::ScopedJoinHandle;

use jackfield_tests::tool::{Server, python};
use jackfield_tests::{Client, Message, Proxy, client, wait_until};

use crate::{free_port, start};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn the_configuration_of_every_example_is_right() {
    let mut checked = 0;
    for example in std::fs::read_dir(folder()).unwrap() {
        let example = example.unwrap().path();
        let config = example.join("jackfield.toml");
        if !config.is_file() {
            continue;
        }
        assert!(example.join("README.md").is_file(), "{}", example.display());
        let output = Command::new(jackfield_tests::program!()).args(["check", "-c"]).arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", config.display());
        checked += 1;
    }
    assert!(checked >= 2);
}

/// The example's configuration, where each of its ports has become another: the listener's and the
/// admin's any, an endpoint's the one given.
fn config_of(example: &str, ports: &BTreeMap<u16, u16>) -> String {
    let mut config = std::fs::read_to_string(folder().join(example).join("jackfield.toml")).unwrap();
    for port in [8080, 9901] {
        config = config.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0");
    }
    for (written, port) in ports {
        let all = config.replace(&format!("127.0.0.1:{written}"), &format!("127.0.0.1:{port}."));
        assert_ne!(all, config, "{example} has no endpoint {written}");
        config = all;
    }
    // The dot kept one that is free from being taken for one that is written.
    ports
        .values()
        .fold(config, |config, port| config.replace(&format!("127.0.0.1:{port}."), &format!("127.0.0.1:{port}")))
}

#[test]
fn quickstart() {
    let Some(python) = python() else { return };
    let ports: BTreeMap<u16, u16> = [5001, 5002].map(|written| (written, free_port())).into();
    let serve = |written: u16| {
        let mut command = Command::new(&python);
        command.args(["-m", "http.server", &ports[&written].to_string(), "--bind", "127.0.0.1"]);
        let server = Server::start(command.current_dir(folder().join("quickstart")));
        wait_until("the web server to listen", || {
            client::try_get(SocketAddr::from(([127, 0, 0, 1], ports[&written])), "/").is_ok()
        });
        server
    };
    let mut servers = [serve(5001), serve(5002)];
    let proxy = start(&config_of("quickstart", &ports));
    assert_eq!(client::get(proxy.address(0), "/hello").text(), "Hello from Jackfield.\n");
    let endpoints: Vec<String> = (0..6).map(|number| endpoint_of(&proxy, &format!("/README.md?{number}"))).collect();
    assert_ne!(endpoints[0], endpoints[1]);
    assert!(endpoints.iter().zip(&endpoints[2..]).all(|(one, after_next)| one == after_next), "{endpoints:?}");
    assert!(client::get(proxy.admin(), "/metrics").text().contains("jackfield_"));
    servers[0].kill();
    for number in 6..16 {
        assert!(endpoint_of(&proxy, &format!("/README.md?{number}")).ends_with(&ports[&5002].to_string()));
    }
}

/// Asks for this and answers which endpoint had it, as the access log says.
#[track_caller]
fn endpoint_of(proxy: &Proxy, path: &str) -> String {
    let answer = client::get(proxy.address(0), path);
    assert_eq!(answer.status(), 200);
    assert!(answer.text().starts_with("# Quickstart"));
    proxy.access_of(path)["endpoint"].as_str().unwrap().to_owned()
}

/// The five processes of the Flask prototype behind their configuration.
struct Flask {
    python: PathBuf,
    apps: BTreeMap<&'static str, (Server, u16)>,
    proxy: Proxy,
}

impl Flask {
    fn start() -> Option<Self> {
        let python = python()?;
        let names = [(5001, "api-1"), (5002, "api-2"), (5003, "api-3"), (5004, "images-1"), (5005, "images-2")];
        let ports = names.map(|(written, _)| (written, free_port()));
        let pairs = names.into_iter().zip(ports);
        let apps = pairs.map(|((_, name), (_, port))| (name, (app(&python, name, port), port))).collect();
        Some(Self { apps, proxy: start(&config_of("flask-prototype", &ports.into())), python })
    }

    fn ask(&self, request: &str) -> Message {
        let answer = Client::connect(self.proxy.address(0)).ask(request);
        assert!(answer.status() < 300, "{answer:?}");
        answer
    }

    /// How many of so many requests each process answered.
    fn spread(&self, path: &str, requests: usize) -> BTreeMap<String, usize> {
        let mut spread = BTreeMap::new();
        for _ in 0..requests {
            let answer = self.ask(&format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"));
            *spread.entry(answer.json()["name"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        spread
    }
}

/// A process that serves.
fn app(python: &Path, name: &str, port: u16) -> Server {
    let app = folder().join("flask-prototype/app.py");
    let server = Server::start(Command::new(python).arg(app).args([name, &port.to_string()]));
    server.log.wait(0, "that Flask runs", |line| line.contains("Running on http://127.0.0.1:"));
    server
}

fn counts<const N: usize>(pairs: [(&str, usize); N]) -> BTreeMap<String, usize> {
    pairs.map(|(name, count)| (name.to_owned(), count)).into()
}

#[test]
fn flask_answers_by_path_and_in_turn_and_sees_the_client() {
    let Some(flask) = Flask::start() else { return };
    assert_eq!(flask.spread("/api/items/1", 30), counts([("api-1", 10), ("api-2", 10), ("api-3", 10)]));
    assert_eq!(flask.spread("/images/a/cat.png", 30), counts([("images-1", 20), ("images-2", 10)]));

    let answer = flask.ask("GET /api/items/7?a=b HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 6.6.6.6\r\n\r\n");
    let seen = answer.json();
    assert_eq!(seen["x_forwarded_for"], "127.0.0.1");
    assert_eq!(seen["x_forwarded_proto"], "http");
    assert_eq!((&seen["client"], &seen["url"]), (&"127.0.0.1".into(), &"http://shop.example/api/items/7?a=b".into()));

    assert_eq!(client::get(flask.proxy.address(0), "/other").text(), "try /api/ or /images/\n");
    let body = "{\"name\":\"lamp\"}";
    let post = format!(
        "POST /api/items HTTP/1.1\r\nhost: shop.example\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = flask.ask(&post);
    assert_eq!((answer.status(), &answer.json()["created"]["name"]), (201, &"lamp".into()));
}

#[test]
fn killing_a_flask_process_loses_no_get() {
    let Some(mut flask) = Flask::start() else { return };
    let (answered, address) = (AtomicUsize::new(0), flask.proxy.address(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_often(address, &answered))).collect();
        wait_until("many answers", || {
            answered.load(SeqCst) >= 200 || clients.iter().any(ScopedJoinHandle::is_finished)
        });
        flask.apps.get_mut("api-2").unwrap().0.kill();
    });
    assert_eq!(answered.load(SeqCst), 800);
    flask.proxy.wait_for_log("endpoint is down");
    let after = flask.spread("/api/items/1", 30);
    assert!(!after.contains_key("api-2") && after.values().all(|count| *count >= 10), "{after:?}");
    // Started anew, it is asked again as soon as a health check finds it.
    let port = flask.apps["api-2"].1;
    flask.apps.insert("api-2", (app(&flask.python, "api-2", port), port));
    flask.proxy.wait_for_log("endpoint is up again");
    wait_until("the new process to be asked", || flask.spread("/api/items/1", 3).contains_key("api-2"));
}

/// GET after GET on one kept connection.
fn ask_often(address: SocketAddr, answered: &AtomicUsize) {
    let mut client = Client::connect(address);
    for _ in 0..200 {
        let answer = client.get("/api/items/1");
        assert_eq!(answer.status(), 200, "{answer:?}");
        answered.fetch_add(1, SeqCst);
    }
}
