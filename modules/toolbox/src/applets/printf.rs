//! `printf`, and the escapes of `echo -e`.

use std::io::Write;

use crate::call::{Call, Failure, Outcome};

/// The widest a field may be.
const WIDEST: usize = 4096;

pub(super) fn printf(call: &mut Call<'_>) -> Outcome {
    let rest = call.arguments.get(1..).unwrap_or_default();
    let (pattern, mut values) = match rest.split_first() {
        Some((first, rest)) if first == "--" => rest.split_first().unwrap_or((first, rest)),
        Some(split) => split,
        None => return Err(Failure::new(2, "usage: printf FORMAT [ARGUMENT...]")),
    };
    let pattern: Vec<char> = pattern.chars().collect();
    let mut text = Vec::new();
    // The format is used again for what it leaves over.
    loop {
        let before = values.len();
        let goes_on = formatted(&pattern, &mut values, &mut text)?;
        call.io.output.write_all(&std::mem::take(&mut text))?;
        if !goes_on || values.is_empty() || values.len() == before {
            return Ok(0);
        }
    }
}

/// One use of the format; false if `\c` ends it.
fn formatted(
    pattern: &[char],
    values: &mut &[String],
    into: &mut Vec<u8>,
) -> Result<bool, Failure> {
    let mut at = 0;
    while let Some(&letter) = pattern.get(at) {
        at += 1;
        match letter {
            '\\' => match escape(pattern, &mut at) {
                Some(bytes) => into.extend(bytes),
                None => return Ok(false),
            },
            '%' if pattern.get(at) == Some(&'%') => {
                at += 1;
                into.push(b'%');
            }
            '%' => {
                let field = Field::read(pattern, &mut at, values)?;
                let value = next(values);
                if field.kind == 'b' {
                    let (bytes, goes_on) = unescaped(&value);
                    into.extend(bytes);
                    if !goes_on {
                        return Ok(false);
                    }
                } else {
                    into.extend(field.text(&value)?.bytes());
                }
            }
            letter => into.extend(letter.to_string().bytes()),
        }
    }
    Ok(true)
}

fn next(values: &mut &[String]) -> String {
    match values.split_first() {
        Some((first, rest)) => {
            *values = rest;
            first.clone()
        }
        None => String::new(),
    }
}

/// What stands between a `%` and its letter.
#[derive(Default)]
struct Field {
    left: bool,
    zeros: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    kind: char,
}

impl Field {
    fn read(pattern: &[char], at: &mut usize, values: &mut &[String]) -> Result<Self, Failure> {
        let mut field = Self::default();
        while let Some(flag) = pattern.get(*at).filter(|letter| "-0+ #".contains(**letter)) {
            field.left |= *flag == '-';
            field.zeros |= *flag == '0';
            field.plus |= *flag == '+';
            *at += 1;
        }
        field.width = number(pattern, at, values)?.unwrap_or_default();
        if pattern.get(*at) == Some(&'.') {
            *at += 1;
            field.precision = Some(number(pattern, at, values)?.unwrap_or_default());
        }
        field.kind = pattern.get(*at).copied().unwrap_or('%');
        *at += 1;
        match field.kind {
            's' | 'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c' | 'b' | 'f' => Ok(field),
            other => Err(Failure::new(2, format!("%{other}: invalid format"))),
        }
    }

    fn text(&self, value: &str) -> Result<String, Failure> {
        let text = match self.kind {
            's' => match self.precision {
                Some(precision) => value.chars().take(precision).collect(),
                None => value.to_owned(),
            },
            'c' => value.chars().take(1).collect(),
            'f' => {
                let value: f64 = match value {
                    "" => 0.0,
                    value => value.parse().map_err(|_| invalid(value))?,
                };
                format!("{value:.*}", self.precision.unwrap_or(6))
            }
            _ => {
                let value = match value {
                    "" => 0,
                    value => match value.strip_prefix("0x") {
                        Some(digits) => {
                            i64::from_str_radix(digits, 16).map_err(|_| invalid(value))?
                        }
                        None => value.parse::<i64>().map_err(|_| invalid(value))?,
                    },
                };
                match self.kind {
                    'x' => format!("{value:x}"),
                    'X' => format!("{value:X}"),
                    'o' => format!("{value:o}"),
                    _ if self.plus => format!("{value:+}"),
                    _ => value.to_string(),
                }
            }
        };
        let missing = self.width.saturating_sub(text.chars().count());
        Ok(if self.left {
            format!("{text}{}", " ".repeat(missing))
        } else if self.zeros && self.kind != 's' {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{text}", " ".repeat(missing))
        })
    }
}

