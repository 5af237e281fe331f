//! WASI 0.2 as far as the toolchains of Go, JavaScript, Python and C need it to start: clocks and
//! randomness, each with its grant, and standard output that goes to the log, with the grant `log`.
//! The rest needs none, since there is nothing behind it of the outside world: no files, no sockets, no environment, no arguments, no
//! input, and no waiting, which would stall a worker. A component that imports more is refused.
//!
//! Clock and randomness are real here, unlike `jackfield:plugin/clock`, which stands still in a call:
//! language runtimes seed their hash tables and measure time with them.

mod io;
mod stdio;

use std::fs::File;
use std::io::Read;
use std::time::{Duration, SystemTime};

use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType, Val};
use wasmtime::{StoreContextMut, bail, format_err};

use super::{Host, random64};
use crate::clock;
use io::Pollable;
pub use stdio::{Stdio, Stream};

type Store<'a> = StoreContextMut<'a, Host>;

/// What is offered, under whatever patch version of 0.2: the linker takes them for the same.
const INTERFACES: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
];

/// Whether an import is one of these.
pub fn offers(import: &str) -> bool {
    let Some((interface, version)) = import.split_once("@0.2.") else { return false };
    let is_release = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    is_release && INTERFACES.contains(&interface)
}

pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    io::add_to_linker(linker)?;
    add_program(linker)?;
    add_terminals(linker)?;
    add_clocks(linker)?;
    add_random(linker)?;
    add_files(linker)
}

fn interface<'a>(linker: &'a mut Linker<Host>, name: &str) -> wasmtime::Result<LinkerInstance<'a, Host>> {
    linker.instance(&format!("wasi:{name}@0.2.0"))
}

/// A resource that has nothing behind its number.
fn resource<T: 'static>(instance: &mut LinkerInstance<'_, Host>, name: &str) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<T>(), |_, _| Ok(()))
}

/// What a program has around it: nothing.
fn add_program(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut environment = interface(linker, "cli/environment")?;
    environment.func_wrap("get-environment", |_: Store<'_>, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
    environment.func_wrap("get-arguments", |_: Store<'_>, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_: Store<'_>, (): ()| Ok((None::<String>,)))?;
    let mut exit = interface(linker, "cli/exit")?;
    exit.func_wrap("exit", |_: Store<'_>, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        bail!("it called exit, {}", if status.is_ok() { "as if all were done" } else { "with a failure" })
    })?;
    exit.func_wrap("exit-with-code", |_: Store<'_>, (code,): (u8,)| -> wasmtime::Result<()> {
        bail!("it called exit with code {code}")
    })
}

struct TerminalInput;
struct TerminalOutput;

