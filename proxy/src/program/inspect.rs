//! `jackfield plugin inspect FILE`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::config::PluginKind;
use crate::plugin::{Inspection, Plugin};

pub fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let engine = super::engine(None)?;
    let inspection = Plugin::inspect(&engine, &wasm).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    print(file, wasm.len(), &inspection);
    Ok(if inspection.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    list("exports", &inspection.exports);
    list("imports", &inspection.imports);
    if inspection.refused.is_empty() {
        println!("  needs    nothing that is not given to every plugin");
    } else {
        list("refused", &inspection.refused);
        println!("  It cannot be used: the imports under `refused` are given to no plugin.");
    }
}

fn list(title: &str, names: &[String]) {
    for (index, name) in names.iter().enumerate() {
        println!("  {:<8} {name}", if index == 0 { title } else { "" });
    }
    if names.is_empty() {
        println!("  {title:<8} (none)");
    }
}
