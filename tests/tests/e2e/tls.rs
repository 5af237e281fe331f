//! TLS in front and to endpoints.

use std::path::Path;
use std::sync::Arc;

use jackfield_tests::origin::Speaks;
use jackfield_tests::{Authority, Client, Origin, Proxy, client, http2, program, tool};

use crate::{config, endpoints};

const TLS: &str =
    "tls = { certificates = [{ cert = \"a.pem\", key = \"a.key\" }, { cert = \"b.pem\", key = \"b.key\" }] }";

/// Certificates for `a.example` and, with all below it, `b.example`.
fn start(authority: &Authority, config: &str) -> Proxy {
    Proxy::start_with(program!(), config, |folder| {
        authority.certificate(&["a.example"]).write(folder, "a");
        authority.certificate(&["b.example", "*.b.example"]).write(folder, "b");
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    })
}

#[test]
fn alpn_chooses_http2_or_http1() {
    let (authority, origin) = (Authority::new(), Origin::echo("a"));
    let proxy = start(&authority, &config(&format!("filters = [\"x-forwarded-for\"]\n{TLS}"), &endpoints(&[&origin])));
    http2::block_on(async {
        let mut client = http2::connect_tls(proxy.address(0), "a.example", authority.client(&["h2", "http/1.1"])).await;
        let answer = http2::ask(&mut client, http2::get("/2")).await.json();
        assert_eq!(answer["headers"]["x-forwarded-proto"], "https");
    });
    assert_eq!(proxy.access_of("/2")["protocol"], "HTTP/2");
    let answer = https_get(&proxy, "a.example", &authority, &["http/1.1"], "/1");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let answer = https_get(&proxy, "a.example", &authority, &[], "/0");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// One request by HTTP/1.1 over TLS, and all that comes back.
fn https_get(proxy: &Proxy, name: &str, authority: &Authority, alpn: &[&str], path: &str) -> String {
    use std::io::{Read, Write};
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let tls = rustls::ClientConnection::new(authority.client(alpn), name).unwrap();
    let stream = std::net::TcpStream::connect(proxy.address(0)).unwrap();
    stream.set_read_timeout(Some(jackfield_tests::DEADLINE)).unwrap();
    let mut tls = rustls::StreamOwned::new(tls, stream);
    write!(tls, "GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = tls.read_to_string(&mut answer);
    answer
}

#[test]
fn the_server_name_picks_the_certificate() {
    let (authority, origin) = (Authority::new(), Origin::echo("a"));
    let proxy = start(&authority, &config(TLS, &endpoints(&[&origin])));
    for name in ["a.example", "b.example", "x.b.example"] {
        // The client verifies that the certificate has the name.
        assert!(https_get(&proxy, name, &authority, &[], "/").starts_with("HTTP/1.1 200 OK\r\n"), "{name}");
    }
}

/// What lies in the TLS library's own buffer counts as not taken too.
#[test]
fn a_client_that_takes_nothing_of_its_responses_is_left() {
    use std::io::Write;
    let authority = Authority::new();
    let body = "x".repeat(28_000);
    let listener =
        format!("idle-timeout = \"500ms\"\n{TLS}\nroutes = [{{ respond = {{ status = 200, body = {body:?} }} }}]");
    let config =
        format!("admin = {{ address = \"127.0.0.1:0\" }}\n[[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n");
    let proxy = start(&authority, &config);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&proxy.address(0).into()).unwrap();
    let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
    let tls = rustls::ClientConnection::new(authority.client(&[]), name).unwrap();
    let mut tls = rustls::StreamOwned::new(tls, std::net::TcpStream::from(socket));
    tls.write_all("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n".repeat(400).as_bytes()).unwrap();
    // By the address in the configuration.
    let active = r#"jackfield_connections_active{listener="127.0.0.1:0",protocol="http"}"#;
    proxy.wait_for_admin("/metrics", &format!("{active} 1\n"));
    proxy.wait_for_admin("/metrics", &format!("{active} 0\n"));
}

#[test]
fn curl_over_tls() {
    let Some(curl) = tool::tool("curl", "curl") else { return };
    let (authority, origin) = (Authority::new(), Origin::echo("a"));
    let proxy = start(&authority, &config(TLS, &endpoints(&[&origin])));
    let port = proxy.address(0).port();
    let ca = proxy.folder().join("ca.pem").display().to_string();
    let resolve = format!("x.b.example:{port}:127.0.0.1");
    let url = format!("https://x.b.example:{port}/");
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let shown = "%{http_version} %{http_code} %{ssl_verify_result}";
        let arguments = ["-sS", flag, "--cacert", &ca, "--resolve", &resolve, "-o", "/dev/null", "-w", shown, &url];
        assert_eq!(tool::run(&curl, &arguments), format!("{version} 200 0"));
    }
}

