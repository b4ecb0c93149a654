//! `"%d of %s".format([n, what])`

use super::{MAX_SIZE, Out, failed, no_overload, text};
use crate::budget::Meter;
use crate::value::{Key, Value};

use super::conversion::show_double;
use super::time::show_duration;

/// Digits behind the point beyond which nothing is written.
const MAX_PRECISION: usize = 1000;

pub(super) fn format<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let [Value::String(template), Value::List(values)] = args else { return no_overload() };
    let mut written = String::new();
    let mut rest = &**template;
    let mut next = 0;
    while let Some(start) = rest.find('%') {
        written.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            written.push('%');
            rest = after;
            continue;
        }
        let mut precision = None;
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let digits = after[..end].parse().ok().filter(|digits| *digits <= MAX_PRECISION);
            let Some(digits) = digits else {
                return failed("could not parse formatting clause: invalid precision");
            };
            precision = Some(digits);
            rest = &after[end..];
        }
        let Some(verb) = rest.chars().next() else {
            return failed("could not parse formatting clause: unexpected end of string");
        };
        rest = &rest[verb.len_utf8()..];
        let Some(value) = values.get(next) else {
            return failed(format!("index {next} out of range"));
        };
        next += 1;
        match clause(verb, precision, &value) {
            Ok(clause) => written.push_str(&clause),
            Err(why) => return failed(why),
        }
        if written.len() > MAX_SIZE {
            return failed("string too long");
        }
    }
    written.push_str(rest);
    text(written)
}

fn clause(verb: char, precision: Option<usize>, value: &Value<'_>) -> Result<String, String> {
    let wrong = |what: &str| {
        Err(format!("error during formatting: {what}, was given {}", value.type_name()))
    };
    let digits = precision.unwrap_or(6);
    match (verb, value) {
        ('s', value) => show(value, 0),
        ('d', Value::Int(number)) => Ok(number.to_string()),
        ('d', Value::Uint(number)) => Ok(number.to_string()),
        ('d', Value::Double(number)) if !number.is_finite() => Ok(show_double(*number)),
        ('d', _) => wrong("decimal clause can only be used on integers"),
        ('f', Value::Double(number)) if number.is_finite() => Ok(format!("{number:.digits$}")),
        ('f' | 'e', Value::Double(number)) if !number.is_finite() => Ok(show_double(*number)),
        ('f', _) => wrong("fixed-point clause can only be used on doubles"),
        ('e', Value::Double(number)) => {
            let shown = format!("{number:.digits$e}");
            let Some((digits, exponent)) = shown.split_once('e') else { return Ok(shown) };
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let sign = if exponent < 0 { '-' } else { '+' };
            Ok(format!("{digits}e{sign}{:02}", exponent.abs()))
        }
        ('e', _) => wrong("scientific clause can only be used on doubles"),
        ('b', Value::Bool(value)) => Ok(u8::from(*value).to_string()),
        ('b', value) => match radix(value, |n| format!("{n:b}")) {
            Some(shown) => Ok(shown),
            None => wrong("only integers and bools can be formatted as binary"),
        },
        ('o', value) => match radix(value, |n| format!("{n:o}")) {
            Some(shown) => Ok(shown),
            None => wrong("octal clause can only be used on integers"),
        },
        ('x' | 'X', value) => {
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let shown: Option<String> = match value {
                Value::String(text) => Some(hex(text.as_bytes())),
                Value::Bytes(bytes) => Some(hex(bytes)),
                value => radix(value, |n| format!("{n:x}")),
            };
            match shown {
                Some(shown) if verb == 'X' => Ok(shown.to_uppercase()),
                Some(shown) => Ok(shown),
                None => wrong("only integers, byte buffers, and strings can be formatted as hex"),
            }
        }
        _ => Err(format!(
            "could not parse formatting clause: unrecognized formatting clause \"{verb}\""
        )),
    }
}

fn radix(value: &Value<'_>, show: fn(u64) -> String) -> Option<String> {
    match value {
        Value::Uint(number) => Some(show(*number)),
        Value::Int(number) => {
            let sign = if *number < 0 { "-" } else { "" };
            Some(format!("{sign}{}", show(number.unsigned_abs())))
        }
        _ => None,
    }
}

const MAX_NESTING: usize = 64;

/// A value as `%s` has it.
fn show(value: &Value<'_>, depth: usize) -> Result<String, String> {
    if depth > MAX_NESTING {
        return Err("value is nested too deeply to be formatted".into());
    }
    Ok(match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) if number.is_finite() => format!("{number}"),
        Value::Double(number) => show_double(*number),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Duration(nanos) => show_duration(*nanos),
        Value::Timestamp(moment) => moment.to_string(),
        Value::Type(name) => name.to_string(),
        Value::List(list) => {
            let items = list.iter().map(|item| show(&item, depth + 1));
            format!("[{}]", items.collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        Value::Map(map) => {
            let mut entries = vec![];
            for (key, value) in map.entries() {
                let key = match key {
                    Key::String(name) => name.to_string(),
                    other => show(&other.value(), depth + 1)?,
                };
                entries.push(format!("{key}: {}", show(&value, depth + 1)?));
            }
            entries.sort_unstable();
            format!("{{{}}}", entries.join(", "))
        }
        other => {
            return Err(format!(
                "error during formatting: string clause can only be used on strings, bools, \
                 bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {}",
                other.type_name()
            ));
        }
    })
}
