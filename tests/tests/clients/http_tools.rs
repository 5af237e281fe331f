//! h2load and curl: HTTP/2 by nghttp2.

use std::path::Path;

use jackfield_tests::tool::{run, tool};
use jackfield_tests::{Origin, origin};
use serde_json::Value;

use crate::{plain_and_tls, start_tls};

/// Two origins behind both listeners.
fn config(origins: &[Origin; 2]) -> String {
    plain_and_tls("", &format!("endpoints = [{}]", origin::endpoints(&[&origins[0], &origins[1]])))
}

#[test]
fn h2load_counts_no_failure() {
    let Some(h2load) = tool("h2load", "nghttp2-client") else { return };
    let origins = ["a", "b"].map(Origin::echo);
    let proxy = start_tls(&config(&origins));
    for url in [format!("http://{}/", proxy.address(0)), format!("https://{}/", proxy.address(1))] {
        let before = origins.each_ref().map(Origin::requests);
        let report = run(&h2load, &["-n", "2000", "-c", "10", "-m", "10", &url]);
        let all = "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(report.contains(all) && report.contains("2000 2xx, 0 3xx"), "{report}");
        let asked: Vec<usize> = origins.iter().zip(before).map(|(origin, before)| origin.requests() - before).collect();
        assert_eq!(asked, [1000, 1000]);
    }
}

/// Sends bodies, too, of which each is larger than a flow control window.
#[test]
fn h2load_uploads() {
    let Some(h2load) = tool("h2load", "nghttp2-client") else { return };
    let origins = ["a", "b"].map(Origin::echo);
    let proxy = start_tls(&config(&origins));
    let file = proxy.folder().join("body");
    std::fs::write(&file, vec![b'x'; 200_000]).unwrap();
    let url = format!("http://{}/", proxy.address(0));
    let report = run(&h2load, &["-n", "200", "-c", "4", "-m", "5", "-d", file.to_str().unwrap(), &url]);
    assert!(report.contains("200 succeeded, 0 failed, 0 errored"), "{report}");
    assert_eq!(origins.iter().map(Origin::requests).sum::<usize>(), 200);
}

/// What the origin saw of the request, and the version that curl spoke.
fn curl(program: &Path, arguments: &[&str]) -> (Value, String) {
    let common = ["-sS", "--fail", "-w", "\n%{http_version}"];
    let output = run(program, &[&common, arguments].concat());
    let (body, version) = output.rsplit_once('\n').unwrap();
    (serde_json::from_str(body).unwrap(), version.to_owned())
}

#[test]
fn curl_by_prior_knowledge_and_by_alpn() {
    let Some(program) = tool("curl", "curl") else { return };
    let origins = ["a", "b"].map(Origin::echo);
    let proxy = start_tls(&config(&origins));
    let plain = format!("http://{}/plain?x=1", proxy.address(0));
    let (seen, version) = curl(&program, &["--http2-prior-knowledge", &plain]);
    assert_eq!((version.as_str(), &seen["path"]), ("2", &"/plain?x=1".into()));

    let port = proxy.address(1).port();
    let (ca, secure) = (proxy.folder().join("ca.pem"), format!("https://test.example:{port}/tls"));
    let resolve = format!("test.example:{port}:127.0.0.1");
    let trust = ["--cacert", ca.to_str().unwrap(), "--resolve", &resolve];
    let (seen, version) = curl(&program, &[&trust[..], &["--http2", "-d", "a=b", &secure]].concat());
    assert_eq!((version.as_str(), &seen["method"], &seen["body"]), ("2", &"POST".into(), &"a=b".into()));
    let (seen, version) = curl(&program, &[&trust[..], &["--http1.1", &secure]].concat());
    assert_eq!((version.as_str(), &seen["headers"]["host"]), ("1.1", &format!("test.example:{port}").into()));
}
