//! Regular expressions as Go has them: linear in time, `\d`, `\w` and `\s` for ASCII alone.

use regex::{Regex, RegexBuilder};

use super::{Cost, Declared, MAX_ELEMENTS, Out, failed, list, no_overload, text};
use crate::budget::{Meter, traversal};
use crate::value::Value;

/// Bytes of a compiled pattern.
const MAX_PROGRAM: usize = 1 << 20;

pub(super) const TABLE: &[Declared] = &[
    Declared("matches(string, string) bool", Cost::Pattern, matches),
    Declared("string|matches(string) bool", Cost::Pattern, matches),
    Declared("string|find(string) string", Cost::Pattern, find),
    Declared("string|findAll(string) list<string>", Cost::Pattern, find_all),
    Declared("string|findAll(string, int) list<string>", Cost::Pattern, find_all),
];

/// Whether the function's last string is a pattern, which is compiled once if it is literal.
pub(crate) fn takes_pattern(function: &str) -> bool {
    matches!(function, "matches" | "find" | "findAll")
}

/// Searching a text of that size for a pattern of that size.
pub(crate) fn cost(text: usize, pattern: usize) -> u64 {
    traversal(text + 1).saturating_mul((pattern as u64).div_ceil(4))
}

/// A pattern as Go reads it.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern);
    let compiled = RegexBuilder::new(&translated).size_limit(MAX_PROGRAM).build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "expression too large".into(),
        error => {
            let shown = error.to_string();
            let why = shown.lines().last().unwrap_or_default();
            format!("error parsing regexp: {}", why.trim_start_matches("error: "))
        }
    })
}

/// The same pattern for this library: classes are of ASCII, and within brackets nothing but
/// Go's own syntax means anything.
fn translate(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut bracket = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') if bracket => translated.push_str("0-9"),
                Some('w') if bracket => translated.push_str("0-9A-Za-z_"),
                Some('s') if bracket => translated.push_str(r"\t\n\x0c\r "),
                Some('d') => translated.push_str("[0-9]"),
                Some('w') => translated.push_str("[0-9A-Za-z_]"),
                Some('s') => translated.push_str(r"[\t\n\x0c\r ]"),
                Some('D') => translated.push_str("[^0-9]"),
                Some('W') => translated.push_str("[^0-9A-Za-z_]"),
                Some('S') => translated.push_str(r"[^\t\n\x0c\r ]"),
                Some('b') if !bracket => translated.push_str(r"(?-u:\b)"),
                Some('Q') => {
                    let mut literal = String::new();
                    for c in chars.by_ref() {
                        literal.push(c);
                        if literal.ends_with("\\E") {
                            literal.truncate(literal.len() - 2);
                            break;
                        }
                    }
                    translated.push_str(&regex::escape(&literal));
                }
                Some(escaped) => translated.extend(['\\', escaped]),
                None => translated.push('\\'),
            },
            '[' if bracket => match class(&chars.clone().collect::<String>()) {
                // `[:alpha:]`
                Some(name) => {
                    translated.extend(['[', ':']);
                    translated.push_str(&name);
                    translated.push_str(":]");
                    chars.nth(name.len() + 2);
                }
                None => translated.push_str(r"\["),
            },
            '[' => {
                bracket = true;
                translated.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                // A bracket that stands first is an element.
                if chars.next_if_eq(&']').is_some() {
                    translated.push_str(r"\]");
                }
            }
            ']' => {
                bracket = false;
                translated.push(']');
            }
            '&' | '~' if bracket => translated.extend(['\\', c]),
            c => translated.push(c),
        }
    }
    translated
}

/// The name of the class that goes on here, within brackets: `:alpha:]`.
fn class(rest: &str) -> Option<String> {
    let (name, _) = rest.strip_prefix(':')?.split_once(":]")?;
    let known = name.strip_prefix('^').unwrap_or(name).chars().all(|c| c.is_ascii_lowercase());
    known.then(|| name.to_owned())
}

fn parts<'v>(args: &'v [Value<'_>]) -> Option<(&'v str, Result<Regex, String>)> {
    match args {
        [Value::String(of), Value::String(pattern), ..] => Some((of, compile(pattern))),
        _ => None,
    }
}

fn matches<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    search("matches", meter, args, None)
}

fn find<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    search("find", meter, args, None)
}

fn find_all<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    search("findAll", meter, args, None)
}

/// Runs one of this library's functions with a pattern that may be compiled already.
pub(crate) fn search<'a>(
    function: &str,
    meter: &mut Meter,
    args: &[Value<'a>],
    compiled: Option<&Regex>,
) -> Out<'a> {
    let built;
    let (of, pattern) = match (args, compiled) {
        ([Value::String(of), ..], Some(compiled)) => (&**of, compiled),
        _ => match parts(args) {
            Some((of, Ok(pattern))) => {
                built = pattern;
                (of, &built)
            }
            Some((_, Err(why))) => return failed(why),
            None => return no_overload(),
        },
    };
    match function {
        "matches" => Ok(Value::Bool(pattern.is_match(of))),
        "find" => text(pattern.find(of).map_or("", |found| found.as_str())),
        _ => {
            let limit = match args {
                [_, _, Value::Int(limit)] => usize::try_from(*limit).unwrap_or(MAX_ELEMENTS),
                _ => MAX_ELEMENTS,
            };
            let found = pattern.find_iter(of).take(limit);
            let found = found.map(|found| Value::string(found.as_str())).collect();
            list(meter, found)
        }
    }
}
