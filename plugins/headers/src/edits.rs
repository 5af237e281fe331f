//! The settings of one direction, and the checked list of edits that they become.

use std::collections::BTreeMap;

use jackfield_plugin::prepared_edits::{self, Action, Prepared};

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
    /// As one that the proxy makes by itself, where it can.
    fn to_prepare(&self) -> Option<prepared_edits::Edit> {
        let (name, action) = match self {
            Self::Remove(name) => (name, Action::Remove),
            // It has a call of its own.
            Self::Set(name, _) if name == "host" => return None,
            Self::Set(name, value) => (name, Action::Set(value.alone()?)),
            Self::Append(name, value) => (name, Action::Append(value.alone()?)),
        };
        Some(prepared_edits::Edit::new(name, action))
    }
}

/// What is done with one call.
pub enum Step {
    /// Edits whose values the proxy knows.
    Prepared(Prepared),
    Edit(Edit),
}

/// Neighbours that the proxy can make by itself become one step, unless they are more than it keeps.
pub fn steps(edits: Vec<Edit>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut edits = edits.into_iter().peekable();
    while let Some(edit) = edits.next() {
        let Some(first) = edit.to_prepare() else {
            steps.push(Step::Edit(edit));
            continue;
        };
        let (mut run, mut prepared) = (vec![edit], vec![first]);
        while let Some(next) = edits.peek().and_then(Edit::to_prepare) {
            prepared.push(next);
            run.extend(edits.next());
        }
        match prepared_edits::prepare(&prepared) {
            Ok(prepared) => steps.push(Step::Prepared(prepared)),
            Err(_) => steps.extend(run.into_iter().map(Step::Edit)),
        }
    }
    steps
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
