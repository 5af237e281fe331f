//! What random text is made of: words that mean something to this plugin, as far as its settings and
//! cases tell, and such as have broken programs before.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue};

use super::dice::Dice;
use crate::config::{Case, Setup};
use crate::plugin::Exchange;

/// Names of headers that plugins read.
const NAMES: [&str; 22] = [
    "accept",
    "accept-encoding",
    "authorization",
    "cache-control",
    "content-type",
    "cookie",
    "cookie",
    "cookie",
    "etag",
    "forwarded",
    "location",
    "origin",
    "server",
    "set-cookie",
    "user-agent",
    "x-api-key",
    "x-canary",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

const ODD: [&str; 36] = [
    "",
    " ",
    "0",
    "-1",
    "1",
    "00",
    "1e999",
    "0x1f",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "NaN",
    "null",
    "true",
    "{}",
    "{\"a\":[1,{\"b\":null}]}",
    "[",
    "a=b; c=d; c=e",
    "=;=;==",
    ",,, ,",
    "\"quoted \\\" text\"",
    "%",
    "%00%ff%zz",
    "../../etc/passwd",
    "192.0.2.1, 10.0.0.1, unknown",
    "::ffff:192.0.2.1",
    "[::1]:80",
    "300.1.1.1/99",
    "Basic Og==",
    "Bearer ....",
    "ÀÉ ß ÿ",
    "\u{1F36A}\u{200D}\u{FEFF}",
    "\u{202e}right to left",
    "canary",
];

#[derive(Debug, Default)]
pub struct Words {
    /// Of this plugin.
    own: Vec<String>,
    /// Those of them that may be names of headers.
    names: Vec<HeaderName>,
    /// Cookies that it set: clients send them back.
    cookies: Vec<String>,
}

impl Words {
    pub fn of(setups: &[Setup], cases: &[Case]) -> Self {
        let mut words = BTreeSet::new();
        for setup in setups.iter().chain(cases.iter().map(|case| &case.setup)) {
            if let Ok(settings) = serde_json::from_str(&setup.settings) {
                collect(&settings, &mut words);
            }
        }
        for case in cases {
            let labels = case.step.endpoints.iter().flat_map(|endpoint| &endpoint.labels);
            words.extend(labels.flat_map(|(name, value)| [name.clone(), value.clone()]));
            for (name, value) in case.step.request.head.iter().flat_map(|head| &head.headers) {
                words.insert(name.to_string());
                words.extend(std::str::from_utf8(value.as_bytes()).map(str::to_owned));
            }
        }
        let own: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let names = own.iter().filter_map(|word| HeaderName::try_from(word.as_str()).ok()).collect();
        Self { own, names, cookies: Vec::new() }
    }

    /// The last cookies that a balancer left for the client.
    pub fn learn(&mut self, reply: &[(HeaderName, HeaderValue)]) {
        const MOST: usize = 64;
        let lines = reply.iter().filter(|(name, _)| name == http::header::SET_COOKIE);
        for line in lines.filter_map(|(_, value)| value.to_str().ok()) {
            let pair = line.split(';').next().unwrap_or_default();
            if !self.cookies.iter().any(|known| known == pair) {
                self.cookies.truncate(MOST - 1);
                self.cookies.insert(0, pair.to_owned());
            }
        }
    }

    pub fn header_value(&self, dice: &mut Dice, name: &HeaderName) -> Option<HeaderValue> {
        if name == http::header::COOKIE && !self.cookies.is_empty() && dice.percent(60) {
            return HeaderValue::from_str(dice.one::<String>(&self.cookies)).ok();
        }
        HeaderValue::from_bytes(&self.bytes(dice)).ok()
    }

    pub fn header_name(&self, dice: &mut Dice) -> HeaderName {
        match dice.below(10) {
            0..=3 if !self.names.is_empty() => dice.one(&self.names).clone(),
            0..=8 => HeaderName::from_static(NAMES[dice.below(NAMES.len())]),
            _ => {
                let name = format!("x-{}", "odd-".repeat(dice.size(200)));
                HeaderName::try_from(name).unwrap_or(http::header::ACCEPT)
            }
        }
    }

    /// Names and texts; a table has no key twice.
    pub fn pairs(&self, dice: &mut Dice, most: usize) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> =
            (0..dice.size(most)).map(|_| (self.name(dice), self.text(dice))).collect();
        pairs.sort();
        pairs.dedup_by(|one, other| one.0 == other.0);
        pairs.retain(|(name, text)| name.len() + text.len() <= Exchange::MAX_NOTE_BYTES);
        pairs
    }

    /// Of a label or a cookie.
    fn name(&self, dice: &mut Dice) -> String {
        match dice.below(10) {
            0..=5 if !self.own.is_empty() => dice.one(&self.own).clone(),
            0..=7 => (*dice.one(&["zone", "canary", "version", "jackfield", "a"])).to_owned(),
            _ => self.text(dice),
        }
    }

    pub fn text(&self, dice: &mut Dice) -> String {
        match dice.below(10) {
            0..=3 if !self.own.is_empty() => dice.one(&self.own).clone(),
            4 => (*dice.one(&["yes", "on", "1"])).to_owned(),
            5 => dice.one(&["x", "é", "%41", "a,", "(("]).repeat(dice.size(2_000)),
            6 => format!("{:016x}", dice.next()),
            _ => (*dice.one(&ODD)).to_owned(),
        }
    }

    /// What is allowed in a header, text or not.
    fn bytes(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = match dice.below(8) {
            0 => (0..dice.size(300)).map(|_| dice.next() as u8).collect(),
            1 => {
                let pairs = (0..=dice.size(20)).map(|_| format!("{}={}", self.name(dice), self.text(dice)));
                pairs.collect::<Vec<_>>().join(*dice.one(&["; ", ";", ", "])).into_bytes()
            }
            _ => self.text(dice).into_bytes(),
        };
        if dice.percent(5) && !bytes.is_empty() {
            let place = dice.below(bytes.len());
            bytes[place] = 0xff;
        }
        bytes.truncate(8 << 10);
        bytes.retain(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f));
        bytes
    }
}

fn collect(value: &serde_json::Value, words: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) => {
            words.insert(text.clone());
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, words)),
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
            words.insert(key.clone());
            collect(value, words);
        }),
        _ => {}
    }
}
