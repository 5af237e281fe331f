//! The router against a naive walk over all routes that reads like the documented order.

use std::cmp::Reverse;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, Method, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::config::{HostMatch, PathMatch, Place, RouteAction, RouteMatch, ValueMatch};

fn route(matches: RouteMatch) -> Route {
    Route {
        matches,
        filters: Vec::new(),
        action: RouteAction::Forward { upstream: 0, rewrite: None },
        timeout: Duration::from_secs(1),
        name: "test".into(),
        place: Place::default(),
    }
}

fn at(host: HostMatch, path: &str) -> Route {
    let path = match path.strip_prefix("~ ") {
        Some(pattern) => PathMatch::Regex(pattern.to_owned()),
        None if path.ends_with('/') => PathMatch::Prefix(path.to_owned()),
        None => PathMatch::Exact(path.to_owned()),
    };
    route(RouteMatch { host, path, ..RouteMatch::default() })
}

fn exact(host: &str) -> HostMatch {
    HostMatch::Exact(host.to_owned())
}

fn wildcard(suffix: &str) -> HostMatch {
    HostMatch::Wildcard(suffix.to_owned())
}

fn get(path: &str) -> Parts {
    Request::get(path).body(()).unwrap().into_parts().0
}

#[track_caller]
fn check(routes: &[Route], host: &str, path: &str, expected: Option<(usize, usize)>) {
    let found = Router::new(routes).unwrap().find(Some(host), &get(path));
    assert_eq!(found, expected.map(|(index, matched)| Found { index, matched }), "{host} {path}");
}

#[test]
fn the_most_specific_path_wins() {
    let paths = ["/", "/api/", "/api/users", "/api/users/", "~ /api/.*", "~ .*\\.png"];
    let routes: Vec<Route> = paths.map(|path| at(HostMatch::Any, path)).into();
    for (path, index, matched) in [
        ("/api/users", 2, 10),
        ("/api/users/", 3, 10),
        ("/api/users/7", 3, 10),
        ("/api", 1, 4),
        ("/api/", 1, 4),
        ("/api/x.png", 1, 4),
        ("/apis", 0, 0),
        ("/x.png", 5, 6),
        ("/", 0, 0),
        ("//api/", 0, 0),
        ("/api?x=/users", 1, 4),
        ("*", 0, 0),
    ] {
        check(&routes, "h", path, Some((index, matched)));
    }
    check(&routes[1..], "h", "/x.png", Some((4, 6)));
    check(&routes[1..], "h", "/x.pngs", None);
}

#[test]
fn the_most_specific_host_wins_and_the_next_one_helps_out() {
    let routes = [
        at(HostMatch::Any, "/"),
        at(wildcard("example.com"), "/wild/"),
        at(wildcard("b.example.com"), "/wild/deep/"),
        at(exact("a.b.example.com"), "/exact"),
        at(exact("::1"), "/six"),
    ];
    for (host, path, index) in [
        ("a.b.example.com", "/exact", 3),
        ("A.B.Example.com.:8080", "/exact", 3),
        ("a.b.example.com", "/wild/deep/x", 2),
        ("a.b.example.com", "/wild/x", 1),
        ("a.b.example.com", "/else", 0),
        ("example.com", "/wild/x", 0),
        (".example.com", "/wild/x", 0),
        ("badexample.com", "/wild/x", 0),
        ("[::1]:80", "/six", 4),
    ] {
        let found = Router::new(&routes).unwrap().find(Some(host), &get(path));
        assert_eq!(found.map(|found| found.index), Some(index), "{host} {path}");
    }
    assert_eq!(Router::new(&routes).unwrap().find(None, &get("/exact")).unwrap().index, 0);
}

#[test]
fn more_conditions_come_first_and_failed_ones_fall_through() {
    let plain = at(HostMatch::Any, "/a/");
    let mut gets = plain.clone();
    gets.matches.methods = vec![Method::GET];
    let mut tier = gets.clone();
    tier.matches.headers = vec![(HeaderName::from_static("x-tier"), ValueMatch::Exact("gold".to_owned()))];
    let mut posts = at(HostMatch::Any, "/a/b");
    posts.matches.methods = vec![Method::POST];
    let router = Router::new(&[plain, gets, tier, posts]).unwrap();
    let find = |request: http::request::Builder| router.find(None, &request.body(()).unwrap().into_parts().0).unwrap();
    assert_eq!(find(Request::get("/a/b").header("x-tier", "gold")).index, 2);
    assert_eq!(find(Request::head("/a/b").header("x-tier", "tin")).index, 1);
    assert_eq!(find(Request::put("/a/b")).index, 0);
    assert_eq!(find(Request::post("/a/b")).index, 3);
}