fn add_terminals(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    resource::<TerminalInput>(&mut interface(linker, "cli/terminal-input")?, "terminal-input")?;
    resource::<TerminalOutput>(&mut interface(linker, "cli/terminal-output")?, "terminal-output")?;
    let no_input = |_: Store<'_>, (): ()| Ok((None::<Resource<TerminalInput>>,));
    let no_output = |_: Store<'_>, (): ()| Ok((None::<Resource<TerminalOutput>>,));
    interface(linker, "cli/terminal-stdin")?.func_wrap("get-terminal-stdin", no_input)?;
    interface(linker, "cli/terminal-stdout")?.func_wrap("get-terminal-stdout", no_output)?;
    interface(linker, "cli/terminal-stderr")?.func_wrap("get-terminal-stderr", no_output)
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl From<Duration> for Datetime {
    fn from(since: Duration) -> Self {
        Self { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
    }
}

fn add_clocks(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut monotonic = interface(linker, "clocks/monotonic-clock")?;
    monotonic.func_wrap("now", |_: Store<'_>, (): ()| Ok((clock::elapsed().as_nanos() as u64,)))?;
    monotonic.func_wrap("resolution", |_: Store<'_>, (): ()| Ok((1_u64,)))?;
    monotonic.func_wrap("subscribe-instant", |_: Store<'_>, (instant,): (u64,)| {
        Ok((Pollable::due_at(Duration::from_nanos(instant)),))
    })?;
    monotonic.func_wrap("subscribe-duration", |_: Store<'_>, (duration,): (u64,)| {
        Ok((Pollable::due_at(clock::elapsed().saturating_add(Duration::from_nanos(duration))),))
    })?;
    let mut wall = interface(linker, "clocks/wall-clock")?;
    wall.func_wrap("now", |_: Store<'_>, (): ()| {
        Ok((Datetime::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),))
    })?;
    wall.func_wrap("resolution", |_: Store<'_>, (): ()| Ok((Datetime::from(Duration::from_nanos(1)),)))
}

fn add_random(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut random = interface(linker, "random/random")?;
    random.func_wrap("get-random-bytes", |_: Store<'_>, (count,): (u64,)| Ok((secret_bytes(count)?,)))?;
    random.func_wrap("get-random-u64", |_: Store<'_>, (): ()| Ok((secret_number()?,)))?;
    let mut insecure = interface(linker, "random/insecure")?;
    insecure.func_wrap("get-insecure-random-bytes", |_: Store<'_>, (count,): (u64,)| {
        let count = bounded(count)?;
        Ok((std::iter::repeat_with(|| random64() as u8).take(count).collect::<Vec<u8>>(),))
    })?;
    insecure.func_wrap("get-insecure-random-u64", |_: Store<'_>, (): ()| Ok((random64(),)))?;
    let mut seed = interface(linker, "random/insecure-seed")?;
    seed.func_wrap("insecure-seed", |_: Store<'_>, (): ()| Ok(((random64(), random64()),)))
}

/// From the system. Runtimes ask when they start, for some bytes.
fn secret_bytes(count: u64) -> wasmtime::Result<Vec<u8>> {
    let mut bytes = vec![0; bounded(count)?];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes))?;
    Ok(bytes)
}

pub fn secret_number() -> wasmtime::Result<u64> {
    let bytes = secret_bytes(8)?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn bounded(count: u64) -> wasmtime::Result<usize> {
    const MOST: u64 = 64 << 10;
    if count <= MOST { Ok(count as usize) } else { Err(format_err!("it asked for {count} random bytes at once")) }
}

struct Descriptor;
struct DirectoryEntryStream;

/// No folder is open, so there is nothing that these functions could be called on; they exist
/// because libraries import them.
fn add_files(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    const METHODS: [&str; 28] = [
        "[method]descriptor.read-via-stream",
        "[method]descriptor.write-via-stream",
        "[method]descriptor.append-via-stream",
        "[method]descriptor.advise",
        "[method]descriptor.sync-data",
        "[method]descriptor.get-flags",
        "[method]descriptor.get-type",
        "[method]descriptor.set-size",
        "[method]descriptor.set-times",
        "[method]descriptor.read",
        "[method]descriptor.write",
        "[method]descriptor.read-directory",
        "[method]descriptor.sync",
        "[method]descriptor.create-directory-at",
        "[method]descriptor.stat",
        "[method]descriptor.stat-at",
        "[method]descriptor.set-times-at",
        "[method]descriptor.link-at",
        "[method]descriptor.open-at",
        "[method]descriptor.readlink-at",
        "[method]descriptor.remove-directory-at",
        "[method]descriptor.rename-at",
        "[method]descriptor.symlink-at",
        "[method]descriptor.unlink-file-at",
        "[method]descriptor.is-same-object",
        "[method]descriptor.metadata-hash",
        "[method]descriptor.metadata-hash-at",
        "[method]directory-entry-stream.read-directory-entry",
    ];
    let mut types = interface(linker, "filesystem/types")?;
    resource::<Descriptor>(&mut types, "descriptor")?;
    resource::<DirectoryEntryStream>(&mut types, "directory-entry-stream")?;
    for name in METHODS {
        types.func_new(name, |_, _, _, _| bail!("a plugin has no files"))?;
    }
    types.func_new("filesystem-error-code", |_, _, _, results| {
        results[0] = Val::Option(None);
        Ok(())
    })?;
    let mut preopens = interface(linker, "filesystem/preopens")?;
    preopens.func_wrap("get-directories", |_: Store<'_>, (): ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_toolchains_need_is_offered_in_every_patch_version_and_nothing_else() {
        for offered in ["wasi:cli/stderr@0.2.0", "wasi:io/streams@0.2.12", "wasi:random/insecure-seed@0.2.6"] {
            assert!(offers(offered), "{offered}");
        }
        for refused in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:cli/stderr@0.3.0",
            "wasi:cli/stderr@0.2.0-rc",
            "wasi:cli/stderr@0.2.",
            "wasi:cli/stderr",
            "evil:cli/stderr@0.2.0",
        ] {
            assert!(!offers(refused), "{refused}");
        }
    }
}
