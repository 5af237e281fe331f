//! The default filters, as the origin and the client see them.

use jackfield_tests::{Origin, client};
use serde_json::{Value, json};

use crate::{config, endpoints, start};

/// What the origin sees of a request with these lines, behind this filter.
fn seen(filter: &str, lines: &[&str]) -> Value {
    let origin = Origin::echo("a");
    let proxy = start(&config(&format!("filters = [{filter}]"), &endpoints(&[&origin])));
    client::get_with(proxy.address(0), "/", lines).json()["headers"].clone()
}

const FORGED: [&str; 5] = [
    "x-forwarded-for: 6.6.6.6",
    "x-forwarded-proto: gopher",
    "x-forwarded-host: evil.example",
    "x-real-ip: 6.6.6.6",
    "forwarded: for=6.6.6.6",
];

#[test]
fn x_forwarded_for_replaces_what_strangers_claim() {
    let all = "{ plugin = \"x-forwarded-for\", settings = { x-real-ip = true, forwarded = true } }";
    let expected = json!({
        "host": "test.example",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "test.example",
        "x-real-ip": "127.0.0.1",
        "forwarded": "for=127.0.0.1;host=test.example;proto=http",
    });
    assert_eq!(seen(all, &[]), expected);
    assert_eq!(seen(all, &FORGED), expected);
}

#[test]
fn x_forwarded_for_appends_to_what_trusted_proxies_say() {
    let trusting = "{ plugin = \"x-forwarded-for\", settings = { trusted = [\"127.0.0.0/8\"] } }";
    let headers = seen(trusting, &FORGED);
    assert_eq!(headers["x-forwarded-for"], "6.6.6.6, 127.0.0.1");
    assert_eq!(
        (&headers["x-forwarded-proto"], &headers["x-forwarded-host"]),
        (&"gopher".into(), &"evil.example".into())
    );
    assert_eq!((&headers["x-real-ip"], &headers["forwarded"]), (&"6.6.6.6".into(), &"for=6.6.6.6".into()));
    let headers = seen(trusting, &["x-forwarded-for: 1.1.1.1", "x-forwarded-for: 2.2.2.2"]);
    assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 127.0.0.1");
}

#[test]
fn headers_are_set_appended_and_removed_with_variables() {
    let origin = Origin::echo("a");
    let filter = r#"filters = [{ plugin = "headers", settings = {
        request = { remove = ["x-secret"], set = { x-client = "{client-address}", x-id = "{request-id}" }, append = { x-list = "{method} {path}" } },
        response = { remove = ["content-type"], set = { x-host = "{host}", x-braces = "{{}}" }, append = { vary = ["a", "b"] } },
    } }]"#
        .replace("\n        ", " ")
        .replace(",\n    } }]", " } }]");
    let proxy = start(&config(&filter, &endpoints(&[&origin])));
    let answer =
        client::get_with(proxy.address(0), "/p?q", &["x-secret: s", "x-client: forged", "x-list: 0", "vary: no"]);
    let seen = answer.json();
    let headers = &seen["headers"];
    assert_eq!((&headers["x-secret"], &headers["x-client"]), (&Value::Null, &"127.0.0.1".into()));
    assert_eq!(headers["x-list"], json!(["0", "GET /p"]));
    assert_eq!((answer.header("content-type"), answer.header("x-host")), (None, Some("test.example")));
    assert_eq!((answer.header("x-braces"), answer.head.all("vary")), (Some("{}"), vec!["a", "b"]));
    let again = client::get(proxy.address(0), "/p?q").json()["headers"]["x-id"].clone();
    let id = headers["x-id"].as_str().unwrap();
    assert!(!id.is_empty() && again != id, "{id} {again}");
    assert_eq!(proxy.wait_for_access("the id", |line| line["id"] == id)["path"], "/p?q");
}

#[test]
fn filters_of_the_listener_run_before_those_of_the_route_and_see_the_response_after_them() {
    let origin = Origin::echo("a");
    let append = |mark: &str| {
        format!(
            "{{ plugin = \"headers\", settings = {{ request = {{ append = {{ x-way = \"{mark}\" }} }}, \
             response = {{ append = {{ x-way = \"{mark}\" }} }} }} }}"
        )
    };
    let proxy = start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nfilters = [{}, {}]\nroutes = [{{ upstream = \"api\", filters = [{}] }}]\n\
         [upstream.api]\n{}\n",
        append("1"),
        append("2"),
        append("3"),
        endpoints(&[&origin])
    ));
    let answer = client::get(proxy.address(0), "/");
    assert_eq!(answer.json()["headers"]["x-way"], json!(["1", "2", "3"]));
    assert_eq!(answer.head.all("x-way"), ["3", "2", "1"]);
}
