//! What the store does with its disk, shown on one that can be watched, stopped and broken.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::redb::backends::InMemoryBackend;
use ::redb::{Database, StorageBackend};
use futures::{FutureExt, StreamExt};
use tokio::task::JoinSet;

use super::{File, RedbStore};
use crate::{Error, Options, Store, Value};

#[derive(Debug, Default)]
struct Disk {
    memory: InMemoryBackend,
    /// Held by a test, it holds every flush back.
    gate: Mutex<()>,
    syncs: AtomicUsize,
    broken: AtomicBool,
}

impl Disk {
    fn syncs(&self) -> usize {
        self.syncs.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug, Default)]
struct Handle(Arc<Disk>);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.0.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let _passed = self.0.gate.lock().unwrap();
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.0.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.memory.write(offset, data)
    }
}

fn open(disk: &Handle, lazy_delay: Duration) -> Arc<RedbStore> {
    let database = Database::builder().create_with_backend(disk.clone()).unwrap();
    let (file, entries) = File::of(Path::new("memory"), database).unwrap();
    let options = Options { lazy_delay, ..Options::default() };
    Arc::new(RedbStore::start(file, entries, options).unwrap())
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn nothing_is_seen_before_it_is_durable() {
    let disk = Handle::default();
    let store = open(&disk, HOUR);
    let mut watch = store.watch("/", 0).await.unwrap();
    let gate = disk.0.gate.lock().unwrap();
    let mut write = store.create("/a", Value::plain("x"));
    // As long as the disk does not answer, nobody is told; each look lets the writer go on.
    for _ in 0..100 {
        assert!((&mut write).now_or_never().is_none());
        assert!(store.get("/a").now_or_never().unwrap().unwrap().is_none());
        assert!(watch.next().now_or_never().is_none());
        std::thread::yield_now();
    }
    drop(gate);
    assert_eq!(write.await.unwrap().modified, 1);
    assert!(store.get("/a").await.unwrap().is_some());
    assert_eq!(watch.next().await.unwrap().unwrap().entry.modified, 1);
}

#[tokio::test]
async fn writers_share_a_flush() {
    let disk = Handle::default();
    let store = open(&disk, HOUR);
    store.create("/first", Value::plain("x")).await.unwrap();
    let before = disk.0.syncs();
    let mut writes = JoinSet::new();
    {
        let _gate = disk.0.gate.lock().unwrap();
        for n in 0..100 {
            let mut write = {
                let store = store.clone();
                Box::pin(async move { store.create(&format!("/{n}"), Value::plain("x")).await })
            };
            assert!((&mut write).now_or_never().is_none());
            writes.spawn(write);
        }
    }
    let mut revisions: Vec<_> =
        writes.join_all().await.into_iter().map(|entry| entry.unwrap().modified).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=101).collect::<Vec<_>>());
    let syncs = disk.0.syncs() - before;
    assert!(syncs <= 8, "{syncs} flushes for 100 writes");
}

#[tokio::test]
async fn lazy_writes_wait_for_the_next_durable_one() {
    let disk = Handle::default();
    let store = open(&disk, HOUR);
    let mut entry = store.create("/lease", Value::plain("0")).await.unwrap();
    let quiet = disk.0.syncs();
    for n in 1..50 {
        let value = Value::plain(n.to_string()).lazy();
        entry = store.update("/lease", value, entry.modified).await.unwrap();
    }
    assert_eq!(disk.0.syncs(), quiet);
    store.create("/other", Value::plain("x")).await.unwrap();
    assert!(disk.0.syncs() > quiet);
    store.update("/lease", Value::plain("last").lazy(), entry.modified).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = open(&disk, HOUR);
    assert_eq!(store.get("/lease").await.unwrap().unwrap().value, "last");
    assert_eq!(store.revision().await.unwrap(), 52);
}

#[tokio::test]
async fn lazy_writes_reach_the_disk_in_time() {
    let disk = Handle::default();
    let store = open(&disk, Duration::from_millis(20));
    let entry = store.create("/lease", Value::plain("0")).await.unwrap();
    let quiet = disk.0.syncs();
    store.update("/lease", Value::plain("1").lazy(), entry.modified).await.unwrap();
    while disk.0.syncs() == quiet {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_broken_disk_stops_all_writing() {
    let disk = Handle::default();
    let store = open(&disk, HOUR);
    let kept = store.create("/kept", Value::plain("x")).await.unwrap();
    let mut watch = store.watch("/", kept.modified).await.unwrap();
    disk.0.broken.store(true, Ordering::SeqCst);
    let failed = store.create("/lost", Value::plain("x")).await;
    assert!(matches!(failed, Err(Error::Backend(_))));
    disk.0.broken.store(false, Ordering::SeqCst);
    for value in [Value::plain("y"), Value::plain("y").lazy()] {
        let error = store.update("/kept", value, kept.modified).await.err().unwrap().to_string();
        assert!(error.contains("nothing is written until it is opened again"), "{error}");
        assert!(error.contains("the disk is gone"), "{error}");
    }
    assert_eq!(store.get("/kept").await.unwrap().unwrap().value, "x");
    assert!(store.get("/lost").await.unwrap().is_none());
    assert_eq!(store.revision().await.unwrap(), kept.modified);
    assert!(store.close().await.is_err());
    assert!(watch.next().await.is_none());
}
