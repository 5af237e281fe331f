//! Endpoints that the traffic itself convicts.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};

use http::Response;
use jackfield_tests::origin::full;
use jackfield_tests::raw::nobody;
use jackfield_tests::{Client, Origin, Proxy, RawOrigin, client, wait_until};
use serde_json::Value;

use crate::{config, endpoint, endpoints, start};

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

/// Answers with its name, and the status of the moment.
fn settable(name: &'static str, status: u16) -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let now = Arc::clone(&status);
    let origin = Origin::start(move |_| {
        let status = now.load(SeqCst);
        async move { Response::builder().status(status).body(full(name)).unwrap() }
    });
    (origin, status)
}

fn balanced(outlier: &str, endpoints: &str) -> Proxy {
    start(&format!("workers = 2\n{ADMIN}{}", config("", &format!("outlier = {{ {outlier} }}\n{endpoints}"))))
}

fn shown(proxy: &Proxy, position: usize) -> Value {
    client::get(proxy.admin(), "/upstreams").json()[0]["endpoints"][position].clone()
}

fn statuses(proxy: &Proxy, requests: usize) -> Vec<u16> {
    (0..requests).map(|_| client::get(proxy.address(0), "/").status()).collect()
}

/// The seconds of each ejection so far.
fn ejections(proxy: &Proxy) -> Vec<f64> {
    let lines = proxy.log_lines();
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["message"] == "endpoint is ejected")
        .map(|line| line["seconds"].as_f64().unwrap())
        .collect()
}

#[test]
fn five_errors_in_a_row_take_an_endpoint_out() {
    let ((good, _), (bad, _), (other, _)) = (settable("a", 200), settable("b", 500), settable("c", 404));
    let proxy = balanced("ejection-time = \"1h\", jitter = 0", &endpoints(&[&good, &bad, &other]));
    wait_until("the ejection", || {
        statuses(&proxy, 3);
        !ejections(&proxy).is_empty()
    });
    assert_eq!(ejections(&proxy), [3600.0]);
    let asked = bad.requests();
    assert!(asked >= 5, "{asked} requests");
    assert!(statuses(&proxy, 30).iter().all(|status| [200, 404].contains(status)));
    assert_eq!(bad.requests(), asked);
    let endpoint = shown(&proxy, 1);
    assert_eq!((&endpoint["state"], &endpoint["ejected"]["cause"]), (&"unhealthy".into(), &"consecutive-5xx".into()));
    assert!(endpoint["ejected"]["seconds_left"].as_f64().unwrap() > 3500.0);
    let labels = format!("upstream=\"api\",endpoint=\"{}\"", bad.address());
    proxy.wait_for_admin("/metrics", &format!("jackfield_endpoint_ejected{{{labels}}} 1\n"));
    proxy.wait_for_admin("/metrics", &format!("jackfield_endpoint_healthy{{{labels}}} 0\n"));
    let ejected = "jackfield_outlier_ejections_total{upstream=\"api\",cause=\"consecutive-5xx\"} 1\n";
    proxy.wait_for_admin("/metrics", ejected);
    // A reload, and even one that changes the rules, does not bring it back; one without rules does.
    proxy.reload().unwrap();
    assert!(statuses(&proxy, 6).iter().all(|status| [200, 404].contains(status)));
    proxy.change_config(&format!("{ADMIN}{}", config("", &endpoints(&[&good, &bad, &other])))).unwrap();
    wait_until("it to be asked", || statuses(&proxy, 3).contains(&500));
}

#[test]
fn an_ejection_ends_and_the_next_one_is_longer() {
    let ((good, _), (bad, status)) = (settable("a", 200), settable("b", 500));
    let rules = "consecutive-5xx = 2, ejection-time = \"1s\", jitter = 0, interval = \"1h\"";
    let proxy = balanced(rules, &endpoints(&[&good, &bad]));
    wait_until("two ejections", || {
        statuses(&proxy, 2);
        ejections(&proxy).len() == 2
    });
    assert_eq!(ejections(&proxy), [1.0, 2.0]);
    proxy.wait_for_log("endpoint is no longer ejected");
    status.store(200, SeqCst);
    let before = bad.requests();
    wait_until("it to be back", || {
        statuses(&proxy, 2);
        bad.requests() > before
    });
    assert_eq!(shown(&proxy, 1)["ejected"], Value::Null);
    assert_eq!(ejections(&proxy).len(), 2);
}

#[test]
fn who_refuses_connections_is_ejected_and_asked_no_more() {
    let (good, _) = settable("a", 200);
    let dead = nobody();
    let upstream = format!("endpoints = [\"{}\", \"{dead}\"]", good.address());
    let proxy = balanced("ejection-time = \"1h\"", &upstream);
    wait_until("the ejection", || {
        assert_eq!(statuses(&proxy, 2), [200, 200]);
        !ejections(&proxy).is_empty()
    });
    assert_eq!(shown(&proxy, 1)["ejected"]["cause"], "consecutive-gateway");
    let tries = shown(&proxy, 1)["requests"].clone();
    assert_eq!(statuses(&proxy, 20), [200; 20]);
    assert_eq!(shown(&proxy, 1)["requests"], tries);
}

