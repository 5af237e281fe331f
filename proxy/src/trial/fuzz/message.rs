//! Random requests and responses, such as the proxy hands to plugins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::dice::Dice;
use super::words::Words;
use crate::config::{Head, RequestGiven, ResponseGiven};
use crate::plugin::{Exchange, Protocol};

const MOST_HEADERS: usize = 100;

/// `l4`: perhaps not HTTP at all.
pub fn request(dice: &mut Dice, words: &Words, l4: bool) -> RequestGiven {
    let protocol = match dice.below(10) {
        0 if l4 => Protocol::Tcp,
        1 if l4 => Protocol::Udp,
        0..=3 => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let is_http = matches!(protocol, Protocol::Http1 | Protocol::Http2);
    let tls = protocol != Protocol::Udp && dice.percent(40);
    let sni = (tls && dice.percent(70)).then(|| match dice.below(4) {
        0 => "label.".repeat(dice.size(40)) + "example",
        1 => "xn--3ya.example".to_owned(),
        _ => "www.example.com".to_owned(),
    });
    RequestGiven { client: client(dice), protocol, tls, sni, head: is_http.then(|| head(dice, words)) }
}

/// As the proxy has them: IPv4 is never mapped.
fn client(dice: &mut Dice) -> SocketAddr {
    let ip = match dice.below(4) {
        0 => IpAddr::V6(Ipv6Addr::from_bits(u128::from(dice.next()) << 64 | u128::from(dice.next()))),
        1 => *dice.one(&[
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::BROADCAST),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ]),
        _ => IpAddr::V4(Ipv4Addr::from_bits(dice.next() as u32)),
    };
    SocketAddr::new(ip.to_canonical(), *dice.one(&[0, 1, 40_000, 65_535]))
}

fn head(dice: &mut Dice, words: &Words) -> Head {
    let method = *dice.one(&["GET", "GET", "POST", "HEAD", "OPTIONS", "PROPFIND", "X"]);
    Head {
        method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
        path: path(dice, words),
        host: HeaderValue::try_from(host(dice)).unwrap_or_else(|_| HeaderValue::from_static("a")),
        headers: headers(dice, words),
        notes: if dice.percent(10) { words.pairs(dice, Exchange::MAX_NOTES) } else { Vec::new() },
    }
}

fn path(dice: &mut Dice, words: &Words) -> PathAndQuery {
    let written = match dice.below(8) {
        0 => "/".to_owned(),
        1 => "//".repeat(1 + dice.size(500)),
        2 => format!("/{}", "%ff%00".repeat(dice.size(200))),
        3 => format!("/?{}", "a=b&&=&".repeat(dice.size(100))),
        4 => format!("/a/../b;c=d/.?{}", words.text(dice)),
        5 => format!("/{}", words.text(dice)),
        _ => "/api/items?page=2".to_owned(),
    };
    // Odd text may be more than a path can be.
    let path = PathAndQuery::try_from(written.as_str()).ok().filter(|_| !written.contains('#'));
    path.unwrap_or_else(|| PathAndQuery::from_static("/other"))
}

fn host(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => (*dice.one(&["", ":", "a:b:c", "[::1]:8080", "%41", "a..b.", "-", "192.0.2.1"])).to_owned(),
        1 => "Label.".repeat(dice.size(400)),
        2 => "WWW.EXAMPLE.COM:8443".to_owned(),
        _ => "www.example.com".to_owned(),
    }
}

fn headers(dice: &mut Dice, words: &Words) -> Vec<(HeaderName, HeaderValue)> {
    let count = dice.size(MOST_HEADERS);
    let line = |_| {
        let name = words.header_name(dice);
        words.header_value(dice, &name).map(|value| (name, value))
    };
    (0..count).filter_map(line).collect()
}

pub fn response(dice: &mut Dice, words: &Words) -> ResponseGiven {
    let status = match dice.below(4) {
        0 => dice.between(200, 599) as u16,
        1 => *dice.one(&[101, 204, 304, 503]),
        _ => 200,
    };
    ResponseGiven { status: StatusCode::from_u16(status).unwrap_or_default(), headers: headers(dice, words) }
}
