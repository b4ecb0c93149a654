//! Text, line by line: `cat`, `cut`, `echo`, `grep`, `head`, `sort`, `tail`, `tee`, `tr`, `uniq`, `wc`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use regex_lite::{Regex, RegexBuilder};

use super::printf;
use crate::call::{Call, Failure, HELD_AT_MOST, Input, Outcome, TERMINATED, read_text};

/// How long `tail -f` waits before it looks again.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn echo(call: &mut Call<'_>) -> Outcome {
    let mut words = call.arguments.get(1..).unwrap_or_default();
    let (mut newline, mut escapes) = (true, false);
    while let Some((first, rest)) = words.split_first() {
        let Some(letters) = first.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            break;
        };
        if !letters.chars().all(|letter| "neE".contains(letter)) {
            break;
        }
        for letter in letters.chars() {
            match letter {
                'n' => newline = false,
                letter => escapes = letter == 'e',
            }
        }
        words = rest;
    }
    let text = words.join(" ");
    let (mut bytes, goes_on) =
        if escapes { printf::unescaped(&text) } else { (text.into_bytes(), true) };
    if newline && goes_on {
        bytes.push(b'\n');
    }
    call.io.output.write_all(&bytes)?;
    Ok(0)
}

/// Copies until the end, or until the pod is asked to end.
fn pass(call: &Call<'_>, from: &mut Input, into: &mut [&mut dyn Write]) -> io::Result<Option<u8>> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(None);
        }
        for one in &mut *into {
            one.write_all(buffer.get(..length).unwrap_or_default())?;
        }
        if (call.host.asked_to_end)() {
            return Ok(Some(TERMINATED));
        }
    }
}

pub(super) fn cat(call: &mut Call<'_>) -> Outcome {
    let options = call.options("u", "")?;
    for (name, mut input) in call.inputs(&options.rest)? {
        let mut output = call.io.output.clone();
        let ended = pass(call, &mut input, &mut [&mut output]);
        if let Some(code) = ended.map_err(|error| Failure::of_file(&name, &error))? {
            return Ok(code);
        }
    }
    Ok(0)
}

pub(super) fn tee(call: &mut Call<'_>) -> Outcome {
    let options = call.options("a", "")?;
    let mut files = Vec::new();
    for name in &options.rest {
        let mut open = OpenOptions::new();
        open.create(true).write(true).append(options.has('a')).truncate(!options.has('a'));
        files.push(open.open(call.path(name)).map_err(|error| Failure::of_file(name, &error))?);
    }
    let (mut input, mut output) = (call.io.input.clone(), call.io.output.clone());
    let mut all: Vec<&mut dyn Write> = vec![&mut output];
    all.extend(files.iter_mut().map(|file| file as &mut dyn Write));
    Ok(pass(call, &mut input, &mut all)?.unwrap_or(0))
}

/// What `each` makes of every line, which it gets without its end. It says whether to go on.
fn each_line(
    input: &mut Input,
    mut each: impl FnMut(&[u8]) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut reader = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = HELD_AT_MOST as u64;
        if (&mut reader).take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() >= HELD_AT_MOST {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "the line is too long").into());
        }
        if !each(line.strip_suffix(b"\n").unwrap_or(&line))? {
            return Ok(());
        }
    }
}

fn put_line(call: &mut Call<'_>, line: &[u8]) -> Result<(), Failure> {
    call.io.output.write_all(line)?;
    Ok(call.io.output.write_all(b"\n")?)
}

/// `-5` for `-n 5`.
fn with_count(call: &mut Call<'_>) {
    if let Some(first) = call.arguments.get_mut(1)
        && let Some(digits) = first.strip_prefix('-')
        && !digits.is_empty()
        && digits.chars().all(|letter| letter.is_ascii_digit())
    {
        *first = format!("-n{digits}");
    }
}

fn count(text: Option<&str>) -> Result<usize, Failure> {
    let text = text.unwrap_or("10");
    text.parse().map_err(|_| Failure::new(2, format!("invalid number '{text}'")))
}

pub(super) fn head(call: &mut Call<'_>) -> Outcome {
    with_count(call);
    let options = call.options("q", "nc")?;
    for (name, mut input) in call.inputs(&options.rest)? {
        if let Some(bytes) = options.value('c') {
            let mut some = input.take(count(Some(bytes))? as u64);
            io::copy(&mut some, &mut call.io.output)
                .map_err(|error| Failure::of_file(&name, &error))?;
            continue;
        }
        let mut left = count(options.value('n'))?;
        if left == 0 {
            continue;
        }
        each_line(&mut input, |line| {
            put_line(call, line)?;
            left -= 1;
            Ok(left > 0)
        })?;
    }
    Ok(0)
}

