//! The `jackfield` program: its commands and exit codes.

mod componentize;
mod demo;
mod inspect;
mod new;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, LogFormat};
use crate::control::{self, Control, Origin, Start, StartError};
use crate::plugin::Engine;
use crate::{privileges, systemd, telemetry};

/// A programmable edge proxy: balancing decisions and header changes are made by WebAssembly plugins.
#[derive(Parser)]
#[command(name = "jackfield", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what it does: small origins and a proxy in front of them, no configuration needed
    Demo,
    /// Serve
    Run {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Take over from the process that runs, which must have the same `[upgrade]` socket
        #[arg(long)]
        upgrade: bool,
    },
    /// Say what is wrong with a configuration, and serve nothing
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Tools for plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
}

#[derive(Subcommand)]
enum PluginCommand {
    /// Tell kind, imports, exports and size of a plugin, and what it must be granted
    Inspect {
        /// A WebAssembly component, or a core module with WIT metadata
        file: PathBuf,
        /// A configuration: tell what its uses of the plugin are granted, and what they lack
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Try a plugin in the real host, without a proxy: with cases, with random input, against the clock
    Test(trial::TestArguments),
    /// Begin a plugin: a folder with a small one that builds, and its cases
    New(new::NewArguments),
    /// Keep the component that a core module is made into when it is loaded
    Componentize {
        /// A core WebAssembly module with WIT metadata
        file: PathBuf,
        /// Where the component goes
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

/// For a configuration that cannot run, as `check` and `run` say it.
const BAD_CONFIG: u8 = 2;

pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo => demo::run(),
        Command::Run { config, upgrade } => run(config, upgrade),
        Command::Check { config } => check(&config),
        Command::Plugin(PluginCommand::Inspect { file, config }) => inspect::run(&file, config.as_deref()),
        Command::Plugin(PluginCommand::New(arguments)) => new::run(&arguments),
        Command::Plugin(PluginCommand::Componentize { file, output }) => componentize::run(&file, &output),
        Command::Plugin(PluginCommand::Test(arguments)) => Ok(trial::run(&arguments)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("jackfield: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(config: PathBuf, upgrade: bool) -> anyhow::Result<ExitCode> {
    // The log's own settings stand in the file that is about to be read: a first look tells them.
    let first = config::peek(&config);
    let log = first.as_ref().map(|first| (&*first.log_level, first.log_format));
    let (level, format) = log.unwrap_or(("info", LogFormat::Text));
    telemetry::init_logging(level, format)?;
    // What must be done while there is one thread only.
    let mut inherited = systemd::sockets();
    privileges::no_new();
    let home = first.as_ref().map(|first| privileges::give_up(first, &mut inherited)).transpose()?.flatten();
    let engine = engine(control::cache_folder(&config, home))?;
    serve(Origin::File(config), engine, Start { inherited, upgrade }, |_| {})
}

/// Runs until told to stop. `ready` is called once everything listens.
fn serve(origin: Origin, engine: Engine, start: Start, ready: impl FnOnce(&Control)) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let ended = runtime.block_on(async {
        match Control::start(origin, engine, start).await {
            Ok(control) => {
                ready(&control);
                control.run().await?;
                Ok(ExitCode::SUCCESS)
            }
            Err(StartError::Config(problems)) => {
                eprintln!("{problems}");
                Ok(ExitCode::from(BAD_CONFIG))
            }
            Err(StartError::System(error)) => Err(error.into()),
        }
    });
    runtime.shutdown_background();
    ended
}

fn check(config: &std::path::Path) -> anyhow::Result<ExitCode> {
    let engine = engine(control::cache_folder(config, None))?;
    Ok(match control::check(config, &engine) {
        Ok(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            println!("{}: ok", config.display());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(BAD_CONFIG)
        }
    })
}

fn engine(cache: Option<PathBuf>) -> anyhow::Result<Engine> {
    Engine::new(cache).map_err(|error| anyhow::anyhow!("the Wasm engine does not start: {error:#}"))
}
