//! Which route a request takes, and what routes do besides forwarding.

use jackfield_tests::{Client, Origin, Proxy, client};

use crate::{endpoints, start};

/// A listener with these routes to three origins, `a`, `b` and `c`.
struct Routed {
    proxy: Proxy,
    _origins: [Origin; 3],
}

fn routed(routes: &str) -> Routed {
    let origins = ["a", "b", "c"].map(Origin::echo);
    let upstreams: Vec<String> = ["a", "b", "c"]
        .iter()
        .zip(&origins)
        .map(|(name, origin)| format!("[upstream.{name}]\n{}\n", endpoints(&[origin])))
        .collect();
    let upstreams = upstreams.concat();
    let proxy = start(&format!("[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [\n{routes}\n]\n{upstreams}"));
    Routed { proxy, _origins: origins }
}

impl Routed {
    /// Origin and path; for other answers the status.
    #[track_caller]
    fn ask(&self, host: &str, first: &str, lines: &str) -> String {
        let mut client = Client::connect(self.proxy.address(0));
        let answer = client.ask(&format!("{first} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n"));
        if answer.status() != 200 {
            return answer.status().to_string();
        }
        let seen = answer.json();
        format!("{} {}", seen["origin"].as_str().unwrap(), seen["path"].as_str().unwrap())
    }
}

#[test]
fn by_host() {
    let routed = routed(
        "{ host = \"www.example.com\", upstream = \"a\" },\n{ host = \"*.example.com\", upstream = \"b\" },\n\
         { host = \"*.deep.example.com\", upstream = \"c\" },",
    );
    assert_eq!(routed.ask("www.example.com", "GET /", ""), "a /");
    assert_eq!(routed.ask("WWW.Example.COM:8080", "GET /", ""), "a /");
    assert_eq!(routed.ask("x.example.com", "GET /", ""), "b /");
    assert_eq!(routed.ask("x.y.example.com", "GET /", ""), "b /");
    assert_eq!(routed.ask("x.deep.example.com", "GET /", ""), "c /");
    assert_eq!(routed.ask("example.com", "GET /", ""), "404");
    assert_eq!(routed.ask("other", "GET /", ""), "404");
}

#[test]
fn by_path() {
    let routed = routed(
        "{ path = \"/exact\", upstream = \"a\" },\n{ path = \"/api/\", upstream = \"b\" },\n\
         { path = \"/api/v2/\", upstream = \"c\" },\n{ path = \"~ /users/[0-9]+\", upstream = \"c\" },",
    );
    assert_eq!(routed.ask("x", "GET /exact?q=1", ""), "a /exact?q=1");
    assert_eq!(routed.ask("x", "GET /exact/", ""), "404");
    assert_eq!(routed.ask("x", "GET /api", ""), "b /api");
    assert_eq!(routed.ask("x", "GET /api/anything/below", ""), "b /api/anything/below");
    assert_eq!(routed.ask("x", "GET /apix", ""), "404");
    assert_eq!(routed.ask("x", "GET /api/v2/x", ""), "c /api/v2/x");
    assert_eq!(routed.ask("x", "GET /users/42", ""), "c /users/42");
    assert_eq!(routed.ask("x", "GET /users/42/more", ""), "404");
}

