//! From one type to another, and the size of things.

use super::{Cost, Declared, Out, failed, no_overload, text, time};
use crate::budget::Meter;
use crate::value::{Text, Value};

pub(super) const TABLE: &[Declared] = &[
    Declared("int(int) int", Cost::One, int),
    Declared("int(uint) int", Cost::One, int),
    Declared("int(double) int", Cost::One, int),
    Declared("int(string) int", Cost::One, int),
    Declared("int(timestamp) int", Cost::One, int),
    Declared("int(duration) int", Cost::One, int),
    Declared("uint(uint) uint", Cost::One, uint),
    Declared("uint(int) uint", Cost::One, uint),
    Declared("uint(double) uint", Cost::One, uint),
    Declared("uint(string) uint", Cost::One, uint),
    Declared("double(double) double", Cost::One, double),
    Declared("double(int) double", Cost::One, double),
    Declared("double(uint) double", Cost::One, double),
    Declared("double(string) double", Cost::One, double),
    Declared("bool(bool) bool", Cost::One, bool),
    Declared("bool(string) bool", Cost::One, bool),
    Declared("string(string) string", Cost::One, string),
    Declared("string(bool) string", Cost::One, string),
    Declared("string(int) string", Cost::One, string),
    Declared("string(uint) string", Cost::One, string),
    Declared("string(double) string", Cost::One, string),
    Declared("string(bytes) string", Cost::First, string),
    Declared("string(timestamp) string", Cost::One, string),
    Declared("string(duration) string", Cost::One, string),
    Declared("string(url) string", Cost::One, string),
    Declared("string(ip) string", Cost::One, string),
    Declared("string(cidr) string", Cost::One, string),
    Declared("bytes(bytes) bytes", Cost::One, bytes),
    Declared("bytes(string) bytes", Cost::First, bytes),
    Declared("duration(duration) duration", Cost::One, duration),
    Declared("duration(string) duration", Cost::One, duration),
    Declared("timestamp(timestamp) timestamp", Cost::One, timestamp),
    Declared("timestamp(string) timestamp", Cost::One, timestamp),
    Declared("timestamp(int) timestamp", Cost::One, timestamp),
    Declared("dyn(A) dyn", Cost::One, |_, args| args.first().cloned().map_or_else(no_overload, Ok)),
    Declared("type(A) type", Cost::One, r#type),
    Declared("size(string) int", Cost::One, size),
    Declared("size(bytes) int", Cost::One, size),
    Declared("size(list<A>) int", Cost::One, size),
    Declared("size(map<A, B>) int", Cost::One, size),
    Declared("string|size() int", Cost::One, size),
    Declared("bytes|size() int", Cost::One, size),
    Declared("list<A>|size() int", Cost::One, size),
    Declared("map<A, B>|size() int", Cost::One, size),
];

fn cannot<'a>(from: &str, to: &str) -> Out<'a> {
    failed(format!("type conversion error from '{from}' to '{to}'"))
}

/// 2^63
const INT_END: f64 = 9_223_372_036_854_775_808.0;
/// 2^64
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

fn int<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let number = match args {
        [Value::Int(number)] => Some(*number),
        [Value::Uint(number)] => i64::try_from(*number).ok(),
        #[expect(clippy::cast_possible_truncation, reason = "bounded")]
        [Value::Double(number)] => {
            (*number > -INT_END && *number < INT_END).then_some(*number as i64)
        }
        [Value::String(digits)] => match digits.parse() {
            Ok(number) => Some(number),
            Err(_) => return cannot("string", "int"),
        },
        [Value::Timestamp(moment)] => Some(moment.as_second()),
        [Value::Duration(nanos)] => Some(*nanos),
        _ => return no_overload(),
    };
    number.map_or_else(|| failed("integer overflow"), |number| Ok(Value::Int(number)))
}

fn uint<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let number = match args {
        [Value::Uint(number)] => Some(*number),
        [Value::Int(number)] => u64::try_from(*number).ok(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        [Value::Double(number)] => (*number >= 0.0 && *number < UINT_END).then_some(*number as u64),
        [Value::String(digits)] => match digits.parse() {
            Ok(number) => Some(number),
            Err(_) => return cannot("string", "uint"),
        },
        _ => return no_overload(),
    };
    number.map_or_else(|| failed("unsigned integer overflow"), |number| Ok(Value::Uint(number)))
}

#[expect(clippy::cast_precision_loss, reason = "that is what the conversion does")]
fn double<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(*number)),
        [Value::Int(number)] => Ok(Value::Double(*number as f64)),
        [Value::Uint(number)] => Ok(Value::Double(*number as f64)),
        [Value::String(digits)] => match digits.parse() {
            Ok(number) => Ok(Value::Double(number)),
            Err(_) => cannot("string", "double"),
        },
        _ => no_overload(),
    }
}

fn bool<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Bool(value)] => Ok(Value::Bool(*value)),
        [Value::String(word)] => match &**word {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => cannot("string", "bool"),
        },
        _ => no_overload(),
    }
}

fn string<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    use super::Extension;
    match args {
        [Value::String(same)] => Ok(Value::String(same.clone())),
        [Value::Bool(value)] => text(value.to_string()),
        [Value::Int(number)] => text(number.to_string()),
        [Value::Uint(number)] => text(number.to_string()),
        [Value::Double(number)] => text(show_double(*number)),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(characters) => text(characters),
            Err(_) => failed("invalid UTF-8 in bytes, cannot convert to string"),
        },
        [Value::Timestamp(moment)] => text(moment.to_string()),
        [Value::Duration(nanos)] => text(time::show_duration(*nanos)),
        [Value::Extension(Extension::Url(url))] => text(&*url.text),
        [Value::Extension(Extension::Ip(ip))] => text(ip.to_string()),
        [Value::Extension(Extension::Cidr(cidr))] => text(cidr.to_string()),
        _ => no_overload(),
    }
}

fn bytes<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::String(characters)] => Ok(Value::Bytes(characters.as_bytes().into())),
        _ => no_overload(),
    }
}

fn duration<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Duration(*nanos)),
        [Value::String(spelt)] => match time::parse_duration(spelt) {
            Some(nanos) => Ok(Value::Duration(nanos)),
            None => cannot("string", "google.protobuf.Duration"),
        },
        _ => no_overload(),
    }
}

fn timestamp<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Timestamp(moment)] => Ok(Value::Timestamp(*moment)),
        [Value::String(spelt)] => match time::parse_timestamp(spelt) {
            Some(moment) => Ok(Value::Timestamp(moment)),
            None => cannot("string", "google.protobuf.Timestamp"),
        },
        [Value::Int(seconds)] => match jiff::Timestamp::from_second(*seconds) {
            Ok(moment) => Ok(Value::Timestamp(moment)),
            Err(_) => failed("timestamp overflow"),
        },
        _ => no_overload(),
    }
}

fn r#type<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [value] => Ok(Value::Type(Text::Shared(value.type_name().into()))),
        _ => no_overload(),
    }
}

fn size<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let size = match args {
        [Value::String(text)] => {
            meter.visit(text.len() / 10)?;
            text.chars().count()
        }
        [Value::Bytes(bytes)] => bytes.len(),
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        _ => return no_overload(),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// A double in the fewest digits that mean it, with an exponent beyond six digits or below
/// four zeros.
pub(super) fn show_double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..=5).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{number}")
}