#[test]
fn a_bad_pattern_names_its_route() {
    let routes = [at(HostMatch::Any, "/"), at(HostMatch::Any, "~ )(")];
    assert_eq!(Router::new(&routes).unwrap_err().index, 1);
    let comment = [at(HostMatch::Any, "~ (?x) /a # all")];
    check(&comment, "h", "/a", Some((0, 2)));
}

/// The documented order, one route at a time.
fn naive(routes: &[Route], host: &str, request: &Parts) -> Option<usize> {
    let path = request.uri.path();
    let fits = |(_, route): &(usize, &Route)| {
        let host_fits = match &route.matches.host {
            HostMatch::Any => true,
            HostMatch::Exact(name) => name == host,
            HostMatch::Wildcard(suffix) => {
                host.strip_suffix(suffix.as_str()).is_some_and(|left| left.len() > 1 && left.ends_with('.'))
            }
        };
        let path_fits = match &route.matches.path {
            PathMatch::Exact(exact) => path == exact,
            PathMatch::Prefix(prefix) => path.starts_with(prefix) || path == &prefix[..prefix.len() - 1],
            PathMatch::Regex(pattern) => regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(path),
        };
        host_fits && path_fits && Conditions::new(&route.matches).hold(request)
    };
    // Where a pattern is written for the first time, all of its routes stand.
    let first = |this: &Route| {
        let same = |route: &Route| route.matches.host == this.matches.host && route.matches.path == this.matches.path;
        routes.iter().position(same)
    };
    let rank = |(index, route): &(usize, &Route)| {
        let host = match &route.matches.host {
            HostMatch::Exact(_) => (0, Reverse(0)),
            HostMatch::Wildcard(suffix) => (1, Reverse(suffix.len())),
            HostMatch::Any => (2, Reverse(0)),
        };
        let path = match &route.matches.path {
            PathMatch::Exact(_) => (0, Reverse(0), None),
            PathMatch::Prefix(prefix) if prefix == "/" => (3, Reverse(0), None),
            PathMatch::Prefix(prefix) => (1, Reverse(prefix.len()), None),
            PathMatch::Regex(_) => (2, Reverse(0), first(route)),
        };
        (host, path, Reverse(Conditions::new(&route.matches).count()), *index)
    };
    routes.iter().enumerate().filter(fits).min_by_key(rank).map(|(index, _)| index)
}

fn any_value() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![Just(ValueMatch::Present), select(vec!["1", "2"]).prop_map(|text| ValueMatch::Exact(text.to_owned()))]
}

fn any_route() -> impl Strategy<Value = Route> {
    let hosts = vec![HostMatch::Any, exact("a.b.c"), exact("b.c"), wildcard("c"), wildcard("b.c"), wildcard("a.b.c")];
    let paths = vec!["/", "/a", "/a/", "/a/b", "/a/b/", "/b/", "//", "/a//", "~ /a.*", "~ .*/b", "~ .*", "~ /[ab]/?"];
    let methods = subsequence(vec![Method::GET, Method::POST], 0..=2);
    let pairs = || vec((select(vec!["x", "y"]), any_value()), 0..2);
    (select(hosts), select(paths), methods, pairs(), pairs(), pairs()).prop_map(
        |(host, path, methods, headers, cookies, query)| {
            let owned = |pairs: Vec<(&str, ValueMatch)>| {
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            };
            let mut route = at(host, path);
            route.matches.methods = methods;
            route.matches.headers =
                headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)).collect();
            route.matches.cookies = owned(cookies);
            route.matches.query = owned(query);
            route
        },
    )
}

fn any_request() -> impl Strategy<Value = (&'static str, Parts)> {
    let hosts = select(vec!["a.b.c", "b.c", "c", "z.a.b.c", "other"]);
    let methods = select(vec![Method::GET, Method::HEAD, Method::POST, Method::PUT]);
    let path = vec(select(vec!["/", "/a", "/b", "/ab"]), 1..4).prop_map(|parts| parts.concat());
    let value = || proptest::option::of(select(vec!["1", "2"]));
    (hosts, methods, path, value(), value(), value()).prop_map(|(host, method, path, header, cookie, query)| {
        let query = query.map(|value| format!("?x={value}")).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(format!("{path}{query}"));
        if let Some(value) = header {
            request = request.header("x", value);
        }
        if let Some(value) = cookie {
            request = request.header("cookie", format!("y={value}"));
        }
        // A path that begins with two slashes is still a path.
        (host, request.body(()).unwrap().into_parts().0)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn the_router_agrees_with_a_naive_walk(routes in vec(any_route(), 0..24), (host, request) in any_request()) {
        let found = Router::new(&routes).unwrap().find(Some(host), &request);
        prop_assert_eq!(found.map(|found| found.index), naive(&routes, host, &request));
    }
}