#[test]
fn by_conditions_and_the_most_specific_wins() {
    let routed = routed(
        "{ path = \"/\", upstream = \"a\" },\n{ path = \"/\", methods = [\"POST\"], upstream = \"b\" },\n\
         { path = \"/\", headers = { x-tier = \"gold\" }, cookies = { beta = \"1\" }, upstream = \"c\" },\n\
         { path = \"/q/\", query = { debug = \"1\" }, upstream = \"b\" },\n\
         { path = \"/h/\", headers = { x-any = \"*\" }, upstream = \"c\" },",
    );
    assert_eq!(routed.ask("x", "GET /", ""), "a /");
    assert_eq!(routed.ask("x", "POST /", "content-length: 0\r\n"), "b /");
    assert_eq!(routed.ask("x", "GET /", "x-tier: gold\r\n"), "a /");
    assert_eq!(routed.ask("x", "GET /", "x-tier: gold\r\ncookie: alpha=2; beta=1\r\n"), "c /");
    assert_eq!(routed.ask("x", "POST /", "x-tier: gold\r\ncookie: beta=1\r\ncontent-length: 0\r\n"), "c /");
    assert_eq!(routed.ask("x", "GET /q/?a=b&debug=1", ""), "b /q/?a=b&debug=1");
    assert_eq!(routed.ask("x", "GET /q/?debug=2", ""), "a /q/?debug=2");
    assert_eq!(routed.ask("x", "GET /h/", "x-any:\r\n"), "c /h/");
    assert_eq!(routed.ask("x", "GET /h/", ""), "a /h/");
}

#[test]
fn redirects_responses_and_rewrites() {
    let routed = routed(
        "{ host = \"old.example\", redirect = \"https://new.example{path}{query}\" },\n\
         { path = \"/moved\", redirect = { status = 302, location = \"{scheme}://{host}/there\" } },\n\
         { path = \"/robots.txt\", respond = { headers = { content-type = \"text/plain\" }, body = \"none\" } },\n\
         { path = \"/teapot\", respond = { status = 418 } },\n\
         { path = \"/api/\", upstream = \"a\", rewrite = { prefix = \"/v2/\" } },\n\
         { path = \"~ /users/[0-9]+\", upstream = \"b\", rewrite = { regex = \"^/users/([0-9]+)$\", replacement = \"/u/$1\" } },",
    );
    let proxy = routed.proxy.address(0);
    let answer = client::get_with(proxy, "/a/b?c=d", &["host: old.example"]);
    assert_eq!((answer.status(), answer.header("location")), (308, Some("https://new.example/a/b?c=d")));
    let answer = client::get(proxy, "/moved");
    assert_eq!((answer.status(), answer.header("location")), (302, Some("http://test.example/there")));
    let answer = client::get(proxy, "/robots.txt");
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("none", Some("text/plain")));
    assert_eq!(client::get(proxy, "/teapot").status(), 418);
    let head = Client::connect(proxy).ask("HEAD /robots.txt HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((head.status(), head.header("content-length")), (200, Some("4")));
    assert_eq!(routed.ask("x", "GET /api/items?x=1", ""), "a /v2/items?x=1");
    assert_eq!(routed.ask("x", "GET /api", ""), "a /v2/");
    assert_eq!(routed.ask("x", "GET /users/7?y=2", ""), "b /u/7?y=2");
}

#[test]
fn a_body_that_no_route_wants_does_not_disturb_the_next_request() {
    let proxy = start("[[listener]]\naddress = \"127.0.0.1:0\"\nroutes = [{ respond = { body = \"own\" } }]\n");
    let mut client = Client::connect(proxy.address(0));
    for _ in 0..3 {
        let answer =
            client.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 29\r\n\r\nGET / HTTP/1.1\r\nhost: evil\r\n\r\n");
        assert_eq!(answer.text(), "own");
    }
}

#[test]
fn thousands_of_routes_are_found() {
    let origin = Origin::echo("a");
    let routes: Vec<String> = (0..3000)
        .map(|number| {
            format!(
                "{{ host = \"h{number}.example\", path = \"/p{number}/\", respond = {{ body = \"{number}\" }} }},\n"
            )
        })
        .collect();
    let routes = routes.concat();
    let proxy = start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\nroutes = [\n{routes}]\n[upstream.api]\n{}\n",
        endpoints(&[&origin])
    ));
    for number in [0, 1, 1499, 2999] {
        let host = format!("host: h{number}.example");
        assert_eq!(client::get_with(proxy.address(0), &format!("/p{number}/x"), &[&host]).text(), number.to_string());
        assert_eq!(client::get_with(proxy.address(0), "/other", &[&host]).json()["origin"], "a");
    }
}
