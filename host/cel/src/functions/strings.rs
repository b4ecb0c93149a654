//! Strings: contents, parts and forms. Positions count characters, not bytes.

use super::{Cost, Declared, MAX_SIZE, Out, failed, list, no_overload, printf, text};
use crate::budget::Meter;
use crate::value::Value;

pub(super) const TABLE: &[Declared] = &[
    Declared("string|contains(string) bool", Cost::Product, |_, args| {
        test(args, |a, b| a.contains(b))
    }),
    Declared("string|startsWith(string) bool", Cost::First, |_, args| {
        test(args, |a, b| a.starts_with(b))
    }),
    Declared("string|endsWith(string) bool", Cost::First, |_, args| {
        test(args, |a, b| a.ends_with(b))
    }),
    Declared("string|charAt(int) string", Cost::One, char_at),
    Declared("string|indexOf(string) int", Cost::Elements, index_of),
    Declared("string|indexOf(string, int) int", Cost::Elements, index_of),
    Declared("string|lastIndexOf(string) int", Cost::Elements, last_index_of),
    Declared("string|lastIndexOf(string, int) int", Cost::Elements, last_index_of),
    Declared("string|lowerAscii() string", Cost::First, |_, args| {
        mapped(args, str::to_ascii_lowercase)
    }),
    Declared("string|upperAscii() string", Cost::First, |_, args| {
        mapped(args, str::to_ascii_uppercase)
    }),
    Declared("string|trim() string", Cost::First, |_, args| mapped(args, |s| s.trim().to_owned())),
    Declared("string|replace(string, string) string", Cost::FirstTwice, replace),
    Declared("string|replace(string, string, int) string", Cost::FirstTwice, replace),
    Declared("string|split(string) list<string>", Cost::FirstTwice, split),
    Declared("string|split(string, int) list<string>", Cost::FirstTwice, split),
    Declared("string|substring(int) string", Cost::First, substring),
    Declared("string|substring(int, int) string", Cost::First, substring),
    Declared("list<string>|join() string", Cost::Result, join),
    Declared("list<string>|join(string) string", Cost::Result, join),
    Declared("string|format(list<dyn>) string", Cost::Result, printf::format),
    Declared("strings.quote(string) string", Cost::First, |_, args| mapped(args, quote)),
];

fn test<'a>(args: &[Value<'a>], holds: fn(&str, &str) -> bool) -> Out<'a> {
    match args {
        [Value::String(a), Value::String(b)] => Ok(Value::Bool(holds(a, b))),
        _ => no_overload(),
    }
}

fn mapped<'a>(args: &[Value<'a>], form: fn(&str) -> String) -> Out<'a> {
    match args {
        [Value::String(of)] => text(form(of)),
        _ => no_overload(),
    }
}

fn int<'a>(number: usize) -> Out<'a> {
    Ok(Value::Int(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// The byte where the character stands, which may be the one behind the last.
fn offset(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

fn out_of_range<'a>(index: i64) -> Out<'a> {
    failed(format!("index out of range: {index}"))
}

fn char_at<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let [Value::String(of), Value::Int(index)] = args else { return no_overload() };
    match offset(of, *index) {
        Some(at) => text(of[at..].chars().take(1).collect::<String>()),
        None => out_of_range(*index),
    }
}

fn index_of<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (of, wanted, from) = match args {
        [Value::String(of), Value::String(wanted)] => (of, wanted, 0),
        [Value::String(of), Value::String(wanted), Value::Int(from)] => (of, wanted, *from),
        _ => return no_overload(),
    };
    if wanted.is_empty() {
        return Ok(Value::Int(from));
    }
    let Some(start) = offset(of, from) else { return out_of_range(from) };
    match of[start..].find(&**wanted) {
        Some(at) => int(of[..start + at].chars().count()),
        None => Ok(Value::Int(-1)),
    }
}

fn last_index_of<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (of, wanted, end) = match args {
        [Value::String(of), Value::String(wanted)] => (of, wanted, None),
        [Value::String(of), Value::String(wanted), Value::Int(end)] => (of, wanted, Some(*end)),
        _ => return no_overload(),
    };
    if wanted.is_empty() {
        return end.map_or_else(|| int(of.chars().count()), |end| Ok(Value::Int(end)));
    }
    let searched = match end {
        None => &**of,
        // A match may begin at the last position and go on behind it.
        Some(end) => match offset(of, end) {
            Some(at) => {
                let behind = of[at..].char_indices().nth(wanted.chars().count());
                behind.map_or(&**of, |(more, _)| &of[..at + more])
            }
            None => return out_of_range(end),
        },
    };
    match searched.rfind(&**wanted) {
        Some(at) => int(of[..at].chars().count()),
        None => Ok(Value::Int(-1)),
    }
}

fn replace<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (of, old, new, limit) = match args {
        [Value::String(of), Value::String(old), Value::String(new)] => (of, old, new, -1),
        [Value::String(of), Value::String(old), Value::String(new), Value::Int(limit)] => {
            (of, old, new, *limit)
        }
        _ => return no_overload(),
    };
    let count = match usize::try_from(limit) {
        Ok(count) => count.min(of.matches(&**old).count()),
        Err(_) => of.matches(&**old).count(),
    };
    let size = of.len().saturating_add(count.saturating_mul(new.len()));
    if size > MAX_SIZE {
        return failed("string too long");
    }
    meter.visit(size / 10)?;
    text(of.replacen(&**old, new, count))
}

fn split<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (of, separator, limit) = match args {
        [Value::String(of), Value::String(separator)] => (of, separator, -1),
        [Value::String(of), Value::String(separator), Value::Int(limit)] => (of, separator, *limit),
        _ => return no_overload(),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return list(meter, vec![]);
    }
    let parts: Vec<Value<'a>> = if separator.is_empty() {
        // Characters; what the limit leaves over is the last part.
        let mut parts: Vec<String> = vec![];
        for c in of.chars() {
            let full = parts.len() == limit;
            match parts.last_mut() {
                Some(last) if full => last.push(c),
                _ => parts.push(c.into()),
            }
        }
        parts.into_iter().map(Value::string).collect()
    } else {
        of.splitn(limit, &**separator).map(Value::string).collect()
    };
    list(meter, parts)
}

fn substring<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (of, start, end) = match args {
        [Value::String(of), Value::Int(start)] => (of, *start, None),
        [Value::String(of), Value::Int(start), Value::Int(end)] => (of, *start, Some(*end)),
        _ => return no_overload(),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        return failed(format!("invalid substring range. start: {start}, end: {end}"));
    }
    let Some(from) = offset(of, start) else { return out_of_range(start) };
    let to = match end {
        None => of.len(),
        Some(end) => match offset(of, end) {
            Some(to) => to,
            None => return out_of_range(end),
        },
    };
    text(&of[from..to])
}

fn join<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (items, separator) = match args {
        [Value::List(items)] => (items, ""),
        [Value::List(items), Value::String(separator)] => (items, &**separator),
        _ => return no_overload(),
    };
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        let Value::String(part) = item else { return no_overload() };
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&part);
        if joined.len() > MAX_SIZE {
            return failed("string too long");
        }
    }
    text(joined)
}

/// In double quotes, with what is not printed escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
