//! The settings of one use of a plugin: a JSON object, read with serde.

use serde::de::DeserializeOwned;

/// Reads the settings into a type that derives `Deserialize` with `deny_unknown_fields`. The error
/// says what would be right, in the operator's words.
///
/// ```
/// #[derive(serde::Deserialize)]
/// #[serde(rename_all = "kebab-case", deny_unknown_fields)]
/// struct Settings {
///     #[serde(default)]
///     table_size: u32,
/// }
/// let error = jackfield_plugin::settings::parse::<Settings>(r#"{"tabel-size": 7}"#).err();
/// assert_eq!(error.unwrap(), r#"unknown setting "tabel-size"; did you mean "table-size"?"#);
/// ```
pub fn parse<T: DeserializeOwned>(settings: &str) -> Result<T, String> {
    let settings = if settings.trim().is_empty() { "{}" } else { settings };
    serde_json::from_str(settings).map_err(|error| explain(&error.to_string()))
}

/// For a plugin that has no settings: accepts `{}` only.
pub fn none(settings: &str) -> Result<(), String> {
    let mut written = settings.chars().filter(|char| !char.is_whitespace());
    match (written.next(), written.next(), written.next()) {
        (None, ..) | (Some('{'), Some('}'), None) => Ok(()),
        _ => Err("this plugin has no settings; leave them out".to_owned()),
    }
}

/// Serde's message in the words of the configuration, without the position: that of a line of JSON
/// that the operator never wrote.
fn explain(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    let mut quoted = message.split('`');
    match (quoted.next(), quoted.next()) {
        (Some(what @ ("unknown field " | "unknown variant ")), Some(name)) => {
            let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
            let what = if what == "unknown field " { "setting" } else { "value" };
            unknown(what, name, &known)
        }
        (Some("missing field "), Some(name)) => format!("the setting \"{name}\" is missing"),
        _ => message.replace('`', "\""),
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|key| strsim::osa_distance(name, key));
    match nearest {
        None => format!("unknown {what} \"{name}\"; there are none"),
        Some(key) if strsim::osa_distance(name, key) <= 2.max(name.len() / 3) => {
            format!("unknown {what} \"{name}\"; did you mean \"{key}\"?")
        }
        Some(_) => format!("unknown {what} \"{name}\"; there are \"{}\"", known.join("\", \"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Settings {
        #[serde(rename = "table-size")]
        _table_size: u32,
        #[serde(default, rename = "hash-key")]
        _hash_key: String,
    }

    #[track_caller]
    fn check(settings: &str, expected: &str) {
        assert_eq!(parse::<Settings>(settings).unwrap_err(), expected);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        check(r#"{"table-size": 1, "hashkey": 2}"#, r#"unknown setting "hashkey"; did you mean "hash-key"?"#);
        check(r#"{"colour": 2}"#, r#"unknown setting "colour"; there are "table-size", "hash-key""#);
        check("{}", r#"the setting "table-size" is missing"#);
        check(r#"{"table-size": "7"}"#, r#"invalid type: string "7", expected u32"#);
    }

    #[test]
    fn no_settings_means_none() {
        assert_eq!(none(" { } "), Ok(()));
        assert_eq!(none(""), Ok(()));
        assert!(none(r#"{"a":1}"#).is_err());
    }
}
