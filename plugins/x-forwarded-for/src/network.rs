//! Networks, all as IPv6: IPv4 is mapped.

use std::net::IpAddr;
use std::str::FromStr;

use jackfield_plugin::Address;

#[derive(Debug)]
pub struct Network {
    bits: u128,
    mask: u128,
}

impl Network {
    #[inline]
    pub fn contains(&self, address: u128) -> bool {
        address & self.mask == self.bits
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text)
            .ok_or_else(|| format!("\"trusted\": \"{text}\" is no address or network, as 10.0.0.0/8 or 2001:db8::1"))
    }
}

fn parse(text: &str) -> Option<Network> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u32 = prefix.map_or(Some(width), |prefix| prefix.parse().ok())?;
    let host_bits = width.checked_sub(prefix)?;
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    Some(Network { bits: Address::from(address).to_bits() & mask, mask })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let network: Network = network.parse().unwrap();
        let contains = |text: &&str| network.contains(Address::from(text.parse::<IpAddr>().unwrap()).to_bits());
        assert!(inside.iter().all(contains) && !outside.iter().any(contains));
    }

    #[test]
    fn contain_what_they_say() {
        check("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"], &["11.0.0.0", "::a00:1"]);
        check("10.1.2.3/8", &["10.9.9.9"], &["9.9.9.9"]);
        check("192.0.2.1", &["192.0.2.1", "::ffff:192.0.2.1"], &["192.0.2.2"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.1.2.3"], &["::1", "2001:db8::1"]);
        check("::/0", &["::1", "10.0.0.1"], &[]);
        check("2001:db8::/32", &["2001:db8:ffff::"], &["2001:db9::"]);
        check("fe80::1", &["fe80::1"], &["fe80::2"]);
    }

    #[test]
    fn others_are_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "a/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!(
            "10.0.0/8".parse::<Network>().unwrap_err(),
            "\"trusted\": \"10.0.0/8\" is no address or network, as 10.0.0.0/8 or 2001:db8::1"
        );
    }
}
