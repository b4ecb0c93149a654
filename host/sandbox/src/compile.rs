//! From stored bytes to a module: compiled once, kept on disk, mapped in.
//!
//! A compiled file is named by the digest of its source and by a hash of everything in the engine
//! that its code depends on. Beside it lies the digest of the file itself: mapping code in is
//! trusting it, so a file that is not what was written is thrown away and compiled anew. The
//! directory is its owner's alone.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use coracle_api::dice;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use crate::capabilities::Linkers;
use crate::lock::lock;
use crate::{LoadError, Module};

/// Where the bytes of a module are.
#[derive(Clone, Debug)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
}

/// Modules that stay loaded although nothing runs them, so that restarting a guest is cheap.
const KEPT: usize = 32;

/// One digest's module, while anybody holds it. The lock is held while it is being loaded.
type Slot = Arc<tokio::sync::Mutex<Weak<Module>>>;

/// The loader with its caches.
pub(crate) struct Compiler {
    wasm: wasmtime::Engine,
    linkers: Arc<Linkers>,
    dir: PathBuf,
    /// The part of a file's name that says which engine can use it.
    compatibility: String,
    slots: Mutex<HashMap<String, Slot>>,
    recent: Mutex<VecDeque<Arc<Module>>>,
    /// Compilations at a time.
    permits: Semaphore,
    compiled: AtomicU64,
    mapped: AtomicU64,
}

impl Compiler {
    pub(crate) fn new(
        wasm: wasmtime::Engine,
        linkers: Arc<Linkers>,
        dir: PathBuf,
        parallel: usize,
    ) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let mut hasher = DefaultHasher::new();
        wasm.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            wasm,
            linkers,
            dir,
            compatibility: format!("{:016x}", hasher.finish()),
            slots: Mutex::default(),
            recent: Mutex::default(),
            permits: Semaphore::new(parallel.max(1)),
            compiled: AtomicU64::new(0),
            mapped: AtomicU64::new(0),
        })
    }

    /// How many modules have been compiled.
    pub(crate) fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    /// How many modules have been mapped in without being compiled.
    pub(crate) fn mapped(&self) -> u64 {
        self.mapped.load(Ordering::Relaxed)
    }

    /// The module of `digest`; `source` is used only if it has never been compiled. The work goes
    /// on even if the caller loses interest, so that the next caller finds it done.
    pub(crate) async fn load(
        self: &Arc<Self>,
        runtime: &Handle,
        digest: &str,
        source: Source,
    ) -> Result<Arc<Module>, LoadError> {
        let hex = digest.strip_prefix("sha256:").filter(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        let Some(hex) = hex else { return Err(LoadError::Digest(digest.to_owned())) };
        let slot = self.slot(digest);
        if let Some(module) = slot.try_lock().ok().and_then(|held| held.upgrade()) {
            return Ok(module);
        }
        let (this, hex) = (self.clone(), hex.to_owned());
        let loading = runtime.spawn(async move { this.fill(&slot, hex, source).await });
        loading.await.unwrap_or(Err(LoadError::Engine))
    }

    fn slot(&self, digest: &str) -> Slot {
        let mut slots = lock(&self.slots);
        if slots.len() > 4 * KEPT {
            slots.retain(|_, slot| {
                Arc::strong_count(slot) > 1
                    || slot.try_lock().is_ok_and(|held| held.strong_count() > 0)
            });
        }
        slots.entry(digest.to_owned()).or_default().clone()
    }

    async fn fill(
        self: Arc<Self>,
        slot: &Slot,
        hex: String,
        source: Source,
    ) -> Result<Arc<Module>, LoadError> {
        let mut held = slot.lock().await;
        if let Some(module) = held.upgrade() {
            return Ok(module);
        }
        let digest = format!("sha256:{hex}");
        let file = self.dir.join(format!("{hex}-{}.cwasm", self.compatibility));
        let module = match self.clone().found(digest.clone(), file.clone()).await? {
            Some(module) => module,
            None => {
                let _permit = self.permits.acquire().await.map_err(|_| LoadError::Engine)?;
                let this = self.clone();
                blocking(move || this.compiled_anew(&digest, &file, &source)).await?
            }
        };
        let module = Arc::new(module);
        *held = Arc::downgrade(&module);
        let mut recent = lock(&self.recent);
        recent.push_back(module.clone());
        if recent.len() > KEPT {
            recent.pop_front();
        }
        Ok(module)
    }

    /// The module as it was once compiled.
    async fn found(
        self: Arc<Self>,
        digest: String,
        file: PathBuf,
    ) -> Result<Option<Module>, LoadError> {
        blocking(move || match self.map(&file, &digest) {
            Ok(module) => {
                self.mapped.fetch_add(1, Ordering::Relaxed);
                Ok(Some(module))
            }
            Err(Unmapped::Absent) => Ok(None),
            Err(Unmapped::Refused(error)) => Err(error),
            Err(Unmapped::Unusable(reason)) => {
                tracing::warn!(%digest, reason, "compiled code on disk is unusable: compiling anew");
                Ok(None)
            }
        })
        .await
    }

    fn compiled_anew(
        &self,
        digest: &str,
        file: &Path,
        source: &Source,
    ) -> Result<Module, LoadError> {
        let code = self.compile(digest, source)?;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let mapped = match keep(file, &code) {
            Ok(()) => self.map(file, digest),
            Err(error) => Err(Unmapped::Unusable(format!("it cannot be kept: {error}"))),
        };
        let linked = mapped.or_else(|unmapped| match unmapped {
            Unmapped::Refused(_) => Err(unmapped),
            Unmapped::Absent => self.link(digest, Code::Bytes(&code)),
            Unmapped::Unusable(reason) => {
                tracing::warn!(%digest, reason, "compiled code stays in memory");
                self.link(digest, Code::Bytes(&code))
            }
        });
        linked.map_err(|unmapped| match unmapped {
            Unmapped::Refused(error) => error,
            Unmapped::Absent => LoadError::Engine,
            Unmapped::Unusable(reason) => LoadError::Compile(reason),
        })
    }

    fn compile(&self, digest: &str, source: &Source) -> Result<Vec<u8>, LoadError> {
        let read;
        let bytes: &[u8] = match source {
            Source::Bytes(bytes) => bytes,
            Source::File(path) => {
                read = fs::read(path)
                    .map_err(|source| LoadError::Read { path: path.clone(), source })?;
                &read
            }
        };
        let actual = format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)));
        if actual != digest {
            return Err(LoadError::Damaged { expected: digest.to_owned(), actual });
        }
        let compiled = match bytes.get(..8) {
            Some(b"\0asm\x01\0\0\0") => self.wasm.precompile_module(bytes),
            _ => self.wasm.precompile_component(bytes),
        };
        compiled.map_err(|error| LoadError::Compile(format!("{error:#}")))
    }

    /// Maps `file` in, if it is what was once written.
    fn map(&self, file: &Path, digest: &str) -> Result<Module, Unmapped> {
        let unusable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Unmapped::Absent,
            _ => Unmapped::Unusable(error.to_string()),
        };
        let expected = fs::read_to_string(sum_of(file)).map_err(unusable)?;
        let actual = sum(file).map_err(unusable)?;
        if expected != actual {
            return Err(Unmapped::Unusable("its checksum is wrong".to_owned()));
        }
        self.link(digest, Code::File(file))
    }

    fn link(&self, digest: &str, code: Code<'_>) -> Result<Module, Unmapped> {
        let unusable = |error: wasmtime::Error| Unmapped::Unusable(format!("{error:#}"));
        let form = match code {
            Code::File(file) => {
                wasmtime::Engine::detect_precompiled_file(file).map_err(unusable)?
            }
            Code::Bytes(bytes) => wasmtime::Engine::detect_precompiled(bytes),
        };
        let linked = match form {
            Some(wasmtime::Precompiled::Module) => {
                Module::core(digest, &code.module(&self.wasm).map_err(unusable)?, &self.linkers)
            }
            Some(wasmtime::Precompiled::Component) => Module::component(
                digest,
                &code.component(&self.wasm).map_err(unusable)?,
                &self.linkers,
            ),
            None => return Err(Unmapped::Unusable("it holds no compiled code".to_owned())),
        };
        linked.map_err(Unmapped::Refused)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LoadError::Engine))
}

