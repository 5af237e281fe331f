//! The settings of one direction, and the checked list of edits that they become.

use std::collections::BTreeMap;

use crate::template::Template;

#[derive(serde::Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Edits {
    set: BTreeMap<String, String>,
    append: BTreeMap<String, Lines>,
    remove: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "a value to append must be a text or a list of texts")]
enum Lines {
    One(String),
    Many(Vec<String>),
}

pub enum Edit {
    Remove(String),
    Set(String, Template),
    Append(String, Template),
}

impl Edit {
    pub fn name(&self) -> &str {
        match self {
            Self::Remove(name) | Self::Set(name, _) | Self::Append(name, _) => name,
        }
    }
}

/// Framing and connection headers, which the proxy alone writes.
const FORBIDDEN: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

impl Edits {
    /// In the order in which they are done. `part` is what they are of.
    pub fn check(self, part: &str) -> Result<Vec<Edit>, String> {
        let mut edits = Vec::new();
        for name in self.remove {
            edits.push(Edit::Remove(checked_name(&name, part, false)?));
        }
        for (name, value) in self.set {
            let can_be_host = part == "request";
            edits.push(Edit::Set(checked_name(&name, part, can_be_host)?, Template::parse(&value)?));
        }
        for (name, lines) in self.append {
            let name = checked_name(&name, part, false)?;
            let lines = match lines {
                Lines::One(line) => vec![line],
                Lines::Many(lines) => lines,
            };
            for line in lines {
                edits.push(Edit::Append(name.clone(), Template::parse(&line)?));
            }
        }
        Ok(edits)
    }
}

fn checked_name(name: &str, part: &str, can_be_host: bool) -> Result<String, String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{part}: \"{name}\" is no header name: letters, digits and !#$%&'*+-.^_`|~ only"));
    }
    let name = name.to_ascii_lowercase();
    if FORBIDDEN.contains(&name.as_str()) {
        return Err(format!("{part}: \"{name}\" is the proxy's own to write"));
    }
    if name == "host" && !can_be_host {
        return Err(format!("{part}: \"host\" can only be set, and of the request only"));
    }
    Ok(name)
}
