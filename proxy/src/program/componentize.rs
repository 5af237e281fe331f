//! `jackfield plugin componentize FILE -o OUT`: other hosts and tools want components.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::plugin::Plugin;

pub fn run(file: &Path, output: &Path) -> anyhow::Result<ExitCode> {
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let component = Plugin::componentize(&wasm).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    std::fs::write(output, &component).with_context(|| output.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
