//! Bytes on their way in: into a file without a name, hashed and counted as they come.

use std::path::{Path, PathBuf};

use coracle_api::dice;
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

use crate::{Digest, Error, Result};

/// A file that has not got its digest yet. Dropped before [`finish`](Self::finish), it is removed.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    written: u64,
    limit: u64,
}

/// A whole file on disk, still under its temporary name.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Incoming {
    pub(crate) async fn create(dir: &Path, limit: u64) -> Result<Self> {
        let path = dir.join(dice::uuid());
        let file = File::create_new(&path).await.map_err(|source| at(&path, source))?;
        Ok(Self { path, file, hasher: Sha256::new(), written: 0, limit })
    }

    /// Bytes received so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.written.saturating_add(bytes.len() as u64) > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.file.write_all(bytes).await.map_err(|source| at(&self.path, source))?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file durable, if its bytes are those that were `expected`.
    pub(crate) async fn finish(mut self, expected: Option<&Digest>) -> Result<Arrived> {
        let digest = Digest::finished(std::mem::take(&mut self.hasher));
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(Error::DigestMismatch { expected: *expected, received: digest });
        }
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(|source| at(&self.path, source))?;
        let path = std::mem::take(&mut self.path);
        Ok(Arrived { path, digest, size: self.written })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(std::mem::take(&mut self.path));
        }
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(std::mem::take(&mut self.path));
        }
    }
}

/// Removes a temporary file without waiting for it. What is left behind when that fails is removed
/// when the store is opened the next time.
fn remove(path: PathBuf) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(fs::remove_file(path))),
        Err(_) => drop(std::fs::remove_file(path)),
    }
}

pub(crate) fn at(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}
