//! Addresses as text, without allocation, and the element of RFC 7239.

use std::fmt::{self, Write};
use std::net::IpAddr;

/// The longest IPv6 address, with an IPv4 address at its end, has 45 characters.
const LONGEST: usize = 45;

pub struct Text {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Text {
    #[inline]
    pub fn of(ip: IpAddr) -> Self {
        let mut text = Self { bytes: [0; LONGEST], len: 0 };
        match ip {
            // The formatting machinery would take ten times as long.
            IpAddr::V4(ip) => {
                let [first, rest @ ..] = ip.octets();
                text.push_decimal(first);
                for octet in rest {
                    text.push(b'.');
                    text.push_decimal(octet);
                }
            }
            IpAddr::V6(ip) => {
                let _ = write!(text, "{ip}");
            }
        }
        text
    }

    #[inline]
    pub fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        str::from_utf8(written).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn push_decimal(&mut self, octet: u8) {
        if octet >= 100 {
            self.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.push(b'0' + octet / 10 % 10);
        }
        self.push(b'0' + octet % 10);
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

/// One element of `Forwarded` (RFC 7239, section 4). What is not a token is quoted, so an IPv6
/// address, in brackets (section 6), and a host with a port; a host that no quotes could hold is left out.
pub fn forwarded(address: &str, host: Option<&str>, proto: &str) -> String {
    let mut element = String::from("for=");
    if address.contains(':') {
        element.extend(["\"[", address, "]\""]);
    } else {
        element.push_str(address);
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match host {
        None | Some("") => {}
        Some(host) if host.bytes().all(token) => {
            element.extend([";host=", host]);
        }
        Some(host) if host.bytes().all(|byte| token(byte) || b":[]".contains(&byte)) => {
            element.extend([";host=\"", host, "\""]);
        }
        Some(_) => {}
    }
    element.extend([";proto=", proto]);
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::Random;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn is_what_the_standard_library_writes() {
        let mut random = Random::new(47);
        for _ in 0..100_000 {
            let bits = u128::from(random.next()) << 64 | u128::from(random.next());
            let sparse = bits & u128::from(random.next()) << (random.below(4) * 32);
            let v4 = Ipv4Addr::from_bits(random.next() as u32);
            for ip in [IpAddr::V4(v4), Ipv6Addr::from_bits(bits).into(), Ipv6Addr::from_bits(sparse).into()] {
                assert_eq!(Text::of(ip).as_str(), ip.to_string());
            }
        }
        let longest: IpAddr = "::ffff:255.255.255.255".parse().unwrap();
        assert_eq!(Text::of(longest).as_str(), "::ffff:255.255.255.255");
    }

    #[test]
    fn elements_are_quoted_where_they_must_be() {
        let check = |address, host, expected| {
            assert_eq!(forwarded(address, host, "http"), expected);
        };
        check("192.0.2.60", Some("example.com"), "for=192.0.2.60;host=example.com;proto=http");
        check(
            "2001:db8:cafe::17",
            Some("example.com:8080"),
            "for=\"[2001:db8:cafe::17]\";host=\"example.com:8080\";proto=http",
        );
        check("192.0.2.60", None, "for=192.0.2.60;proto=http");
        check("192.0.2.60", Some("a\";for=evil"), "for=192.0.2.60;proto=http");
        check("192.0.2.60", Some(""), "for=192.0.2.60;proto=http");
    }
}
