//! `jackfield plugin test FILE`: cases, random input, a bench, in the real plugin host.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;

use crate::config::{self, Cases, Grant, PluginLimits, Setup, need};
use crate::plugin::Library;
use crate::trial::{self, Journal, Order, Score, Subject};

/// A plugin in the real host, without a proxy: say what to do with it
#[derive(Args)]
pub struct TestArguments {
    /// A WebAssembly component
    file: PathBuf,
    /// Run the cases of this file (docs/plugin-test.md has its form)
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Run only the cases whose name contains this
    #[arg(long, value_name = "NAME", requires = "cases", default_value = "", hide_default_value = true)]
    case: String,
    /// Throw random input at it for so long: 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    fuzz: Option<Duration>,
    /// Throw the same random input again
    #[arg(long, value_name = "NUMBER", requires = "fuzz")]
    seed: Option<u64>,
    /// Measure what a call costs
    #[arg(long)]
    bench: bool,
    /// Keep compiled plugins in this folder
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
}

const SOMETHING_FAILED: u8 = 1;
/// The plugin or the cases could not be used.
const UNUSABLE: u8 = 2;

const NOTHING_TO_DO: &str = "say what to do with the plugin, one or more of:
  --cases cases.toml   run the cases of a file, and compare what came with what was expected
  --fuzz 10s           throw random input at it, and tell what it fails at
  --bench              measure what a call costs
docs/plugin-test.md tells how to write cases";

pub fn run(arguments: &TestArguments) -> ExitCode {
    match trial(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(SOMETHING_FAILED),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Whether all went well.
fn trial(arguments: &TestArguments) -> anyhow::Result<bool> {
    if arguments.cases.is_none() && arguments.fuzz.is_none() && !arguments.bench {
        anyhow::bail!(NOTHING_TO_DO);
    }
    let journal = Journal::install();
    let mut subject = load(arguments)?;
    let cases = match &arguments.cases {
        Some(path) => config::load_cases(path, &subject.plugin.kinds(), Library::defaults())?,
        None => without_cases(&subject),
    };
    enough_is_granted(&subject, &cases)?;
    let mut out = io::stdout().lock();
    for setup in cases.list.iter().map(|case| &case.setup).chain(&cases.setups) {
        subject.prepare(setup)?;
    }
    for line in journal.take() {
        eprintln!("{line}");
    }
    let mut well = true;
    if arguments.cases.is_some() {
        let Score { passed, failed } = trial::run_cases(&subject, &cases.list, &arguments.case, &journal, &mut out)?;
        if passed + failed == 0 {
            anyhow::bail!("no case has {:?} in its name", arguments.case);
        }
        well &= failed == 0;
    }
    if let Some(length) = arguments.fuzz {
        well &= fuzz(arguments, length, &mut subject, &cases, &mut out)?;
    }
    if arguments.bench {
        for setup in &cases.setups {
            accepts(&subject, setup)?;
            well &= trial::bench(&subject, setup, &mut out)?;
        }
    }
    Ok(well)
}

fn load(arguments: &TestArguments) -> anyhow::Result<Subject> {
    let file = &arguments.file;
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let name = file.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy());
    let engine = super::engine(arguments.cache.clone())?;
    Subject::load(&engine, &name, &wasm).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

/// As the configuration is refused otherwise.
fn enough_is_granted(subject: &Subject, cases: &Cases) -> anyhow::Result<()> {
    for setup in cases.list.iter().map(|case| &case.setup).chain(&cases.setups) {
        let missing = need::missing(&subject.plugin.needs, &setup.grants);
        if let Some(first) = missing.first() {
            let (name, line) = (&subject.plugin.name, need::line(&setup.grants, &missing));
            anyhow::bail!("plugin `{name}` needs {}, which the cases do not grant; write: {line}", first.interface);
        }
    }
    Ok(())
}

/// Each kind that the plugin has, with no settings, and granted all that needs no name.
fn without_cases(subject: &Subject) -> Cases {
    let grants: Vec<Grant> = subject.plugin.needs.iter().filter_map(|needed| needed.need.nameless()).collect();
    let setup = |kind| Setup {
        kind,
        settings: "{}".to_owned(),
        grants: grants.clone(),
        limits: PluginLimits::default(),
        then: None,
        upstreams: Arc::default(),
    };
    Cases { setups: subject.plugin.kinds().into_iter().map(setup).collect(), list: Vec::new() }
}

fn fuzz(
    arguments: &TestArguments,
    length: Duration,
    subject: &mut Subject,
    cases: &Cases,
    out: &mut dyn Write,
) -> anyhow::Result<bool> {
    let setups = trial::fuzz_setups(&cases.setups, &cases.list);
    for setup in &setups {
        subject.prepare(setup)?;
        accepts(subject, setup)?;
    }
    let by_time = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
    let order = Order { length, seed: arguments.seed.unwrap_or_else(by_time), setups: &setups, cases: &cases.list };
    Ok(trial::fuzz(subject, &order, out)? == 0)
}

/// Random input and a bench need a plugin that starts.
fn accepts(subject: &Subject, setup: &Setup) -> anyhow::Result<()> {
    match trial::refusal(subject, setup) {
        Some(message) => anyhow::bail!(
            "the plugin refuses the settings {}: {message}
  help: give it others with --cases FILE, which may be no              more than `settings = {{ … }}` and a case",
            setup.settings
        ),
        None => Ok(()),
    }
}

fn duration(written: &str) -> Result<Duration, String> {
    let wrong = || "write a whole number and a unit: 500ms, 10s, 5m".to_owned();
    config::parse_duration(written).filter(|length| !length.is_zero()).ok_or_else(wrong)
}
