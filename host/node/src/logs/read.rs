//! Reading a log back as `kubectl logs` asks for it, across rotated files, and waiting for more.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use coracle_sandbox::Stdio;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;

use super::{LogName, Logs, Progress, cri, files};

/// Bytes handed on at a time.
const CHUNK: usize = 32 * 1024;

/// What of a log is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Only the last lines, this many.
    pub(crate) tail: Option<u64>,
    /// Only what was printed at this time or later.
    pub(crate) since: Option<Timestamp>,
    /// Whether lines begin with their time.
    pub(crate) timestamps: bool,
    /// At most this many bytes.
    pub(crate) limit_bytes: Option<u64>,
    /// Only this stream.
    pub(crate) stream: Option<Stdio>,
    /// Whether to wait for more until the container ends.
    pub(crate) follow: bool,
}

/// A log being read.
pub(crate) struct Reader {
    name: LogName,
    options: Options,
    live: Option<watch::Receiver<Progress>>,
    place: Place,
    /// Where a reader that does not follow ends, as number of file and bytes in it: a container
    /// that prints without end must not make it read without end.
    until: Option<(u64, u64)>,
    remaining: u64,
    /// Whether the next line continues one that has begun.
    continued: bool,
}

/// Where in which file the reader is.
struct Place {
    /// The file's number: that of the rotation that leaves, or left, it behind.
    number: u64,
    file: Option<BufReader<File>>,
    /// Bytes of the file that are read.
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

/// What one look into the files found.
struct Found {
    reader: Reader,
    text: Vec<u8>,
    /// Nothing more is there now.
    end: bool,
}

impl Reader {
    pub(crate) fn new(logs: &Logs, name: LogName, options: Options) -> Self {
        let live = logs.live(&name);
        let remaining = options.limit_bytes.unwrap_or(u64::MAX);
        let place = Place { number: 0, file: None, offset: 0, partial: Vec::new() };
        Self { name, options, live, place, until: None, remaining, continued: false }
    }

    /// Goes to the first line that can be wanted. Blocking.
    pub(crate) fn seek(&mut self) -> io::Result<()> {
        let rotations = files::rotations(&self.name).or_else(absent)?;
        let present = match (&self.live, rotations.last()) {
            (Some(live), _) => live.borrow().rotations,
            (None, Some(last)) => last + 1,
            (None, None) => 0,
        };
        let mut numbers: Vec<u64> = rotations.into_iter().filter(|n| *n < present).collect();
        numbers.push(present);
        if !self.options.follow {
            let size = self.open(present)?.map(|file| file.metadata()).transpose()?;
            self.until = Some((present, size.map_or(0, |metadata| metadata.len())));
        }
        let Some(mut missing) = self.options.tail else {
            self.place.number = numbers.first().copied().unwrap_or_default();
            return Ok(());
        };
        // From the newest file backwards until enough lines are found.
        for number in numbers.into_iter().rev() {
            self.place.number = number;
            let Some(mut file) = self.open(number)? else { continue };
            let size = match self.until {
                Some((last, size)) if last == number => size,
                _ => file.seek(SeekFrom::End(0))?,
            };
            let (start, lines) = last_lines(&mut file, size, missing)?;
            missing -= lines;
            file.seek(SeekFrom::Start(start))?;
            self.place.offset = start;
            self.place.file = Some(BufReader::new(file));
            if missing == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The file of that number, which may be rotated under way. The writer moves a file away before
    /// it begins the next, and says so last.
    fn open(&self, number: u64) -> io::Result<Option<File>> {
        let rotated = files::rotated(&self.name, number);
        loop {
            let said = self.live.as_ref().is_some_and(|live| number < live.borrow().rotations);
            if said || rotated.exists() {
                return opened(&rotated);
            }
            let file = opened(&files::present(&self.name))?;
            // Moved away meanwhile: what is open may be the next one.
            if !rotated.exists() {
                return Ok(file);
            }
        }
    }

    /// The next bytes; `None` at the end, which when following comes with the container's.
    pub(crate) async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            if self.remaining == 0 {
                return Ok(None);
            }
            // Looked at before reading: what is written later shows as a change.
            let seen = self.live.as_mut().map(|live| *live.borrow_and_update());
            let found = tokio::task::spawn_blocking(move || self.look(seen)).await;
            let Found { reader, text, end } = found.map_err(io::Error::other)??;
            self = reader;
            if !text.is_empty() {
                return Ok(Some((text.into(), self)));
            }
            if !end {
                continue;
            }
            let waiting = self.options.follow && seen.is_some_and(|seen| !seen.closed);
            let Some(live) = self.live.as_mut().filter(|_| waiting) else { return Ok(None) };
            // The writer may be gone: one more look finds what it left.
            if live.changed().await.is_err() {
                self.options.follow = false;
            }
        }
    }

