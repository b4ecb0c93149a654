//! Bytes under their digest.
//!
//! ```text
//! blobs/<hex>                            what was stored; never changed, removed by `collect` alone
//! runnable/<hex>                         the digest of the component made of this core module
//! repositories/<namespace>/<name>/<hex>  the blobs that may be fetched under this name
//! incoming/                              what is being received
//! ```
//!
//! A blob's modification time is when it was last stored: `collect` spares what is younger than its
//! grace period, because its name may be about to be written.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use coracle_api::clock;
use futures::{Stream, StreamExt};
use tokio::fs::{self, File};
use tokio::sync::{RwLock, Semaphore};

use crate::incoming::{Arrived, Incoming, at};
use crate::{Digest, Error, Result};

/// Bytes that a file may have unless [`Images::with_limit`] says otherwise.
pub const SIZE_LIMIT: u64 = 64 << 20;

/// Modules that are recognised at once: each is held in memory meanwhile.
const RECOGNISED_AT_ONCE: usize = 2;

/// The image store of a cluster: one directory.
#[derive(Clone, Debug)]
pub struct Images {
    dir: Arc<PathBuf>,
    limit: u64,
    /// Storing reads, removing writes: what is stored again is never removed in the same moment.
    sweep: Arc<RwLock<()>>,
    pub(crate) recognising: Arc<Semaphore>,
}

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The digest of the bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

