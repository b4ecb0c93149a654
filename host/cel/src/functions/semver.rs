//! Semantic versions.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Cost, Declared, Extension, Out, failed, no_overload};
use crate::budget::Meter;
use crate::value::Value;

pub(super) const TABLE: &[Declared] = &[
    Declared("semver(string) semver", Cost::First, semver),
    Declared("semver(string, bool) semver", Cost::First, semver),
    Declared("isSemver(string) bool", Cost::First, is_semver),
    Declared("isSemver(string, bool) bool", Cost::First, is_semver),
    Declared("semver|major() int", Cost::One, |_, args| number(args, |version| version.numbers[0])),
    Declared("semver|minor() int", Cost::One, |_, args| number(args, |version| version.numbers[1])),
    Declared("semver|patch() int", Cost::One, |_, args| number(args, |version| version.numbers[2])),
    Declared("semver|isGreaterThan(semver) bool", Cost::One, |_, args| {
        compare(args, |order| Value::Bool(order.is_gt()))
    }),
    Declared("semver|isLessThan(semver) bool", Cost::One, |_, args| {
        compare(args, |order| Value::Bool(order.is_lt()))
    }),
    Declared("semver|compareTo(semver) int", Cost::One, |_, args| {
        compare(args, |order| Value::Int(order as i64))
    }),
];

fn parse_args(args: &[Value<'_>]) -> Option<Result<Semver, String>> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => {
            Some(Semver::parse(text))
        }
        [Value::String(text), Value::Bool(true)] => {
            Some(normalized(text).and_then(|text| Semver::parse(&text)))
        }
        _ => None,
    }
}

fn semver<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match parse_args(args) {
        Some(Ok(version)) => Ok(Extension::Semver(Arc::new(version)).into()),
        Some(Err(why)) => failed(why),
        None => no_overload(),
    }
}

fn is_semver<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    parse_args(args).map_or_else(no_overload, |version| Ok(Value::Bool(version.is_ok())))
}

fn number<'a>(args: &[Value<'a>], of: fn(&Semver) -> u64) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Semver(version))] => {
            Ok(Value::Int(i64::try_from(of(version)).unwrap_or(i64::MAX)))
        }
        _ => no_overload(),
    }
}

fn compare<'a>(args: &[Value<'a>], of: fn(Ordering) -> Value<'a>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Semver(a)), Value::Extension(Extension::Semver(b))] => {
            Ok(of(a.cmp(b)))
        }
        _ => no_overload(),
    }
}

/// Without a leading `v` and leading zeros, and with all three numbers.
fn normalized(text: &str) -> Result<String, String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = vec![];
    for part in text.splitn(3, '.') {
        let trimmed = part.trim_start_matches('0');
        let kept = match trimmed.bytes().next() {
            _ if part.len() <= 1 => part.to_owned(),
            Some(first) if first.is_ascii_digit() => trimmed.to_owned(),
            _ => format!("0{trimmed}"),
        };
        parts.push(kept);
    }
    if parts.len() < 3 {
        if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("short version cannot contain PreRelease/Build meta data".into());
        }
        parts.resize(3, "0".into());
    }
    Ok(parts.join("."))
}

#[derive(Debug)]
#[doc(hidden)]
pub struct Semver {
    numbers: [u64; 3],
    /// What stands behind the dash, by its dots.
    before: Vec<String>,
}

impl Semver {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".into());
        }
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (core, before) = match text.split_once('-') {
            Some((core, before)) => (core, Some(before)),
            None => (text, None),
        };
        let parts: Vec<&str> = core.split('.').collect();
        let [major, minor, patch] = parts.as_slice() else {
            return Err("No Major.Minor.Patch elements found".into());
        };
        let number = |name: &str, digits: &str| {
            if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(format!("Invalid character(s) found in {name} number {digits:?}"));
            }
            if digits.len() > 1 && digits.starts_with('0') {
                return Err(format!("{name} number must not contain leading zeroes {digits:?}"));
            }
            digits.parse::<u64>().map_err(|error| error.to_string())
        };
        let numbers = [number("Major", major)?, number("Minor", minor)?, number("Patch", patch)?];
        let known = |part: &str| part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        let mut parts = vec![];
        for part in before.into_iter().flat_map(|before| before.split('.')) {
            if part.is_empty() {
                return Err("Prerelease is empty".into());
            }
            if !known(part) {
                return Err(format!("Invalid character(s) found in prerelease {part:?}"));
            }
            if part.bytes().all(|c| c.is_ascii_digit()) && part.len() > 1 && part.starts_with('0') {
                return Err(format!(
                    "Numeric PreRelease version must not contain leading zeroes {part:?}"
                ));
            }
            parts.push(part.to_owned());
        }
        for part in build.into_iter().flat_map(|build| build.split('.')) {
            if part.is_empty() {
                return Err("Build meta data is empty".into());
            }
            if !known(part) {
                return Err(format!("Invalid character(s) found in build meta data {part:?}"));
            }
        }
        Ok(Self { numbers, before: parts })
    }

    /// The order of releases; build data does not count.
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let rank = |version: &Self| version.before.is_empty();
        let parts = || {
            for (a, b) in self.before.iter().zip(&other.before) {
                let order = match (a.parse::<u64>(), b.parse::<u64>()) {
                    (Ok(a), Ok(b)) => a.cmp(&b),
                    (Ok(_), Err(_)) => Ordering::Less,
                    (Err(_), Ok(_)) => Ordering::Greater,
                    (Err(_), Err(_)) => a.cmp(b),
                };
                if order.is_ne() {
                    return order;
                }
            }
            self.before.len().cmp(&other.before.len())
        };
        let numbers = self.numbers.cmp(&other.numbers);
        numbers.then_with(|| rank(self).cmp(&rank(other))).then_with(parts)
    }
}
