//! The process is killed (SIGKILL) in the middle of many concurrent writers, again and again;
//! what it had acknowledged must be there, and nothing by halves.
//!
//! The test runs itself again as the writer. Each of its tasks walks a fixed path of creates,
//! updates and deletes over keys of its own, some of them lazy, one after another, and prints a
//! line for each answer. So after a crash each task's part of the store must be what its path
//! gives after the last acknowledged step, or after the one step that was in flight; except that
//! lazy steps at the end, behind all that was acknowledged as durable, may be lost.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use coracle_store::{Entry, Range, RedbStore, Revision, Store, Value};

const ROUNDS: u64 = 24;
const TASKS: u64 = 64;
const KEYS: u64 = 5;
const SEED: u64 = 20_261_123;

/// How the writer is told what to do: the file and the round.
const FILE: &str = "CORACLE_CRASH_FILE";
const ROUND: &str = "CORACLE_CRASH_ROUND";

/// A pure mixture of numbers, so that both processes know every path (splitmix64).
fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(SEED, |seed, part| {
        let mut z = (seed ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// One step of a task's path: what becomes of which key.
#[derive(Clone, Copy, Debug)]
struct Step {
    task: u64,
    number: u64,
    key: u64,
    /// Removes the key if it exists.
    removes: bool,
    lazy: bool,
}

impl Step {
    fn new(round: u64, task: u64, number: u64) -> Self {
        let dice = mix(&[round, task, number]);
        let (key, removes, lazy) = (dice % KEYS, dice & 0x300 == 0, dice & 0x3_0000 == 0);
        // Numbers of different rounds must differ, since they are what a value is known by.
        Self { task, number: (round << 32) | number, key, removes, lazy }
    }

    fn key(&self) -> String {
        format!("/task/{:02}/{}", self.task, self.key)
    }

    /// `number padding` before the hole and the padding's sum behind it.
    fn value(&self) -> Value {
        let dice = mix(&[self.task, self.number]);
        let byte = b'a' + u8::try_from(dice % 26).unwrap();
        let length = usize::try_from((dice >> 8) % 2048).unwrap();
        let padding = String::from_utf8(vec![byte; length]).unwrap();
        let head = format!("{} {padding} ", self.number);
        let sum = usize::from(byte) * length;
        let value = Value::with_hole(head, format!(" {sum}"));
        if self.lazy { value.lazy() } else { value }
    }
}

/// The number of the step that wrote the entry, if all of the entry is as that step wrote it.
fn written_by(entry: &Entry) -> Option<u64> {
    let text = std::str::from_utf8(&entry.value).ok()?;
    let [number, padding, revision, sum] = text.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let whole = padding.bytes().map(usize::from).sum::<usize>() == sum.parse::<usize>().ok()?
        && revision.parse() == Ok(entry.modified)
        && entry.hole.clone().and_then(|hole| text.get(hole)) == Some(revision)
        && entry.created <= entry.modified;
    if whole { number.parse().ok() } else { None }
}

/// The writer that is killed. Does nothing unless the other test started it.
#[test]
fn writer() {
    let (Ok(file), Ok(round)) = (std::env::var(FILE), std::env::var(ROUND)) else { return };
    let round = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(Path::new(&file)).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            tasks.spawn(walk(store.clone(), round, task));
        }
        tasks.join_all().await;
    });
}

