use super::*;
use jackfield_plugin::mock::{self, Host};

const CLIENT: &str = "203.0.113.9";
const ALL: &str = r#""x-real-ip": true, "forwarded": true"#;

/// What the endpoint sees of the five headers after a request with these.
fn seen(settings: &str, client: &str, is_tls: bool, headers: &[(&str, &str)]) -> Vec<String> {
    let mut host = Host { client: client.parse().unwrap(), is_tls, ..Host::default() };
    for (name, value) in headers {
        host = host.header(name, value);
    }
    host.install();
    let mut plugin = XForwardedFor::configure(&format!("{{{settings}}}")).unwrap();
    plugin.on_request(&mock::host(|host| host.filter_context()));
    let names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded"];
    let all = |name: &&str| mock::host(|host| host.values(name).join(" | "));
    names.iter().map(all).collect()
}

const SPOOFED: [(&str, &str); 5] = [
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-real-ip", "6.6.6.6"),
    ("forwarded", "for=6.6.6.6"),
];

#[test]
fn a_fresh_request_is_described() {
    let expected = [CLIENT, "http", "example.com", "", ""];
    assert_eq!(seen("", CLIENT, false, &[]), expected);
    let element = "for=203.0.113.9;host=example.com;proto=https";
    let expected = [CLIENT, "https", "example.com", CLIENT, element];
    assert_eq!(seen(ALL, CLIENT, true, &[]), expected);
}

#[test]
fn from_strangers_everything_is_replaced() {
    let element = "for=203.0.113.9;host=example.com;proto=http";
    let expected = [CLIENT, "http", "example.com", CLIENT, element];
    assert_eq!(seen(ALL, CLIENT, false, &SPOOFED), expected);
    let elsewhere = format!(r#"{ALL}, "trusted": ["10.0.0.0/8", "::1"]"#);
    assert_eq!(seen(&elsewhere, CLIENT, false, &SPOOFED), expected);
}

#[test]
fn from_trusted_proxies_lists_grow_and_the_rest_is_kept() {
    let trusted = format!(r#"{ALL}, "trusted": ["203.0.113.0/24"]"#);
    let element = "for=6.6.6.6, for=203.0.113.9;host=example.com;proto=http";
    let list = "6.6.6.6, 203.0.113.9";
    let expected = [list, "https", "evil.example", "6.6.6.6", element];
    assert_eq!(seen(&trusted, CLIENT, false, &SPOOFED), expected);
    // And what they did not say is said here.
    let element = "for=203.0.113.9;host=example.com;proto=http";
    let expected = [CLIENT, "http", "example.com", CLIENT, element];
    assert_eq!(seen(&trusted, CLIENT, false, &[]), expected);
}

#[test]
fn several_lines_become_one_list() {
    let lines = [("x-forwarded-for", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "3.3.3.3")];
    let seen = seen(r#""trusted": ["::/0"]"#, "2001:db8::7", false, &lines);
    assert_eq!(seen[0], "1.1.1.1, 2.2.2.2, 3.3.3.3, 2001:db8::7");
}

#[test]
fn what_is_switched_off_is_left_as_it_came() {
    let off = r#""x-forwarded-for": false, "x-forwarded-proto": false, "x-forwarded-host": false"#;
    let expected: Vec<&str> = SPOOFED.iter().map(|(_, value)| *value).collect();
    assert_eq!(seen(off, CLIENT, false, &SPOOFED), expected);
}

#[test]
fn ipv6_is_bare_in_lists_and_quoted_in_forwarded() {
    let seen = seen(ALL, "2001:db8::7", false, &[("host", "example.com:8080")]);
    let element = "for=\"[2001:db8::7]\";host=\"example.com:8080\";proto=http";
    assert_eq!(seen, ["2001:db8::7", "http", "example.com:8080", "2001:db8::7", element]);
}

#[test]
fn without_a_host_a_strangers_word_for_it_does_not_pass() {
    let host = Host { host: None, ..Host::default().header("x-forwarded-host", "evil.example") };
    host.install();
    let mut plugin = XForwardedFor::configure("{}").unwrap();
    plugin.on_request(&mock::host(|host| host.filter_context()));
    assert!(mock::host(|host| host.values("x-forwarded-host").is_empty()));
}

#[test]
fn one_call_is_made() {
    Host::default().install();
    let mut plugin = XForwardedFor::configure("{}").unwrap();
    Host::default().header("host", "example.com").header("x-forwarded-for", "6.6.6.6").install();
    plugin.on_request(&mock::host(|host| host.filter_context()));
    assert_eq!(mock::host(|host| host.calls), 1);
}

#[test]
fn wrong_settings_are_explained() {
    let refused = |settings| XForwardedFor::configure(settings).err().unwrap();
    assert_eq!(
        refused(r#"{"trusted": ["10.0.0.0/8", "localhost"]}"#),
        "\"trusted\": \"localhost\" is no address or network, as 10.0.0.0/8 or 2001:db8::1"
    );
    assert_eq!(
        refused(r#"{"colour": []}"#),
        r#"unknown setting "colour"; there are "trusted", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded""#
    );
}

/// The twin: the whole rule for `X-Forwarded-For` on plain lists of text.
#[test]
fn is_a_plain_list() {
    let mut plugin = XForwardedFor::configure(r#"{"trusted": ["10.0.0.0/9"]}"#).unwrap();
    let mut random = mock::Random::new(53);
    for _ in 0..100_000 {
        let octet = |random: &mut mock::Random| random.below(256) as u8;
        let client = [10, octet(&mut random), octet(&mut random), octet(&mut random)];
        let came: Vec<String> = (0..random.below(3)).map(|i| format!("1.2.3.{i}")).collect();
        let mut host = Host { client: client.into(), ..Host::default() };
        for value in &came {
            host = host.header("x-forwarded-for", value);
        }
        host.install();
        plugin.on_request(&mock::host(|host| host.filter_context()));
        let mut expected = if client[1] < 128 { came } else { Vec::new() };
        expected.push(format!("10.{}.{}.{}", client[1], client[2], client[3]));
        let seen = mock::host(|host| host.values("x-forwarded-for"));
        assert_eq!(seen, [expected.join(", ")]);
    }
}
