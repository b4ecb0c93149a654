//! The file: two redb tables, `state` with the newest state of every key, and `meta` with the
//! format's number and the highest revision that may have been given to a write.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition,
};
use bytes::Bytes;

use crate::history::{Entries, live_bytes};
use crate::{Entry, Error, Result, Revision};

const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const FORMAT_KEY: &str = "format";
const FORMAT: u64 = 1;
const RESERVED_KEY: &str = "reserved";

/// What stands before a value: its created and modified revisions, and the bounds of its hole
/// (both 0 without one), little-endian.
const HEADER: usize = 8 + 8 + 4 + 4;

/// redb's own cache. Reads never reach it, so it only has to hold the pages being written.
const CACHE: usize = 16 << 20;

/// A file is compacted when it is larger than `BLOAT` times what it holds, plus `SLACK`.
const BLOAT: u64 = 3;
const SLACK: u64 = 16 << 20;

/// States to be written; `None` removes the key.
pub(super) type Changes = BTreeMap<Arc<str>, Option<Arc<Entry>>>;

/// What can be wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    #[error("cannot open {0}: {1}")]
    Open(PathBuf, #[source] ::redb::Error),
    #[error("cannot make {0}: {1}")]
    Make(PathBuf, #[source] io::Error),
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] ::redb::Error),
    #[error("{0} belongs to another program")]
    Foreign(PathBuf),
    #[error("{0} has format {1}, and this version reads only format {FORMAT}")]
    Format(PathBuf, u64),
    #[error("{0} is damaged: the record of {1:?} cannot be read")]
    Damaged(PathBuf, String),
    #[error("cannot start the writer: {0}")]
    Thread(#[source] io::Error),
    #[error("a write to {0} failed, and nothing is written until it is opened again: {1}")]
    Poisoned(PathBuf, Arc<::redb::Error>),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Backend(Box::new(failure))
    }
}

/// The open file.
pub(super) struct File {
    path: PathBuf,
    database: Database,
    /// The highest revision that may be given to a write, as the file has it.
    reserved: Revision,
    /// How long the file was after it was last compacted.
    compacted: u64,
}

