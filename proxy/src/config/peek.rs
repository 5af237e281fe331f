//! A first look at a configuration, before it can be checked: the checks need the log and the
//! cache of compiled plugins. What cannot be read here is reported by the checks.

use std::path::{Path, PathBuf};

use super::LogFormat;

pub struct FirstLook {
    pub log_level: String,
    pub log_format: LogFormat,
    pub cache: Option<PathBuf>,
}

pub fn peek(path: &Path) -> Option<FirstLook> {
    let text = std::fs::read_to_string(path).ok()?;
    let table: toml::Table = toml::from_str(&text).ok()?;
    let log = |key: &str| table.get("log")?.get(key)?.as_str();
    let folder = path.parent().unwrap_or(Path::new(""));
    Some(FirstLook {
        log_level: log("level").unwrap_or("info").to_owned(),
        log_format: if log("format") == Some("json") { LogFormat::Json } else { LogFormat::Text },
        cache: table.get("cache").and_then(|cache| cache.as_str()).map(|cache| folder.join(cache)),
    })
}