    fn look(mut self, seen: Option<Progress>) -> io::Result<Found> {
        let mut text = Vec::new();
        while text.len() < CHUNK && self.remaining > 0 {
            if self.until.is_some_and(|until| (self.place.number, self.place.offset) >= until) {
                return Ok(Found { reader: self, text, end: true });
            }
            if self.place.file.is_none() {
                self.place.file = self.open(self.place.number)?.map(BufReader::new);
            }
            let read = match &mut self.place.file {
                Some(file) => {
                    let limit = (2 * cri::MAX_LINE) as u64;
                    file.take(limit).read_until(b'\n', &mut self.place.partial)?
                }
                None => 0,
            };
            self.place.offset += read as u64;
            if self.place.partial.last() == Some(&b'\n') {
                let mut line = std::mem::take(&mut self.place.partial);
                line.pop();
                self.render(&line, &mut text);
                line.clear();
                self.place.partial = line;
            } else if read == 0 {
                let newest = match seen {
                    Some(seen) => self.place.number >= seen.rotations,
                    None => {
                        let next = self.place.number + 1;
                        !files::rotated(&self.name, self.place.number).exists()
                            && !files::rotated(&self.name, next).exists()
                    }
                };
                if newest {
                    return Ok(Found { reader: self, text, end: true });
                }
                self.place.number += 1;
                self.place.file = None;
                self.place.offset = 0;
                self.place.partial.clear();
            }
        }
        Ok(Found { reader: self, text, end: false })
    }

    /// Appends a line to `text` if it is wanted.
    fn render(&mut self, bytes: &[u8], text: &mut Vec<u8>) {
        let Some(line) = cri::parse(bytes) else { return };
        if self.options.stream.is_some_and(|stream| stream != line.stream) {
            return;
        }
        if let Some(since) = self.options.since {
            match line.time.parse::<Timestamp>() {
                Ok(time) if time >= since => {}
                _ => return,
            }
        }
        let from = text.len();
        if self.options.timestamps && !self.continued {
            text.extend_from_slice(line.time.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(line.content);
        if line.full {
            text.push(b'\n');
        }
        self.continued = !line.full;
        let added = (text.len() - from) as u64;
        if added > self.remaining {
            text.truncate(from + usize::try_from(self.remaining).unwrap_or(usize::MAX));
        }
        self.remaining = self.remaining.saturating_sub(added);
    }
}

fn opened(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn absent(error: io::Error) -> io::Result<Vec<u64>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

/// Where the last `wanted` lines of a file's first `end` bytes begin, and how many lines that is.
fn last_lines(file: &mut File, mut end: u64, wanted: u64) -> io::Result<(u64, u64)> {
    if wanted == 0 {
        return Ok((end, 0));
    }
    let mut found = 0;
    let mut block = vec![0; 64 * 1024];
    while end > 0 {
        let length = end.min(block.len() as u64);
        let start = end - length;
        file.seek(SeekFrom::Start(start))?;
        let bytes = &mut block[..usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact(bytes)?;
        for (index, byte) in bytes.iter().enumerate().rev() {
            if *byte == b'\n' {
                if found == wanted {
                    return Ok((start + index as u64 + 1, found));
                }
                found += 1;
            }
        }
        end = start;
    }
    Ok((0, found))
}

/// The last `lines` lines of a finished log, at most `bytes` bytes of it. Blocking.
pub(crate) fn tail(name: &LogName, lines: u64, bytes: usize) -> io::Result<String> {
    let options = Options { tail: Some(lines), ..Options::default() };
    let place = Place { number: 0, file: None, offset: 0, partial: Vec::new() };
    let mut reader = Reader {
        name: name.clone(),
        options,
        live: None,
        place,
        until: None,
        remaining: u64::MAX,
        continued: false,
    };
    reader.seek()?;
    let mut all = Vec::new();
    loop {
        let found = reader.look(None)?;
        all.extend(found.text);
        reader = found.reader;
        if found.end {
            break;
        }
    }
    let cut = all.len().saturating_sub(bytes);
    Ok(String::from_utf8_lossy(&all[cut..]).into_owned())
}
