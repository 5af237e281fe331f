//! `jackfield plugin new`: a folder with a small plugin that builds and passes its cases at once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

include!(concat!(env!("OUT_DIR"), "/templates.rs"));

#[derive(Args)]
pub struct NewArguments {
    /// What it is called, in the configuration too
    name: String,
    #[arg(long)]
    lang: Language,
    #[arg(long)]
    kind: Kind,
    /// Where the new folder goes
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    path: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Rust,
    Go,
    Js,
    Ts,
    Python,
    C,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Balancer,
    HttpFilter,
}

impl Language {
    /// As a template's folder has it.
    fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Js => "js",
            Self::Ts => "ts",
            Self::Python => "python",
            Self::C => "c",
        }
    }

    /// What the language's runtime imports, whatever the plugin does: `QuickJS` and `CPython` all of their
    /// world.
    fn grants(self) -> &'static [&'static str] {
        match self {
            Self::Go => &["clock", "random"],
            Self::Js | Self::Ts => &["clock", "random", "log"],
            Self::Python => &["log"],
            Self::Rust | Self::C => &[],
        }
    }
}

impl Kind {
    /// The world of the contract; templates' folders are called so too.
    fn world(self) -> &'static str {
        match self {
            Self::Balancer => "balancer",
            Self::HttpFilter => "http-filter",
        }
    }
}

pub fn run(arguments: &NewArguments) -> anyhow::Result<ExitCode> {
    check_name(&arguments.name)?;
    let files = files(arguments)?;
    let folder = arguments.path.join(&arguments.name);
    let place = || folder.display().to_string();
    fs::create_dir_all(&arguments.path).with_context(|| arguments.path.display().to_string())?;
    if folder.exists() {
        bail!("{} is there already; choose another name, or another place with --path", place());
    }
    fs::create_dir(&folder).with_context(place)?;
    for (file, text) in &files {
        write(&folder.join(file), text)?;
    }
    println!("{}:", place());
    for file in files.keys() {
        println!("  {file}");
    }
    println!("README.md says how to build it. It passes its cases as it is.");
    Ok(ExitCode::SUCCESS)
}

/// It becomes the name of a folder, a file, a package, and a use in the configuration.
fn check_name(name: &str) -> anyhow::Result<()> {
    const LONGEST: usize = 64;
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !fits || !name.starts_with(|first: char| first.is_ascii_alphabetic()) || name.len() > LONGEST {
        bail!(
            "{name:?} is no name for a plugin: letters, digits and - only, {LONGEST} at most, beginning with a letter"
        );
    }
    Ok(())
}

/// Path and text of each file. A file that several templates have is joined of them, in their order.
fn files(arguments: &NewArguments) -> anyhow::Result<BTreeMap<String, String>> {
    let (language, kind) = (arguments.lang.folder(), arguments.kind.world());
    let own = format!("{language}-{kind}");
    if !TEMPLATES.iter().any(|(template, ..)| *template == own) {
        bail!(
            "there is no template for a {kind} in {language} yet; examples/plugins/{language} has plugins to begin with"
        );
    }
    let mut files = BTreeMap::<String, String>::new();
    for wanted in ["all", kind, language, &own] {
        for (_, file, text) in TEMPLATES.iter().filter(|(template, ..)| *template == wanted) {
            files.entry((*file).to_owned()).or_default().push_str(&filled_in(text, arguments));
        }
    }
    Ok(files)
}

fn filled_in(text: &str, arguments: &NewArguments) -> String {
    let names: Vec<String> = arguments.lang.grants().iter().map(|grant| format!("{grant:?}")).collect();
    let grants = format!("grants = [{}]", names.join(", "));
    let (line, part) = if names.is_empty() {
        (String::new(), String::new())
    } else {
        (format!("# The language's runtime imports them.\n{grants}\n"), format!(", {grants}"))
    };
    let text = text.replace("{{name}}", &arguments.name).replace("{{kind}}", arguments.kind.world());
    text.replace("{{grants}}", &line).replace("{{granted}}", &part)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let place = || file.display().to_string();
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(place)?;
    }
    fs::write(file, text).with_context(place)?;
    if file.extension().is_some_and(|extension| extension == "sh") {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).with_context(place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_everywhere() {
        for good in ["a", "first", "Sticky-2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "2nd", "a b", "a_b", "a/b", "..", "ä", &"a".repeat(65)] {
            let error = check_name(bad).unwrap_err().to_string();
            assert!(error.contains("is no name for a plugin"), "{error}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for lang in Language::value_variants() {
            for kind in Kind::value_variants() {
                let arguments = NewArguments { name: "first".into(), lang: *lang, kind: *kind, path: ".".into() };
                let Ok(files) = files(&arguments) else { continue };
                for needed in ["README.md", "build.sh", "cases.toml", "wit/jackfield.wit", ".gitignore"] {
                    assert!(files.contains_key(needed), "{} has no {needed}", lang.folder());
                }
                for (file, text) in files {
                    assert!(!text.contains("{{") || file.starts_with("wit/"), "{file}: {text}");
                }
            }
        }
    }
}