impl File {
    /// Opens the file, or makes one, and reads everything in it.
    pub(super) fn open(path: &Path) -> Result<(Self, Entries)> {
        make(path).map_err(|error| Failure::Make(path.into(), error))?;
        let database = Database::builder().set_cache_size(CACHE).create(path);
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Failure::InUse(path.into()),
            error => Failure::Open(path.into(), error.into()),
        })?;
        Self::of(path, database)
    }

    /// Reads everything in `database`, which is at `path`.
    pub(super) fn of(path: &Path, database: Database) -> Result<(Self, Entries)> {
        let mut file = Self { path: path.into(), database, reserved: 0, compacted: 0 };
        let reading = file.database.begin_read().map_err(|error| file.unreadable(error))?;
        let tables = reading.list_tables().map_err(|error| file.unreadable(error))?.count();
        let entries = if tables == 0 {
            drop(reading);
            file.format().map_err(|error| file.unreadable(error))?;
            Entries::new()
        } else {
            file.reserved = file.read_meta(&reading)?;
            file.read_state(&reading)?
        };
        file.compact_if_bloated(live_bytes(&entries));
        Ok((file, entries))
    }

    fn unreadable(&self, error: impl Into<::redb::Error>) -> Failure {
        Failure::Read(self.path.clone(), error.into())
    }

    /// Makes the tables of a new file.
    fn format(&self) -> Result<(), ::redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(STATE)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT)?;
        meta.insert(RESERVED_KEY, 0)?;
        drop(meta);
        transaction.commit()?;
        Ok(())
    }

    fn read_meta(&self, reading: &ReadTransaction) -> Result<Revision, Failure> {
        let foreign = |_| Failure::Foreign(self.path.clone());
        let meta = reading.open_table(META).map_err(foreign)?;
        let number = |key| {
            let value = meta.get(key).map_err(|error| self.unreadable(error))?;
            value.map(|value| value.value()).ok_or_else(|| Failure::Foreign(self.path.clone()))
        };
        let format = number(FORMAT_KEY)?;
        if format != FORMAT {
            return Err(Failure::Format(self.path.clone(), format));
        }
        number(RESERVED_KEY)
    }

    fn read_state(&self, reading: &ReadTransaction) -> Result<Entries, Failure> {
        let state = reading.open_table(STATE).map_err(|error| self.unreadable(error))?;
        let mut entries = Vec::new();
        for record in state.iter().map_err(|error| self.unreadable(error))? {
            let (key, bytes) = record.map_err(|error| self.unreadable(error))?;
            let key: Arc<str> = key.value().into();
            let entry = decode(key.clone(), bytes.value())
                .ok_or_else(|| Failure::Damaged(self.path.clone(), key.to_string()))?;
            entries.push((key, Arc::new(entry)));
        }
        Ok(entries.into_iter().collect())
    }

    /// The highest revision that may have been given to a write.
    pub(super) fn reserved(&self) -> Revision {
        self.reserved
    }

    /// Writes the changes and the new bound of revisions, all or nothing, and waits for the disk.
    pub(super) fn save(
        &mut self,
        changes: &Changes,
        reserved: Revision,
    ) -> Result<(), ::redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut state = transaction.open_table(STATE)?;
        for (key, entry) in changes {
            match entry {
                Some(entry) => put(&mut state, entry)?,
                None => {
                    state.remove(&**key)?;
                }
            }
        }
        drop(state);
        if reserved != self.reserved {
            transaction.open_table(META)?.insert(RESERVED_KEY, reserved)?;
        }
        transaction.commit()?;
        self.reserved = reserved;
        Ok(())
    }

    /// Why nothing may be written any more, after `error`.
    pub(super) fn poisoned(&self, error: Arc<::redb::Error>) -> Failure {
        Failure::Poisoned(self.path.clone(), error)
    }

    /// Gives free space back, if the file is much larger than the `live` bytes in it. A failure
    /// costs only the space.
    pub(super) fn compact_if_bloated(&mut self, live: u64) {
        let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let before = length(&self.path);
        if before <= live * BLOAT + SLACK || before <= self.compacted * 2 {
            return;
        }
        match self.database.compact() {
            Ok(_) => {
                self.compacted = length(&self.path);
                tracing::info!(before, after = self.compacted, live, "compacted the store's file");
            }
            Err(error) => tracing::warn!(%error, "cannot compact the store's file"),
        }
    }

    /// Closes the file.
    pub(super) fn close(self) -> Result<(), ::redb::Error> {
        Ok(self.database.close()?)
    }
}

/// Makes the file, empty, if it is not there: for its owner only, as it will hold secrets, and
/// with its name durable before anything in it is.
fn make(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn put(state: &mut Table<'_, &str, &[u8]>, entry: &Entry) -> Result<(), ::redb::Error> {
    let (start, end) = entry.hole.as_ref().map_or((0, 0), |hole| (hole.start, hole.end));
    let position = |at: usize| u32::try_from(at).map_err(|_| ::redb::Error::ValueTooLarge(at));
    let (start, end) = (position(start)?, position(end)?);
    let mut slot = state.insert_reserve(&*entry.key, HEADER + entry.value.len())?;
    let (header, value) = slot.as_mut().split_at_mut(HEADER);
    header[..8].copy_from_slice(&entry.created.to_le_bytes());
    header[8..16].copy_from_slice(&entry.modified.to_le_bytes());
    header[16..20].copy_from_slice(&start.to_le_bytes());
    header[20..].copy_from_slice(&end.to_le_bytes());
    value.copy_from_slice(&entry.value);
    Ok(())
}

fn decode(key: Arc<str>, bytes: &[u8]) -> Option<Entry> {
    let (created, rest) = bytes.split_first_chunk()?;
    let (modified, rest) = rest.split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk()?;
    let (end, value) = rest.split_first_chunk()?;
    let start = usize::try_from(u32::from_le_bytes(*start)).ok()?;
    let end = usize::try_from(u32::from_le_bytes(*end)).ok()?;
    let hole = (end > 0).then_some(start..end);
    if hole.as_ref().is_some_and(|hole| value.get(hole.clone()).is_none()) {
        return None;
    }
    let value = Bytes::copy_from_slice(value);
    let (created, modified) = (u64::from_le_bytes(*created), u64::from_le_bytes(*modified));
    Some(Entry::restored(key, value, hole, created, modified))
}
