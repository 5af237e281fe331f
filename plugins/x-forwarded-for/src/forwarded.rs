//! The element of the `Forwarded` header.

/// RFC 7239, section 4: what is not a token is quoted, so an IPv6
/// address, in brackets (section 6), and a host with a port; a host that no quotes could hold is left out.
pub fn element(address: &str, host: Option<&str>, proto: &str) -> String {
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

    #[test]
    fn elements_are_quoted_where_they_must_be() {
        let check = |address, host, expected| {
            assert_eq!(element(address, host, "http"), expected);
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