impl Images {
    /// Opens the store in `dir`, which is made if it is not there. One process at a time may have
    /// it open: what others are receiving is thrown away.
    pub fn open(dir: &Path) -> Result<Self> {
        let incoming = dir.join("incoming");
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&incoming, error)),
            _ => {}
        }
        for part in ["incoming", "blobs", "runnable", "repositories"] {
            let part = dir.join(part);
            std::fs::create_dir_all(&part).map_err(|source| at(&part, source))?;
        }
        Ok(Self {
            dir: Arc::new(dir.to_owned()),
            limit: SIZE_LIMIT,
            sweep: Arc::default(),
            recognising: Arc::new(Semaphore::new(RECOGNISED_AT_ONCE)),
        })
    }

    /// With another limit to the size of a file, in bytes.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// The limit to the size of a file, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Stores what comes from `stream`, if it ends within the limit.
    pub async fn put<E: std::fmt::Display>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Stored> {
        let mut incoming = self.receive().await?;
        let mut stream = std::pin::pin!(stream);
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| Error::Transfer(error.to_string()))?;
            incoming.write(&bytes).await?;
        }
        self.keep(incoming.finish(None).await?).await
    }

    /// Stores `bytes`.
    pub async fn put_bytes(&self, bytes: &[u8]) -> Result<Stored> {
        let digest = Digest::of(bytes);
        if self.refresh(&digest).await? {
            return Ok(Stored { digest, size: bytes.len() as u64 });
        }
        let mut incoming = self.receive().await?;
        incoming.write(bytes).await?;
        self.keep(incoming.finish(None).await?).await
    }

    /// The file with these bytes.
    pub async fn path(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.blob(digest);
        match fs::try_exists(&path).await {
            Ok(true) => Ok(path),
            Ok(false) => Err(Error::Missing(*digest)),
            Err(source) => Err(at(&path, source)),
        }
    }

    /// The bytes themselves.
    pub async fn open_bytes(&self, digest: &Digest) -> Result<Bytes> {
        let path = self.blob(digest);
        match fs::read(&path).await {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Missing(*digest)),
            Err(source) => Err(at(&path, source)),
        }
    }

    /// The file, opened, and its size.
    pub(crate) async fn open_file(&self, digest: &Digest) -> Result<(File, u64)> {
        let path = self.blob(digest);
        let opened = async {
            let file = File::open(&path).await?;
            let size = file.metadata().await?.len();
            Ok((file, size))
        };
        opened.await.map_err(|error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Error::Missing(*digest),
            _ => at(&path, error),
        })
    }

    /// A place for bytes whose digest is not known yet.
    pub(crate) async fn receive(&self) -> Result<Incoming> {
        Incoming::create(&self.dir.join("incoming"), self.limit).await
    }

    /// Gives what has arrived its name.
    pub(crate) async fn keep(&self, mut arrived: Arrived) -> Result<Stored> {
        let stored = Stored { digest: arrived.digest, size: arrived.size };
        let path = self.blob(&stored.digest);
        if !self.refresh(&stored.digest).await? {
            let _storing = self.sweep.read().await;
            touch(&arrived.path).await?;
            fs::rename(&arrived.path, &path).await.map_err(|source| at(&path, source))?;
            arrived.path = PathBuf::new();
            sync_parent(&path).await?;
        }
        Ok(stored)
    }

    /// Whether the blob is there already; if so its age begins anew.
    pub(crate) async fn refresh(&self, digest: &Digest) -> Result<bool> {
        let path = self.blob(digest);
        let _storing = self.sweep.read().await;
        match touch(&path).await {
            Ok(()) => Ok(true),
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The component made of the core module `digest`, if one was.
    pub(crate) async fn runnable(&self, digest: &Digest) -> Result<Option<Digest>> {
        let path = self.dir.join("runnable").join(digest.hex());
        match fs::read_to_string(&path).await {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(at(&path, source)),
        }
    }

    /// Remembers which component was made of a core module. Not made durable: it can be made again.
    pub(crate) async fn set_runnable(&self, digest: &Digest, runnable: &Digest) -> Result<()> {
        let path = self.dir.join("runnable").join(digest.hex());
        let mut incoming = self.receive().await?;
        incoming.write(runnable.to_string().as_bytes()).await?;
        let mut arrived = incoming.finish(None).await?;
        fs::rename(&arrived.path, &path).await.map_err(|source| at(&path, source))?;
        arrived.path = PathBuf::new();
        Ok(())
    }

    /// Lets `digest` be fetched under this name.
    pub(crate) async fn link(&self, namespace: &str, name: &str, digest: &Digest) -> Result<()> {
        let path = self.link_path(namespace, name, digest);
        let made = async {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).await?;
            }
            fs::write(&path, b"").await
        };
        made.await.map_err(|source| at(&path, source))?;
        touch(&path).await
    }

    /// Whether `digest` may be fetched under this name.
    pub(crate) async fn linked(
        &self,
        namespace: &str,
        name: &str,
        digest: &Digest,
    ) -> Result<bool> {
        let path = self.link_path(namespace, name, digest);
        fs::try_exists(&path).await.map_err(|source| at(&path, source))
    }

    /// Ends that `digest` may be fetched under this name. Whether it could be.
    pub(crate) async fn unlink(
        &self,
        namespace: &str,
        name: &str,
        digest: &Digest,
    ) -> Result<bool> {
        remove_if_there(&self.link_path(namespace, name, digest)).await
    }

    /// Everything of one kind that is older than `age`: blobs, runnables or links.
    pub(crate) async fn older_than(
        &self,
        part: &str,
        age: Duration,
    ) -> Result<Vec<(PathBuf, Digest)>> {
        let limit = SystemTime::from(clock::now()).checked_sub(age);
        let mut found = Vec::new();
        let mut folders = vec![self.dir.join(part)];
        while let Some(folder) = folders.pop() {
            let failed = |source| at(&folder, source);
            let mut entries = fs::read_dir(&folder).await.map_err(failed)?;
            while let Some(entry) = entries.next_entry().await.map_err(failed)? {
                let meta = entry.metadata().await.map_err(failed)?;
                if meta.is_dir() {
                    folders.push(entry.path());
                } else if let Some(digest) = entry.file_name().to_str().and_then(Digest::from_hex)
                    && limit.is_some_and(|limit| meta.modified().is_ok_and(|time| time <= limit))
                {
                    found.push((entry.path(), digest));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes a file that [`older_than`](Self::older_than) gave, unless it was stored again since.
    /// The bytes freed, if it was removed.
    pub(crate) async fn remove(&self, path: &Path, age: Duration) -> Result<Option<u64>> {
        let _removing = self.sweep.write().await;
        let limit = SystemTime::from(clock::now()).checked_sub(age);
        let Ok(meta) = fs::metadata(path).await else { return Ok(None) };
        match meta.modified() {
            Ok(time) if limit.is_some_and(|limit| time <= limit) => {
                Ok(remove_if_there(path).await?.then_some(meta.len()))
            }
            _ => Ok(None),
        }
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.hex())
    }

    fn link_path(&self, namespace: &str, name: &str, digest: &Digest) -> PathBuf {
        self.dir.join("repositories").join(namespace).join(name).join(digest.hex())
    }
}

/// Sets a file's time by the one clock, not by the operating system's.
async fn touch(path: &Path) -> Result<()> {
    let touched = async {
        let file = fs::OpenOptions::new().append(true).open(path).await?.into_std().await;
        file.set_modified(clock::now().into())
    };
    touched.await.map_err(|source| at(path, source))
}

async fn sync_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let synced = async { File::open(parent).await?.sync_all().await };
    synced.await.map_err(|source| at(parent, source))
}

async fn remove_if_there(path: &Path) -> Result<bool> {
    match fs::remove_file(path).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(at(path, source)),
    }
}
