use super::*;
use jackfield_plugin::mock::{self, Host, Random};

/// Runs both phases on a request and a response that have `x-old: 1` and `x-more: a`.
fn run(settings: &str) {
    let old = [("x-old", "1"), ("x-more", "a")].map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()));
    let mut host = Host {
        headers: old.to_vec(),
        path: Some("/a/b".to_owned()),
        client: "2001:db8::1".parse().unwrap(),
        ..Host::default()
    };
    host.response.headers = old.to_vec();
    host.install();
    let mut plugin = Headers::configure(settings).unwrap();
    let context = mock::host(|host| host.filter_context());
    plugin.on_request(&context);
    plugin.on_response(&context);
}

fn of_request(name: &str) -> Vec<String> {
    mock::host(|host| host.values(name))
}

#[test]
fn both_directions_are_edited() {
    let edits = r#"{"remove": ["X-Old"], "set": {"x-new": "2"}, "append": {"x-more": ["b", "c"]}}"#;
    run(&format!(r#"{{"request": {edits}, "response": {edits}}}"#));
    for values in [Host::values, Host::response_values] {
        let values = |name| mock::host(|host| values(host, name));
        assert!(values("x-old").is_empty());
        assert_eq!(values("x-new"), ["2"]);
        assert_eq!(values("x-more"), ["a", "b", "c"]);
    }
}

#[test]
fn variables_are_filled_in() {
    run(r#"{"request": {"set": {
        "x-all": "{method} {host}{path} for {client-address}, {{{request-id}}}",
        "x-old": "{{}}",
        "host": "inner.{host}"
    }}}"#);
    let id = "0123456789abcdef0123456789abcdef";
    assert_eq!(of_request("x-all"), [format!("GET inner.example.com/a/b for 2001:db8::1, {{{id}}}")]);
    assert_eq!(of_request("x-old"), ["{}"]);
    assert_eq!(mock::host(|host| host.host.clone()).unwrap(), "inner.example.com");
}

#[test]
fn only_the_phases_in_use_are_asked_for() {
    let phases = |settings| Headers::configure(settings).unwrap().phases().bits();
    assert_eq!(phases("{}"), Phases::empty().bits());
    assert_eq!(phases(r#"{"request": {"remove": ["a"]}}"#), Phases::REQUEST.bits());
    assert_eq!(phases(r#"{"response": {"set": {"a": "b"}}}"#), Phases::RESPONSE.bits());
}

#[test]
fn a_value_that_no_header_can_hold_is_left_out_without_a_word() {
    let mut plugin = Headers::configure(r#"{"request": {"set": {"a": "{path}"}}}"#).unwrap();
    let host = Host { path: Some("/\r\nx: y".to_owned()), ..Host::default() };
    host.install();
    plugin.on_request(&mock::host(|host| host.filter_context()));
    assert!(of_request("a").is_empty());
    assert_eq!(mock::host(|host| host.log.len()), 0);
}

#[test]
fn what_the_proxy_knows_takes_one_call() {
    let edits = r#"{"remove": ["x-old"],
        "set": {"x-fixed": "{{2}}", "x-from": "{client-address}", "x-id": "{request-id}"},
        "append": {"x-more": ["b", "c"]}}"#;
    let mut plugin = Headers::configure(&format!(r#"{{"request": {edits}}}"#)).unwrap();
    Host::default().header("x-old", "1").header("x-more", "a").install();
    let context = mock::host(|host| host.filter_context());
    plugin.on_request(&context);
    assert_eq!(mock::host(|host| host.calls), 1);
    assert_eq!(of_request("x-old"), [""; 0]);
    assert_eq!(of_request("x-fixed"), ["{2}"]);
    assert_eq!(of_request("x-from"), ["192.0.2.1"]);
    assert_eq!(of_request("x-id"), ["0123456789abcdef0123456789abcdef"]);
    assert_eq!(of_request("x-more"), ["a", "b", "c"]);
}

/// Edits are done in their order, however they are done.
#[test]
fn others_stand_between_them() {
    run(r#"{"request": {"set": {"a": "1", "b": "{path}", "c": "2", "host": "inner"}, "append": {"b": "3"}}}"#);
    assert_eq!([of_request("a"), of_request("b"), of_request("c")], [vec!["1"], vec!["/a/b", "3"], vec!["2"]]);
    assert_eq!(mock::host(|host| host.host.clone()).unwrap(), "inner");
}

#[test]
fn wrong_settings_are_explained() {
    let check = |settings, expected: &str| {
        assert_eq!(Headers::configure(settings).err().unwrap(), expected);
    };
    check(
        r#"{"request": {"set": {"a b": "c"}}}"#,
        "request: \"a b\" is no header name: letters, digits and !#$%&'*+-.^_`|~ only",
    );
    check(
        r#"{"response": {"remove": ["Content-Length"]}}"#,
        "response: \"content-length\" is the proxy's own to write",
    );
    check(r#"{"response": {"set": {"host": "a"}}}"#, "response: \"host\" can only be set, and of the request only");
    check(
        r#"{"request": {"set": {"a": "{adress}"}}}"#,
        "unknown variable {adress}; there are {client-address}, {host}, {method}, {path}, {request-id}",
    );
    check(r#"{"request": {"set": {"a": "b}"}}}"#, "\"b}\" has an odd brace; write {{ or }} for one");
    check(r#"{"request": {"append": {"a": "b\nc"}}}"#, r#""b\nc" contains '\n', which no header can"#);
    check(r#"{"request": {"append": {"a": 1}}}"#, "a value to append must be a text or a list of texts");
    check(r#"{"requests": {}}"#, r#"unknown setting "requests"; did you mean "request"?"#);
}

/// The twin: plain replacement of text, for values that are made of random pieces.
#[test]
fn is_plain_replacement() {
    const PIECES: [(&str, &str); 7] = [
        ("{host}", "example.com"),
        ("{method}", "GET"),
        ("{path}", "/"),
        ("{client-address}", "192.0.2.1"),
        ("{{", "{"),
        ("}}", "}"),
        ("text é", "text é"),
    ];
    let mut random = Random::new(59);
    Host::default().install();
    let context = mock::host(|host| host.filter_context());
    let mut buffer = String::new();
    for _ in 0..100_000 {
        let pieces: Vec<_> = (0..random.below(6)).map(|_| PIECES[random.below(7) as usize]).collect();
        let written: String = pieces.iter().map(|piece| piece.0).collect();
        let expected: String = pieces.iter().map(|piece| piece.1).collect();
        let template = template::Template::parse(&written).unwrap();
        assert_eq!(template.fill(&context, &mut buffer), expected);
    }
}