pub(super) fn tail(call: &mut Call<'_>) -> Outcome {
    with_count(call);
    let options = call.options("fFq", "nc")?;
    let follows = options.has('f') || options.has('F');
    if follows && options.rest.len() > 1 {
        return Err(Failure::new(2, "option -f is there for one file only"));
    }
    for (_, mut input) in call.inputs(&options.rest)? {
        if let Some(bytes) = options.value('c') {
            let bytes_wanted = count(Some(bytes))?;
            let mut all = Vec::new();
            (&mut input).take(HELD_AT_MOST as u64).read_to_end(&mut all)?;
            let last = all.get(all.len().saturating_sub(bytes_wanted)..).unwrap_or_default();
            call.io.output.write_all(last)?;
            continue;
        }
        let text = options.value('n');
        let from_start = text.and_then(|text| text.strip_prefix('+'));
        let mut number = 0_usize;
        if let Some(first) = from_start {
            let first = count(Some(first))?;
            each_line(&mut input, |line| {
                number += 1;
                if number >= first { put_line(call, line).map(|()| true) } else { Ok(true) }
            })?;
        } else {
            let wanted = count(text.map(|text| text.trim_start_matches('-')))?;
            let mut last = std::collections::VecDeque::new();
            let mut held = 0_usize;
            each_line(&mut input, |line| {
                held += line.len();
                last.push_back(line.to_vec());
                if last.len() > wanted {
                    held -= last.pop_front().map_or(0, |line| line.len());
                }
                if held > HELD_AT_MOST {
                    return Err(Failure::new(1, "the last lines are too long"));
                }
                Ok(true)
            })?;
            for line in last {
                put_line(call, &line)?;
            }
        }
    }
    match options.rest.first().filter(|_| follows) {
        Some(name) => follow(call, name),
        None => Ok(0),
    }
}

/// Prints what is added to a file, until the pod is asked to end.
fn follow(call: &mut Call<'_>, name: &str) -> Outcome {
    let place = call.path(name);
    let empty = name == "/dev/null";
    let mut at = if empty { 0 } else { std::fs::metadata(&place)?.len() };
    loop {
        call.io.output.flush()?;
        if let Some(code) = call.sleep(LOOKS_AGAIN) {
            return Ok(code);
        }
        if empty {
            continue;
        }
        let Ok(mut file) = File::open(&place) else { continue };
        // A file that has become shorter has begun anew.
        at = at.min(file.metadata()?.len());
        file.seek(SeekFrom::Start(at))?;
        at += io::copy(&mut file, &mut call.io.output)?;
    }
}

pub(super) fn wc(call: &mut Call<'_>) -> Outcome {
    let options = call.options("lwc", "")?;
    let all = !['l', 'w', 'c'].into_iter().any(|letter| options.has(letter));
    let inputs = call.inputs(&options.rest)?;
    let several = inputs.len() > 1;
    let mut total = [0_u64; 3];
    let print = |call: &mut Call<'_>, counts: [u64; 3], name: &str| {
        let shown = [('l', counts[0]), ('w', counts[1]), ('c', counts[2])];
        let shown: Vec<String> = shown
            .into_iter()
            .filter(|(letter, _)| all || options.has(*letter))
            .map(|(_, count)| count.to_string())
            .collect();
        let name = if name == "-" { String::new() } else { format!(" {name}") };
        writeln!(call.io.output, "{}{name}", shown.join(" "))
    };
    for (name, mut input) in inputs {
        let (mut counts, mut buffer, mut in_word) = ([0_u64; 3], vec![0; 16 << 10], false);
        loop {
            let length = input.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            for byte in buffer.get(..length).unwrap_or_default() {
                counts[0] += u64::from(*byte == b'\n');
                let letter = !byte.is_ascii_whitespace();
                counts[1] += u64::from(letter && !in_word);
                in_word = letter;
            }
            counts[2] += length as u64;
        }
        print(call, counts, &name)?;
        for (total, count) in total.iter_mut().zip(counts) {
            *total += count;
        }
    }
    if several {
        print(call, total, "total")?;
    }
    Ok(0)
}