fn invalid(value: &str) -> Failure {
    Failure::new(1, format!("invalid number '{value}'"))
}

fn number(
    pattern: &[char],
    at: &mut usize,
    values: &mut &[String],
) -> Result<Option<usize>, Failure> {
    let digits = if pattern.get(*at) == Some(&'*') {
        *at += 1;
        next(values)
    } else {
        let digits: String = pattern
            .get(*at..)
            .unwrap_or_default()
            .iter()
            .take_while(|letter| letter.is_ascii_digit())
            .collect();
        *at += digits.len();
        digits
    };
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.parse().ok().filter(|number| *number <= WIDEST);
    number.map(Some).ok_or_else(|| invalid(&digits))
}

/// The bytes that an escape means; none for `\c`, which ends everything.
fn escape(text: &[char], at: &mut usize) -> Option<Vec<u8>> {
    let letter = text.get(*at).copied();
    *at += 1;
    let digits = |at: &mut usize, radix: u32, most: usize| {
        let rest = text.get(*at..).unwrap_or_default();
        let digits: String =
            rest.iter().take(most).take_while(|letter| letter.is_digit(radix)).collect();
        *at += digits.len();
        u32::from_str_radix(&digits, radix).unwrap_or_default().to_le_bytes()[0]
    };
    Some(match letter {
        Some('c') => return None,
        Some('a') => vec![7],
        Some('b') => vec![8],
        Some('e') => vec![27],
        Some('f') => vec![12],
        Some('n') => vec![b'\n'],
        Some('r') => vec![b'\r'],
        Some('t') => vec![b'\t'],
        Some('v') => vec![11],
        Some('\\') => vec![b'\\'],
        Some('"') => vec![b'"'],
        Some('x') => vec![digits(at, 16, 2)],
        Some('0') => vec![digits(at, 8, 3)],
        Some('1'..='7') => {
            *at -= 1;
            vec![digits(at, 8, 3)]
        }
        Some(other) => format!("\\{other}").into_bytes(),
        None => vec![b'\\'],
    })
}

/// A text with its escapes replaced; false if `\c` ends it.
pub(super) fn unescaped(text: &str) -> (Vec<u8>, bool) {
    let text: Vec<char> = text.chars().collect();
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(&letter) = text.get(at) {
        at += 1;
        if letter != '\\' {
            bytes.extend(letter.to_string().bytes());
            continue;
        }
        match escape(&text, &mut at) {
            Some(escaped) => bytes.extend(escaped),
            None => return (bytes, false),
        }
    }
    (bytes, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_filled() {
        for (pattern, values, expected) in [
            ("%s-%s\\n", vec!["a", "b"], "a-b\n"),
            ("[%5s][%-5s][%.2s]", vec!["ab", "ab", "abc"], "[   ab][ab   ][ab]"),
            ("%03d %+d %x %o", vec!["7", "7", "255", "8"], "007 +7 ff 10"),
            ("%05d", vec!["-42"], "-0042"),
            ("%*d", vec!["4", "1"], "   1"),
            ("%.2f%%", vec!["1.005"], "1.00%"),
            ("\\x41\\101\\0101\\t\\q", vec![], "AAA\t\\q"),
            ("%b|", vec!["a\\tb"], "a\tb|"),
            ("a\\cb", vec![], "a"),
            ("%s%d", vec![], "0"),
        ] {
            let pattern: Vec<char> = pattern.chars().collect();
            let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
            let mut text = Vec::new();
            formatted(&pattern, &mut values.as_slice(), &mut text).ok();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
        for (pattern, value) in [("%d", "x"), ("%q", ""), ("%9999999s", "")] {
            let pattern: Vec<char> = pattern.chars().collect();
            let values = [value.to_owned()];
            assert!(formatted(&pattern, &mut values.as_slice(), &mut Vec::new()).is_err());
        }
    }
}
