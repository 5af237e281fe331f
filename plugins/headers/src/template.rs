//! Values with variables.

use std::fmt::Write;

use jackfield_plugin::prepared_edits::Value;
use jackfield_plugin::{FilterContext, request};

pub struct Template(Vec<Part>);

enum Part {
    Text(String),
    Variable(Variable),
}

#[derive(Clone, Copy)]
enum Variable {
    ClientAddress,
    Host,
    Method,
    Path,
    RequestId,
}

const VARIABLES: [(&str, Variable); 5] = [
    ("client-address", Variable::ClientAddress),
    ("host", Variable::Host),
    ("method", Variable::Method),
    ("path", Variable::Path),
    ("request-id", Variable::RequestId),
];

impl Template {
    pub fn parse(value: &str) -> Result<Self, String> {
        if let Some(char) = value.chars().find(|char| char.is_control() && *char != '\t') {
            return Err(format!("{value:?} contains {char:?}, which no header can"));
        }
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = value;
        while let Some(brace) = rest.find(['{', '}']) {
            text += &rest[..brace];
            rest = &rest[brace..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                text += &rest[..1];
                rest = &rest[2..];
            } else {
                let (variable, after) = parse_variable(rest, value)?;
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Variable(variable));
                rest = after;
            }
        }
        parts.push(Part::Text(text + rest));
        Ok(Self(parts))
    }

    /// The value, if it is the same for all requests or one that the proxy knows. Its host has the port,
    /// and `{host}` has none.
    pub fn alone(&self) -> Option<Value> {
        match self.0.as_slice() {
            [Part::Text(text)] => Some(Value::Text(text.clone())),
            [Part::Text(before), Part::Variable(variable), Part::Text(after)]
                if before.is_empty() && after.is_empty() =>
            {
                match variable {
                    Variable::ClientAddress => Some(Value::ClientAddress),
                    Variable::RequestId => Some(Value::RequestId),
                    Variable::Host | Variable::Method | Variable::Path => None,
                }
            }
            _ => None,
        }
    }

    /// The value for the current request, in `buffer` unless it is always the same.
    pub fn fill<'a>(&'a self, context: &FilterContext, buffer: &'a mut String) -> &'a str {
        if let [Part::Text(constant)] = self.0.as_slice() {
            return constant;
        }
        buffer.clear();
        for part in &self.0 {
            match part {
                Part::Text(text) => buffer.push_str(text),
                Part::Variable(variable) => variable.write(context, buffer),
            }
        }
        buffer
    }
}

/// The variable at the beginning of `rest`, and what follows it.
fn parse_variable<'a>(rest: &'a str, value: &str) -> Result<(Variable, &'a str), String> {
    let inner = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
    let Some((name, after)) = inner else {
        return Err(format!("\"{value}\" has an odd brace; write {{{{ or }}}} for one"));
    };
    let known = VARIABLES.iter().find(|(known, _)| *known == name);
    let Some((_, variable)) = known else {
        let all = VARIABLES.map(|(known, _)| format!("{{{known}}}")).join(", ");
        return Err(format!("unknown variable {{{name}}}; there are {all}"));
    };
    Ok((*variable, after))
}

impl Variable {
    fn write(self, context: &FilterContext, buffer: &mut String) {
        let text = match self {
            Self::ClientAddress => {
                let _ = write!(buffer, "{}", context.client.to_ip());
                return;
            }
            Self::Host => request::host(),
            Self::Method => request::method(),
            Self::Path => request::path(),
            Self::RequestId => Some(request::id()),
        };
        buffer.push_str(text.as_deref().unwrap_or_default());
    }
}