/// `grep [-vinqcoEFxw] PATTERN [FILE...]`. Basic patterns are read as extended ones are, but for
/// what they mean literally.
pub(super) fn grep(call: &mut Call<'_>) -> Outcome {
    let options = call.options("vinqcoEFxwhs", "e")?;
    let mut rest = options.rest.iter();
    let pattern = match options.value('e') {
        Some(pattern) => pattern,
        None => rest.next().ok_or_else(|| Failure::new(2, "usage: grep PATTERN [FILE...]"))?,
    };
    let files: Vec<String> = rest.cloned().collect();
    let mut source = match (options.has('F'), options.has('E')) {
        (true, _) => regex_lite::escape(pattern),
        (_, true) => pattern.to_owned(),
        _ => extended(pattern),
    };
    if options.has('w') {
        source = format!(r"\b(?:{source})\b");
    }
    if options.has('x') {
        source = format!("^(?:{source})$");
    }
    let regex: Regex = RegexBuilder::new(&source)
        .case_insensitive(options.has('i'))
        .build()
        .map_err(|error| Failure::new(2, format!("bad regex '{pattern}': {error}")))?;
    let inputs = call.inputs(&files).map_err(|failure| Failure::new(2, failure.message))?;
    let named = inputs.len() > 1 && !options.has('h');
    let mut found = false;
    for (name, mut input) in inputs {
        let (mut number, mut count) = (0_u64, 0_u64);
        each_line(&mut input, |line| {
            number += 1;
            let text = String::from_utf8_lossy(line);
            if regex.is_match(&text) == options.has('v') {
                return Ok(true);
            }
            found = true;
            count += 1;
            if options.has('q') {
                return Ok(false);
            }
            if options.has('c') {
                return Ok(true);
            }
            let mut before = if named { format!("{name}:") } else { String::new() };
            if options.has('n') {
                before.push_str(&format!("{number}:"));
            }
            if options.has('o') && !options.has('v') {
                for one in regex.find_iter(&text).filter(|one| !one.is_empty()) {
                    writeln!(call.io.output, "{before}{}", one.as_str())?;
                }
            } else {
                call.io.output.write_all(before.as_bytes())?;
                put_line(call, line)?;
            }
            Ok(true)
        })?;
        if options.has('q') && found {
            break;
        }
        if options.has('c') {
            let before = if named { format!("{name}:") } else { String::new() };
            writeln!(call.io.output, "{before}{count}")?;
        }
    }
    Ok(u8::from(!found))
}

/// A basic regular expression as an extended one: what means something only after a backslash
/// there means it only without one here.
fn extended(basic: &str) -> String {
    let mut out = String::new();
    let mut letters = basic.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(letter @ ('+' | '?' | '|' | '(' | ')' | '{' | '}')) => out.push(letter),
                Some(other) => out.extend(['\\', other]),
                None => out.push_str(r"\\"),
            },
            '+' | '?' | '|' | '(' | ')' | '{' | '}' => out.extend(['\\', letter]),
            // At the beginning a star stands for itself.
            '*' if out.is_empty() || out == "^" => out.push_str(r"\*"),
            letter => out.push(letter),
        }
    }
    out
}

pub(super) fn sort(call: &mut Call<'_>) -> Outcome {
    let options = call.options("rnu", "")?;
    let mut lines: Vec<String> = Vec::new();
    for (_, mut input) in call.inputs(&options.rest)? {
        lines.extend(read_text(&mut input)?.lines().map(str::to_owned));
    }
    if options.has('n') {
        let number = |line: &String| -> f64 {
            let line = line.trim_start();
            let end = line.find(|letter: char| !letter.is_ascii_digit() && !".-".contains(letter));
            line.get(..end.unwrap_or(line.len()))
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0.0)
        };
        lines.sort_by(|left, right| {
            number(left).total_cmp(&number(right)).then_with(|| left.cmp(right))
        });
    } else {
        lines.sort();
    }
    if options.has('u') {
        lines.dedup();
    }
    if options.has('r') {
        lines.reverse();
    }
    for line in lines {
        put_line(call, line.as_bytes())?;
    }
    Ok(0)
}

pub(super) fn uniq(call: &mut Call<'_>) -> Outcome {
    let options = call.options("cd", "")?;
    let mut input = match call.inputs(&options.rest)?.into_iter().next() {
        Some((_, input)) => input,
        None => return Ok(0),
    };
    let print = |call: &mut Call<'_>, line: &[u8], count: u64| {
        if options.has('d') && count < 2 {
            return Ok(());
        }
        if options.has('c') {
            write!(call.io.output, "{count:>7} ")?;
        }
        put_line(call, line)
    };
    let mut last: Option<(Vec<u8>, u64)> = None;
    each_line(&mut input, |line| {
        match &mut last {
            Some((known, count)) if known == line => *count += 1,
            last => {
                if let Some((known, count)) = last.replace((line.to_vec(), 1)) {
                    print(call, &known, count)?;
                }
            }
        }
        Ok(true)
    })?;
    if let Some((known, count)) = last {
        print(call, &known, count)?;
    }
    Ok(0)
}