/// Why compiled code was not taken from disk.
enum Unmapped {
    /// There is none.
    Absent,
    /// There is, but it must not be used.
    Unusable(String),
    /// It was used, and the module cannot be.
    Refused(LoadError),
}

/// Code that this program has compiled.
#[derive(Clone, Copy)]
enum Code<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
}

impl Code<'_> {
    #[expect(
        unsafe_code,
        reason = "the code was compiled by this program, is kept where only its owner can write, \
                  and its checksum has just been verified"
    )]
    fn module(self, wasm: &wasmtime::Engine) -> wasmtime::Result<wasmtime::Module> {
        match self {
            // SAFETY: as the attribute says.
            Self::File(file) => unsafe { wasmtime::Module::deserialize_file(wasm, file) },
            // SAFETY: the bytes come straight from the compiler.
            Self::Bytes(bytes) => unsafe { wasmtime::Module::deserialize(wasm, bytes) },
        }
    }

    #[expect(
        unsafe_code,
        reason = "the code was compiled by this program, is kept where only its owner can write, \
                  and its checksum has just been verified"
    )]
    fn component(self, wasm: &wasmtime::Engine) -> wasmtime::Result<Component> {
        match self {
            // SAFETY: as the attribute says.
            Self::File(file) => unsafe { Component::deserialize_file(wasm, file) },
            // SAFETY: the bytes come straight from the compiler.
            Self::Bytes(bytes) => unsafe { Component::deserialize(wasm, bytes) },
        }
    }
}

/// Writes `code` to `file` and its checksum beside it, each as a whole or not at all. Not synced:
/// what a crash leaves half written fails its checksum.
fn keep(file: &Path, code: &[u8]) -> io::Result<()> {
    replace(file, code)?;
    replace(&sum_of(file), hexadecimal(&Sha256::digest(code)).as_bytes())
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension(format!("{:016x}.tmp", dice::number()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut open| open.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // Whatever is left of it is of no use to anybody.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn sum_of(file: &Path) -> PathBuf {
    file.with_extension("sha256")
}

fn sum(file: &Path) -> io::Result<String> {
    let mut open = fs::File::open(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = open.read(&mut buffer)?;
        if read == 0 {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
