//! Compiled plugins on disk: loading one takes a millisecond, compiling one up to many seconds.
//! The folder must belong to the user who runs the proxy: what lies in it is machine code.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

pub struct Cache {
    folder: Option<PathBuf>,
    /// Of the compiler, its version and settings.
    compatibility: String,
    /// How often something had to be compiled.
    compiled: AtomicU64,
}

impl Cache {
    pub fn new(folder: Option<PathBuf>, engine: &Engine) -> Self {
        let folder = folder.filter(|folder| match prepare(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "no cache of compiled plugins");
                false
            }
        });
        Self { folder, compatibility: fingerprint(engine), compiled: AtomicU64::new(0) }
    }

    /// Compiles, or loads what was compiled before.
    pub fn compile(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
        let Some(folder) = &self.folder else { return self.compile_anew(engine, wasm) };
        let path = folder.join(self.file_name(wasm));
        if let Some(component) = load(engine, &path) {
            return Ok(component);
        }
        let component = self.compile_anew(engine, wasm)?;
        if let Err(error) = store(&component, folder, &path) {
            tracing::warn!(file = %path.display(), %error, "the compiled plugin is not cached");
        }
        Ok(component)
    }

    fn compile_anew(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
        self.compiled.fetch_add(1, Relaxed);
        Component::new(engine, wasm)
    }

    /// How many components were not taken from the folder.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Relaxed)
    }

    fn file_name(&self, wasm: &[u8]) -> String {
        format!("{}-{}.cwasm", hex(&Sha256::digest(wasm)), self.compatibility)
    }
}

/// Lower-case hexadecimal of a plugin's SHA-256.
pub fn digest(wasm: &[u8]) -> String {
    hex(&Sha256::digest(wasm))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn fingerprint(engine: &Engine) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Only we may write there.
fn prepare(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = std::fs::metadata(folder)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o022 != 0 {
        let message = "the folder must belong to the user who runs jackfield, and nobody else may write to it";
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

/// A file begins with the SHA-256 of the rest: wasmtime checks the form of what it loads, not
/// whether the machine code in it is still what was written.
const CHECKSUM_BYTES: usize = 32;

fn load(engine: &Engine, path: &Path) -> Option<Component> {
    let file = match std::fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return unusable(path, &error),
    };
    let Some((checksum, compiled)) = file.split_at_checked(CHECKSUM_BYTES) else {
        return unusable(path, &"the file is cut off");
    };
    if checksum != Sha256::digest(compiled).as_slice() {
        return unusable(path, &"the file is damaged");
    }
    deserialize(engine, compiled).map_or_else(|error| unusable(path, &error), Some)
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Option<Component> {
    tracing::warn!(file = %path.display(), %error, "compiling again: the cached plugin does not load");
    None
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: this runs what the bytes hold as machine code, so they must be what
    // `Component::serialize` wrote. Only our own user may write to the folder (`prepare`), the
    // checksum says that they are whole, and wasmtime checks version and settings.
    unsafe { Component::deserialize(engine, compiled) }
}

fn store(component: &Component, folder: &Path, path: &Path) -> wasmtime::Result<()> {
    let compiled = component.serialize()?;
    let mut bytes = Sha256::digest(&compiled).to_vec();
    bytes.extend_from_slice(&compiled);
    let half = folder.join(format!(".{}-{:016x}", std::process::id(), super::host::random64()));
    std::fs::write(&half, bytes)?;
    std::fs::rename(&half, path)?;
    Ok(())
}
