//! The CRI's log format, `<time> <stream> <P|F> <content>`, written and parsed. Pure.

use std::io::Write;

use coracle_sandbox::{Printed, Stdio};
use k8s_openapi::jiff::Timestamp;

/// Longer lines are split into partial ones.
pub(crate) const MAX_LINE: usize = 16 * 1024;

/// The bytes of unfinished lines, a buffer a stream.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: [Vec<u8>; 2],
}

impl Lines {
    /// Appends what `printed` completes to `out`.
    pub(crate) fn take(&mut self, printed: &Printed, at: &str, out: &mut Vec<u8>) {
        let mut rest = &printed.bytes[..];
        let pending = &mut self.pending[index(printed.stream)];
        while !rest.is_empty() {
            let room = MAX_LINE - pending.len();
            let window = &rest[..rest.len().min(room)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    pending.extend_from_slice(&window[..end]);
                    line(out, at, printed.stream, true, pending);
                    pending.clear();
                    rest = &rest[end + 1..];
                }
                None => {
                    pending.extend_from_slice(window);
                    rest = &rest[window.len()..];
                    // A line of exactly the limit is whole if its end follows.
                    if pending.len() == MAX_LINE && rest.first() != Some(&b'\n') {
                        line(out, at, printed.stream, false, pending);
                        pending.clear();
                    } else if pending.len() == MAX_LINE {
                        line(out, at, printed.stream, true, pending);
                        pending.clear();
                        rest = &rest[1..];
                    }
                }
            }
        }
    }

    /// Appends what no line end will complete any more.
    pub(crate) fn finish(&mut self, at: &str, out: &mut Vec<u8>) {
        for stream in [Stdio::Stdout, Stdio::Stderr] {
            let pending = &mut self.pending[index(stream)];
            if !pending.is_empty() {
                line(out, at, stream, true, pending);
                pending.clear();
            }
        }
    }
}

fn index(stream: Stdio) -> usize {
    match stream {
        Stdio::Stdout => 0,
        Stdio::Stderr => 1,
    }
}

/// A time as logs carry it, nine digits after the point.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.9}")
}

fn line(out: &mut Vec<u8>, at: &str, stream: Stdio, full: bool, content: &[u8]) {
    let stream = match stream {
        Stdio::Stdout => "stdout",
        Stdio::Stderr => "stderr",
    };
    // Writing to a vector cannot fail.
    let _ = write!(out, "{at} {stream} {} ", if full { 'F' } else { 'P' });
    out.extend_from_slice(content);
    out.push(b'\n');
}

/// One parsed line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a str,
    pub(crate) stream: Stdio,
    pub(crate) full: bool,
    pub(crate) content: &'a [u8],
}

/// Parses a line without its end; `None` if it is not of the format.
pub(crate) fn parse(bytes: &[u8]) -> Option<Line<'_>> {
    let mut parts = bytes.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stdio::Stdout,
        b"stderr" => Stdio::Stderr,
        _ => return None,
    };
    let full = match parts.next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some(Line { time, stream, full, content: parts.next()? })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn written(writes: &[(Stdio, &[u8])]) -> String {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for (stream, bytes) in writes {
            let printed = Printed { stream: *stream, bytes: Bytes::copy_from_slice(bytes) };
            lines.take(&printed, "T", &mut out);
        }
        lines.finish("T", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_put_together_from_writes() {
        let out = written(&[
            (Stdio::Stdout, b"one\ntw"),
            (Stdio::Stderr, b"error\n"),
            (Stdio::Stdout, b"o\n\nrest"),
        ]);
        assert_eq!(
            out,
            "T stdout F one\nT stderr F error\nT stdout F two\nT stdout F \nT stdout F rest\n"
        );
    }

    #[test]
    fn long_lines_are_split() {
        let long = vec![b'x'; MAX_LINE];
        let exact = [&long[..], b"\n"].concat();
        assert_eq!(
            written(&[(Stdio::Stdout, &exact)]),
            format!("T stdout F {}\n", "x".repeat(MAX_LINE))
        );
        let more = [&long[..], b"y\n"].concat();
        let split = format!("T stdout P {}\nT stdout F y\n", "x".repeat(MAX_LINE));
        assert_eq!(written(&[(Stdio::Stdout, &more)]), split);
        assert_eq!(written(&[(Stdio::Stdout, &more[..10]), (Stdio::Stdout, &more[10..])]), split);
    }

    #[test]
    fn what_is_written_is_parsed() {
        let at = time("2026-11-23T10:00:00.5Z".parse().unwrap());
        assert_eq!(at, "2026-11-23T10:00:00.500000000Z");
        let text = format!("{at} stderr P a b  c");
        let line = parse(text.as_bytes()).unwrap();
        assert_eq!(
            line,
            Line { time: &at, stream: Stdio::Stderr, full: false, content: b"a b  c" }
        );
        assert_eq!(parse(b"2026 stdout F ").unwrap().content, b"");
        for broken in ["", "x", "T stdout", "T stdout F", "T other F x", "T stdout X x"] {
            assert_eq!(parse(broken.as_bytes()), None, "{broken:?}");
        }
    }
}