#[test]
fn who_does_not_answer_in_time_is_ejected() {
    let silent = RawOrigin::start(|mut connection| while connection.request().is_some() {});
    let (good, _) = settable("a", 200);
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [{ upstream = \"api\", timeout = \"200ms\" }]\n";
    let outlier = "outlier = { consecutive-gateway = 2, ejection-time = \"1h\" }";
    let endpoints = format!("endpoints = [\"{}\", \"{}\"]", good.address(), silent.address());
    let proxy = start(&format!("{ADMIN}{listener}[upstream.api]\n{outlier}\n{endpoints}\n"));
    wait_until("the ejection", || {
        assert!(statuses(&proxy, 2).contains(&200));
        !ejections(&proxy).is_empty()
    });
    assert_eq!(shown(&proxy, 1)["ejected"]["cause"], "consecutive-gateway");
    assert_eq!(statuses(&proxy, 10), [200; 10]);
}

/// 500 is the endpoint's own; 503 may be said by a proxy on the way.
#[test]
fn only_failures_of_the_gateways_kind_count_as_such() {
    let ((good, _), (bad, status)) = (settable("a", 200), settable("b", 500));
    let rules = "consecutive-5xx = 0, consecutive-gateway = 3, ejection-time = \"1h\"";
    let proxy = balanced(rules, &endpoints(&[&good, &bad]));
    let failed = statuses(&proxy, 30).iter().filter(|status| **status == 500).count();
    assert_eq!(failed, 15);
    status.store(503, SeqCst);
    wait_until("the ejection", || {
        statuses(&proxy, 2);
        !ejections(&proxy).is_empty()
    });
    assert_eq!(shown(&proxy, 1)["ejected"]["cause"], "consecutive-gateway");
    assert!(bad.requests() >= 15 + 3, "{}", bad.requests());
}

/// Never enough in a row, but worse than all the others.
#[test]
fn who_fails_more_often_than_the_rest_is_ejected() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let flaky = Origin::start(move |_| {
        let fails = count.fetch_add(1, SeqCst).is_multiple_of(3);
        async move { Response::builder().status(if fails { 500 } else { 200 }).body(full("")).unwrap() }
    });
    let good: Vec<Origin> = (0..5).map(|_| settable("good", 200).0).collect();
    let all: Vec<&Origin> = good.iter().chain([&flaky]).collect();
    let rules = "interval = \"500ms\", ejection-time = \"1h\", success-rate = { min-requests = 5 }";
    let proxy = balanced(rules, &endpoints(&all));
    let mut client = Client::connect(proxy.address(0));
    wait_until("the ejection", || {
        (0..60).for_each(|_| drop(client.get("/")));
        !ejections(&proxy).is_empty()
    });
    assert_eq!(shown(&proxy, 5)["ejected"]["cause"], "success-rate");
    assert!((0..5).all(|position| shown(&proxy, position)["ejected"] == Value::Null));
    assert_eq!(statuses(&proxy, 30), [200; 30]);
}

#[test]
fn no_more_than_its_share_is_ejected() {
    let (good, _) = settable("a", 200);
    let bad: Vec<Origin> = (0..3).map(|_| settable("bad", 500).0).collect();
    let all: Vec<&Origin> = [&good].into_iter().chain(&bad).collect();
    let proxy = balanced("ejection-time = \"1h\", max-ejected = 0.5", &endpoints(&all));
    let spared = || {
        let page = client::get(proxy.admin(), "/metrics").text();
        !page.contains("jackfield_outlier_spared_total{upstream=\"api\"} 0\n")
    };
    wait_until("two ejections, and one that is spared", || {
        statuses(&proxy, 4);
        ejections(&proxy).len() == 2 && spared()
    });
    let failed = statuses(&proxy, 20).iter().filter(|status| **status == 500).count();
    assert_eq!(failed, 10, "one good, one bad endpoint is left");
    assert_eq!(ejections(&proxy).len(), 2);
}

/// Whom nobody could replace is better than nobody.
#[test]
fn the_last_one_stays() {
    let (bad, _) = settable("a", 500);
    let proxy = balanced("consecutive-5xx = 2, max-ejected = 1", &endpoint(bad.address()));
    assert_eq!(statuses(&proxy, 20), [500; 20]);
    assert_eq!(ejections(&proxy), [0.0; 0]);
}

#[test]
fn tcp_connections_convict_too() {
    let good = Origin::echo("a");
    let upstream =
        format!("outlier = {{ ejection-time = \"1h\" }}\nendpoints = [\"{}\", \"{}\"]", good.address(), nobody());
    let proxy = start(&format!("{ADMIN}{}", config("protocol = \"tcp\"", &upstream)));
    wait_until("the ejection", || {
        assert_eq!(client::get(proxy.address(0), "/").status(), 200);
        !ejections(&proxy).is_empty()
    });
    assert_eq!(shown(&proxy, 1)["ejected"]["cause"], "consecutive-gateway");
}

/// Where nobody listens, ICMP says so; the client's datagram goes to the next endpoint meanwhile.
#[test]
fn udp_endpoints_convict_too() {
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream =
        format!("outlier = {{ ejection-time = \"1h\" }}\nendpoints = [\"{}\", \"{dead}\"]", echo.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut bytes = [0; 100];
        while let Ok((count, from)) = echo.recv_from(&mut bytes) {
            let _ = echo.send_to(&bytes[..count], from);
        }
    });
    let proxy = start(&format!("{ADMIN}{}", config("protocol = \"udp\"", &upstream)));
    wait_until("the ejection", || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(jackfield_tests::DEADLINE)).unwrap();
        client.send_to(b"ping", proxy.address(0)).unwrap();
        assert_eq!(client.recv(&mut [0; 100]).unwrap(), 4);
        !ejections(&proxy).is_empty()
    });
    assert_eq!(shown(&proxy, 1)["ejected"]["cause"], "consecutive-gateway");
}