async fn walk(store: Arc<dyn Store>, round: u64, task: u64) {
    for number in 0.. {
        let step = Step::new(round, task, number);
        let (key, value) = (step.key(), step.value());
        let (verb, entry) = match store.get(&key).await.unwrap() {
            None => ("wrote", store.create(&key, value).await),
            Some(old) if step.removes => ("removed", store.delete(&key, value, old.modified).await),
            Some(old) => ("wrote", store.update(&key, value, old.modified).await),
        };
        let revision = entry.unwrap().modified;
        // In one piece, and not by `print!`, which the harness may hold back.
        let line = format!("\nACK {task} {number} {verb} {revision} .\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}

/// An acknowledged step.
struct Acknowledged {
    step: Step,
    removed: bool,
    revision: Revision,
}

fn acknowledged(round: u64, line: &str) -> Option<Acknowledged> {
    let words: Vec<_> = line.split(' ').collect();
    let ["ACK", task, number, verb, revision, "."] = words[..] else { return None };
    let step = Step::new(round, task.parse().ok()?, number.parse().ok()?);
    Some(Acknowledged { step, removed: verb == "removed", revision: revision.parse().ok()? })
}

/// Runs the writer on the file, kills it after `count` answers, and returns all that it gave.
fn killed_after(file: &Path, round: u64, count: u64) -> Vec<Acknowledged> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut answers = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines {
        answers.extend(acknowledged(round, &line.unwrap()));
        if u64::try_from(answers.len()).unwrap() == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(u64::try_from(answers.len()).unwrap() >= count, "the writer ended by itself");
    answers
}

/// Which step each key was last written by; absent keys are not listed.
type Known = BTreeMap<String, u64>;

/// Whether `found` is what `before` and the first `steps` of a task's steps give.
fn reaches(before: &Known, steps: &[(Step, bool)], found: &Known) -> bool {
    let mut known = before.clone();
    for (step, removed) in steps {
        if *removed {
            known.remove(&step.key());
        } else {
            known.insert(step.key(), step.number);
        }
    }
    known == *found
}

/// Holds what a task left behind against its path.
fn judge(
    round: u64,
    task: u64,
    before: &Known,
    found: &Known,
    answers: &[&Acknowledged],
    durable: Revision,
) {
    let mut steps: Vec<_> = answers.iter().map(|answer| (answer.step, answer.removed)).collect();
    for (number, answer) in (0..).zip(answers) {
        assert_eq!(answer.step.number, (round << 32) | number, "answers are in order");
    }
    // What stands at or below a durable answer's revision went to the disk before it.
    let least = answers.iter().filter(|answer| answer.revision <= durable).count();
    let flying = Step::new(round, task, u64::try_from(steps.len()).unwrap());
    steps.push((flying, false));
    let mut possible = (least..=steps.len()).any(|count| reaches(before, &steps[..count], found));
    if let Some(last) = steps.last_mut() {
        last.1 = true;
        possible |= reaches(before, &steps, found);
    }
    assert!(possible, "round {round}, task {task}: {before:?} became {found:?}");
}

#[test]
fn nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    let mut highest = 0;
    for round in 0..ROUNDS {
        let answers = killed_after(&file, round, 1 + mix(&[round]) % 3000);
        assert!(answers.iter().all(|answer| answer.revision > highest), "a revision came again");
        highest = answers.iter().map(|answer| answer.revision).max().unwrap();
        let durable = answers.iter().filter(|answer| !answer.step.lazy);
        let durable = durable.map(|answer| answer.revision).max().unwrap_or(0);

        // Every other round the next writer gets the file as the crash left it.
        let judged = folder.path().join("judged");
        let judged = if round % 2 == 0 {
            file.clone()
        } else {
            std::fs::copy(&file, &judged).unwrap();
            judged
        };
        let store = RedbStore::open(&judged).unwrap();
        let (page, revision) = runtime.block_on(async {
            let page = store.range("", Range::default()).await.unwrap();
            (page, store.revision().await.unwrap())
        });
        assert!(revision >= highest, "revision {revision} is behind {highest}");

        let mut found: BTreeMap<u64, Known> = BTreeMap::new();
        for entry in &page.entries {
            let number = written_by(entry).unwrap_or_else(|| panic!("{entry:?} is damaged"));
            assert!(entry.modified <= revision);
            let task = entry.key.split('/').nth(2).unwrap().parse().unwrap();
            found.entry(task).or_default().insert(entry.key.to_string(), number);
        }
        for task in 0..TASKS {
            let answers: Vec<_> = answers.iter().filter(|a| a.step.task == task).collect();
            let before = known.entry(task).or_default();
            let after = found.remove(&task).unwrap_or_default();
            judge(round, task, before, &after, &answers, durable);
            *before = after;
        }
        runtime.block_on(store.close()).unwrap();
        highest = revision.max(highest);
    }
}
