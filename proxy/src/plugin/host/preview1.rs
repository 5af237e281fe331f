//! What our adapter for WASI preview 1 asks of the host (`proxy/adapter/preview1.wit`): clocks,
//! randomness and standard output of core modules, as `wasi` gives them to components.

use std::time::SystemTime;

use wasmtime::StoreContextMut;
use wasmtime::bail;
use wasmtime::component::Linker;

use super::Host;
use super::wasi::{Stream, secret_number};
use crate::clock;

type Store<'a> = StoreContextMut<'a, Host>;

const INTERFACES: [&str; 4] = ["clock", "random", "stdio", "exit"];

/// Whether an import is one of these.
pub fn offers(import: &str) -> bool {
    let interface = import.strip_prefix("jackfield:preview1/").and_then(|rest| rest.strip_suffix("@0.1.0"));
    interface.is_some_and(|interface| INTERFACES.contains(&interface))
}

pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.instance("jackfield:preview1/clock@0.1.0")?.func_wrap("now", |_: Store<'_>, (id,): (u32,)| {
        let since = match id {
            0 => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            _ => clock::elapsed(),
        };
        Ok((since.as_nanos() as u64,))
    })?;
    let random = |_: Store<'_>, (): ()| Ok((secret_number()?,));
    linker.instance("jackfield:preview1/random@0.1.0")?.func_wrap("next", random)?;
    let write = |mut store: Store<'_>, (stream, bytes): (u32, Vec<u8>)| {
        store.data_mut().print(Stream::of(stream), &bytes);
        Ok(())
    };
    linker.instance("jackfield:preview1/stdio@0.1.0")?.func_wrap("write", write)?;
    let exit = |_: Store<'_>, (code,): (u32,)| -> wasmtime::Result<()> { bail!("it called exit with code {code}") };
    linker.instance("jackfield:preview1/exit@0.1.0")?.func_wrap("exit", exit)
}
