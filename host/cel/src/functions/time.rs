//! Moments and spans of time: their parts, and how they are spelt.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Cost, Declared, Out, failed, no_overload};
use crate::budget::Meter;
use crate::value::Value;

macro_rules! parts {
    ($($name:literal => $run:ident),* $(,)?) => {
        &[
            $(
                Declared(concat!("timestamp|", $name, "() int"), Cost::One, $run),
                Declared(concat!("timestamp|", $name, "(string) int"), Cost::One, $run),
            )*
            Declared("duration|getHours() int", Cost::One, hours),
            Declared("duration|getMinutes() int", Cost::One, minutes),
            Declared("duration|getSeconds() int", Cost::One, seconds),
            Declared("duration|getMilliseconds() int", Cost::One, milliseconds),
        ]
    };
}

pub(super) const TABLE: &[Declared] = parts! {
    "getFullYear" => year,
    "getMonth" => month,
    "getDayOfYear" => day_of_year,
    "getDayOfMonth" => day_of_month,
    "getDate" => date,
    "getDayOfWeek" => day_of_week,
    "getHours" => hours,
    "getMinutes" => minutes,
    "getSeconds" => seconds,
    "getMilliseconds" => milliseconds,
};

/// A part of a moment in the zone that the second argument names.
fn part<'a>(args: &[Value<'a>], of: fn(&jiff::Zoned) -> i64) -> Out<'a> {
    let (moment, zone) = match args {
        [Value::Timestamp(moment)] => (moment, TimeZone::UTC),
        [Value::Timestamp(moment), Value::String(name)] => match zone(name) {
            Some(zone) => (moment, zone),
            None => return failed(format!("unknown time zone {}", &**name)),
        },
        _ => return no_overload(),
    };
    Ok(Value::Int(of(&moment.to_zoned(zone))))
}

/// A zone by its name or as `-08:00`.
fn zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "" | "UTC") {
        return Some(TimeZone::UTC);
    }
    let Some((hours, minutes)) = name.split_once(':') else { return TimeZone::get(name).ok() };
    let negative = hours.starts_with('-');
    let hours: i32 = hours.trim_start_matches(['-', '+']).parse().ok()?;
    let minutes: i32 = minutes.parse().ok()?;
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    let offset = jiff::tz::Offset::from_seconds(if negative { -seconds } else { seconds });
    offset.ok().map(TimeZone::fixed)
}

macro_rules! zoned {
    ($($name:ident = $of:expr),* $(,)?) => {
        $(fn $name<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
            part(args, $of)
        })*
    };
}

zoned! {
    year = |zoned| i64::from(zoned.year()),
    month = |zoned| i64::from(zoned.month()) - 1,
    day_of_year = |zoned| i64::from(zoned.day_of_year()) - 1,
    day_of_month = |zoned| i64::from(zoned.day()) - 1,
    date = |zoned| i64::from(zoned.day()),
    day_of_week = |zoned| i64::from(zoned.weekday().to_sunday_zero_offset()),
}

fn hours<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 3_600_000_000_000)),
        _ => part(args, |zoned| i64::from(zoned.hour())),
    }
}

fn minutes<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 60_000_000_000)),
        _ => part(args, |zoned| i64::from(zoned.minute())),
    }
}

fn seconds<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 1_000_000_000)),
        _ => part(args, |zoned| i64::from(zoned.second())),
    }
}

fn milliseconds<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 1_000_000)),
        _ => part(args, |zoned| i64::from(zoned.millisecond())),
    }
}

/// RFC 3339, as `2006-01-02T15:04:05.999Z` or with an offset.
pub(crate) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let separated = bytes.get(10).is_some_and(|t| matches!(t, b'T' | b't'));
    if !separated || text.contains('[') {
        return None;
    }
    text.parse().ok()
}

const UNITS: &[(&str, i64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A span as Go spells it: `1h30m`, `-1.5s`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, after) = behind.split_at(end);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanos += i128::from(whole) * i128::from(*scale);
        let mut unit = i128::from(*scale);
        let mut carried: i128 = 0;
        for digit in fraction.bytes().take(15) {
            carried = carried * 10 + i128::from(digit - b'0');
            unit *= 10;
        }
        nanos += carried * i128::from(*scale) * i128::from(*scale) / unit;
        if nanos > i128::from(i64::MAX) + 1 {
            return None;
        }
        rest = after;
    }
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

/// Seconds, with as many digits as it needs: `5400s`, `0.5s`.
pub(crate) fn show_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let fraction = format!("{:09}", nanos % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}s", nanos / 1_000_000_000)
}
