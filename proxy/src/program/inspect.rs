//! `jackfield plugin inspect FILE`: what a plugin is, what it needs, and whether a configuration
//! grants it that.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::config::{self, Config, KnownPlugin, Need, PluginKind, need};
use crate::control;
use crate::plugin::{Engine, Inspection, Library, LoadError, Plugin};

pub fn run(file: &Path, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let engine = super::engine(config.and_then(|config| control::cache_folder(config, None)))?;
    let inspection = Plugin::inspect(&engine, &wasm).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    print(file, wasm.len(), &inspection);
    let mut fits = inspection.problem().is_none();
    if let Some(config) = config {
        let name = file.file_stem().and_then(|stem| stem.to_str()).context("the file has no name")?;
        match configured(config, name, &inspection, &engine) {
            Ok(config) => fits &= print_uses(&config, name, &inspection),
            Err(problems) => {
                eprintln!("{problems}");
                return Ok(ExitCode::from(super::BAD_CONFIG));
            }
        }
    }
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(file: &Path, size: usize, inspection: &Inspection) {
    let kinds: Vec<&str> = inspection
        .kinds
        .iter()
        .map(|kind| match kind {
            PluginKind::Balancer => "balancer",
            PluginKind::HttpFilter => "http-filter",
        })
        .collect();
    println!("{}", file.display());
    println!("  kind     {}", kinds.join(", "));
    println!("  size     {size} bytes");
    if let Some(wrapped) = inspection.wrapped {
        println!("  wrapped  core module{}", if wrapped.adapter { ", adapter preview1" } else { "" });
    }
    let needs: BTreeMap<&str, Need> =
        inspection.needs.iter().map(|needed| (needed.interface.as_str(), needed.need)).collect();
    list("exports", &inspection.exports, &needs);
    list("imports", &inspection.imports, &needs);
    match inspection.problem() {
        None => print_needs(inspection),
        Some(LoadError::NotOffered(refused)) => {
            list("refused", &refused, &BTreeMap::new());
            println!("  It cannot be used: the imports under `refused` are given to no plugin.");
        }
        Some(problem) => println!("  It cannot be used: {problem}."),
    }
}

fn print_needs(inspection: &Inspection) {
    let needs = need::missing(&inspection.needs, &[]);
    if needs.is_empty() {
        println!("  needs    nothing that is not given to every plugin");
    } else {
        println!("  needs    {}", need::line(&[], &needs));
    }
}

/// What needs a grant says so.
fn list(title: &str, names: &[String], needs: &BTreeMap<&str, Need>) {
    let width = names.iter().filter(|name| needs.contains_key(name.as_str())).map(String::len).max().unwrap_or(0);
    for (index, name) in names.iter().enumerate() {
        let title = if index == 0 { title } else { "" };
        match needs.get(name.as_str()) {
            Some(need) => println!("  {title:<8} {name:<width$}  needs \"{need}\""),
            None => println!("  {title:<8} {name}"),
        }
    }
    if names.is_empty() {
        println!("  {title:<8} (none)");
    }
}

/// The configuration as if no plugin needed anything, and this one were in its folder: what is missing
/// is to be told, not to be an error.
fn configured(
    path: &Path,
    name: &str,
    inspection: &Inspection,
    engine: &Engine,
) -> Result<Config, config::Diagnostics> {
    let needless = |kinds: Vec<PluginKind>| KnownPlugin { kinds, needs: Vec::new() };
    let loaded = config::load(path, |folder| {
        let library = Library::read(engine, folder, &Library::default());
        let others = library.iter().map(|plugin| (plugin.name.to_string(), needless(plugin.kinds())));
        others.chain([(name.to_owned(), needless(inspection.kinds.clone()))]).collect()
    })?;
    Ok(loaded.config)
}

/// Answers whether every use is granted all that the plugin needs.
fn print_uses(config: &Config, name: &str, inspection: &Inspection) -> bool {
    let mut fits = true;
    let uses: Vec<_> = config.uses.iter().filter(|usage| *usage.plugin == *name).collect();
    for (index, usage) in uses.iter().enumerate() {
        println!("  {:<8} {}", if index == 0 { "uses" } else { "" }, usage.label);
        let words = |words: Vec<String>| if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
        println!("             granted: {}", words(usage.grants.iter().map(|grant| format!("\"{grant}\"")).collect()));
        let missing = need::missing(&inspection.needs, &usage.grants);
        if !missing.is_empty() {
            fits = false;
            let interfaces = missing.iter().map(|needed| format!("\"{}\" for {}", needed.need, needed.interface));
            println!("             missing: {}", words(interfaces.collect()));
            println!("             write:   {}", need::line(&usage.grants, &missing));
        }
    }
    if uses.is_empty() {
        println!("  uses     (none in this configuration; a plugin's name is its file's, here `{name}`)");
    }
    fits
}