#[test]
fn cleartext_on_a_tls_port_disturbs_nobody() {
    let (authority, origin) = (Authority::new(), Origin::echo("a"));
    let proxy = start(&authority, &config(TLS, &endpoints(&[&origin])));
    let answer = client::exchange(proxy.address(0), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    assert!(https_get(&proxy, "a.example", &authority, &[], "/").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_handshake_that_does_not_come_is_closed() {
    let (authority, origin) = (Authority::new(), Origin::echo("a"));
    let tls = TLS.replace(" }] }", " }], handshake-timeout = \"200ms\" }");
    let proxy = start(&authority, &config(&tls, &endpoints(&[&origin])));
    assert_eq!(Client::connect(proxy.address(0)).rest(), "");
}

/// An origin with a certificate for `api.internal`, which speaks what ALPN says.
fn tls_origin(authority: &Authority, alpn: &[&str]) -> Origin {
    let tls = authority.certificate(&["api.internal"]).server(alpn);
    Origin::echo_speaking(Speaks { tls: Some(tls), ..Speaks::default() }, "tls")
}

/// What the origin behind TLS sees, or the status of another answer.
fn seen_behind(authority: &Authority, origin: &Origin, upstream: &str) -> String {
    let proxy = start(authority, &config("", &format!("{}\n{upstream}", endpoints(&[origin]))));
    let answer = client::get(proxy.address(0), "/");
    if answer.status() != 200 {
        let reason = proxy.access_of("/")["error"].as_str().unwrap_or_default().to_owned();
        return format!("{} {reason}", answer.status());
    }
    answer.json()["version"].as_str().unwrap().to_owned()
}

#[test]
fn endpoints_are_spoken_to_over_tls() {
    let authority = Authority::new();
    let both = tls_origin(&authority, &["h2", "http/1.1"]);
    let old = tls_origin(&authority, &[]);
    let tls = "tls = { ca = \"ca.pem\", server-name = \"api.internal\" }";
    assert_eq!(seen_behind(&authority, &both, tls), "HTTP/2.0");
    assert_eq!(seen_behind(&authority, &both, &format!("{tls}\nprotocol = \"http1\"")), "HTTP/1.1");
    assert_eq!(seen_behind(&authority, &both, &format!("{tls}\nprotocol = \"h2\"")), "HTTP/2.0");
    assert_eq!(seen_behind(&authority, &old, tls), "HTTP/1.1");
    let refused = seen_behind(&authority, &old, &format!("{tls}\nprotocol = \"h2\""));
    assert!(refused.starts_with("502 "), "{refused}");
}

#[test]
fn endpoints_must_prove_who_they_are() {
    let (authority, other) = (Authority::new(), Authority::new());
    let strange = tls_origin(&other, &[]);
    let refused = seen_behind(&authority, &strange, "tls = { ca = \"ca.pem\", server-name = \"api.internal\" }");
    assert!(refused.starts_with("502 no endpoint could be connected: invalid peer certificate"), "{refused}");
    let own = tls_origin(&authority, &[]);
    let refused = seen_behind(&authority, &own, "tls = { ca = \"ca.pem\", server-name = \"other.internal\" }");
    assert!(refused.starts_with("502 no endpoint could be connected: invalid peer certificate"), "{refused}");
    let unverified = seen_behind(&authority, &strange, "tls = { verify = false }");
    assert_eq!(unverified, "HTTP/1.1");
    let cleartext = Origin::echo("plain");
    let refused = seen_behind(&authority, &cleartext, "tls = { ca = \"ca.pem\" }");
    assert!(refused.starts_with("502 "), "{refused}");
}

/// A new certificate is taken with a reload; connections that are there go on.
#[test]
fn a_renewed_certificate_is_taken_with_a_reload() {
    let (authority, renewed, origin) = (Authority::new(), Authority::new(), Arc::new(Origin::echo("a")));
    let proxy = start(&authority, &config(TLS, &endpoints(&[&origin])));
    assert!(https_get(&proxy, "a.example", &authority, &[], "/").starts_with("HTTP/1.1 200 OK\r\n"));
    let folder: &Path = proxy.folder();
    renewed.certificate(&["a.example"]).write(folder, "a");
    proxy.reload().unwrap();
    assert!(https_get(&proxy, "a.example", &renewed, &[], "/").starts_with("HTTP/1.1 200 OK\r\n"));
}