/// `cut -f LIST [-d LETTER]`, `cut -c LIST`.
pub(super) fn cut(call: &mut Call<'_>) -> Outcome {
    let options = call.options("s", "dfcb")?;
    let fields = options.value('f');
    let list = fields.or(options.value('c')).or(options.value('b'));
    let list = list.ok_or_else(|| Failure::new(2, "expected a list of fields or characters"))?;
    let ranges = list.split(',').map(|part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str, otherwise| {
            if text.is_empty() { Some(otherwise) } else { text.parse().ok() }
        };
        let range = number(low, 1).zip(number(high, usize::MAX));
        range.ok_or_else(|| Failure::new(2, format!("invalid list '{list}'")))
    });
    let ranges = ranges.collect::<Result<Vec<(usize, usize)>, _>>()?;
    let chosen =
        |index: usize| ranges.iter().any(|(low, high)| (*low..=*high).contains(&(index + 1)));
    let delimiter = options.value('d').unwrap_or("\t").to_owned();
    for (_, mut input) in call.inputs(&options.rest)? {
        each_line(&mut input, |line| {
            let line = String::from_utf8_lossy(line);
            let kept: String = if fields.is_none() {
                line.chars()
                    .enumerate()
                    .filter(|(index, _)| chosen(*index))
                    .map(|(_, letter)| letter)
                    .collect()
            } else if line.contains(&delimiter) {
                let parts = line.split(delimiter.as_str()).enumerate();
                let parts: Vec<&str> =
                    parts.filter(|(index, _)| chosen(*index)).map(|(_, part)| part).collect();
                parts.join(&delimiter)
            } else if options.has('s') {
                return Ok(true);
            } else {
                line.into_owned()
            };
            put_line(call, kept.as_bytes()).map(|()| true)
        })?;
    }
    Ok(0)
}

/// `tr [-ds] SET [SET]`.
pub(super) fn tr(call: &mut Call<'_>) -> Outcome {
    let options = call.options("dsc", "")?;
    let (from, to) = match options.rest.as_slice() {
        [from] if options.has('d') || options.has('s') => (set(from), Vec::new()),
        [from, to] => (set(from), set(to)),
        _ => return Err(Failure::new(2, "usage: tr [-cds] SET [SET]")),
    };
    let text = read_text(&mut call.io.input.clone())?;
    let mut out = String::new();
    for letter in text.chars() {
        let at = from.iter().position(|known| *known == letter);
        let at =
            if options.has('c') { if at.is_some() { None } else { Some(usize::MAX) } } else { at };
        match at {
            Some(_) if options.has('d') => {}
            Some(at) => {
                let new = to.get(at).or(to.last()).copied().unwrap_or(letter);
                if !(options.has('s') && out.ends_with(new)) {
                    out.push(new);
                }
            }
            None => out.push(letter),
        }
    }
    call.io.output.write_all(out.as_bytes())?;
    Ok(0)
}

/// The letters of a set: ranges, classes and escapes.
fn set(text: &str) -> Vec<char> {
    let text = text
        .replace("[:upper:]", "A-Z")
        .replace("[:lower:]", "a-z")
        .replace("[:digit:]", "0-9")
        .replace("[:alpha:]", "A-Za-z")
        .replace("[:alnum:]", "A-Za-z0-9")
        .replace("[:space:]", " \\t\\n\\r");
    let (bytes, _) = printf::unescaped(&text);
    let letters: Vec<char> = String::from_utf8_lossy(&bytes).chars().collect();
    let (mut set, mut at) = (Vec::new(), 0);
    while let Some(&letter) = letters.get(at) {
        match (letters.get(at + 1), letters.get(at + 2)) {
            (Some('-'), Some(&high)) if high >= letter => {
                set.extend(letter..=high);
                at += 3;
            }
            _ => {
                set.push(letter);
                at += 1;
            }
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_patterns_become_extended_ones() {
        for (basic, expected) in [
            ("a+b", r"a\+b"),
            (r"a\+b", "a+b"),
            (r"\(x\)|", r"(x)\|"),
            ("^*a", r"^\*a"),
            (r"a\.b*", r"a\.b*"),
        ] {
            assert_eq!(extended(basic), expected);
        }
    }

    #[test]
    fn sets_have_ranges() {
        assert_eq!(set("a-cx-"), ['a', 'b', 'c', 'x', '-']);
        assert_eq!(set("[:digit:]").len(), 10);
        assert_eq!(set(r"\n"), ['\n']);
    }
}
