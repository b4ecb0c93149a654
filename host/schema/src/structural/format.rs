//! Formats of strings (`k8s.io/kube-openapi/pkg/validation/strfmt`). Those that are not listed are
//! not checked.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Whether `text` is of the format; `None` if the format is not known.
pub fn is(format: &str, text: &str) -> Option<bool> {
    let normalised: String = format.chars().filter(|c| *c != '-').collect();
    Some(match normalised.as_str() {
        "bsonobjectid" => text.len() == 24 && hex(text),
        "uri" => uri(text),
        "email" => email(text),
        "hostname" => hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => cidr(text),
        "mac" => mac(text),
        "uuid" => uuid(text, None),
        "uuid3" => uuid(text, Some('3')),
        "uuid4" => uuid(text, Some('4')),
        "uuid5" => uuid(text, Some('5')),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => luhn(text),
        "ssn" => ssn(text),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && hex(digits)
        }
        "rgbcolor" => rgb(text),
        "byte" => STANDARD.decode(text).is_ok(),
        "password" => true,
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => duration(text),
        "datetime" => date_time(text),
        _ => return None,
    })
}

fn hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn uri(text: &str) -> bool {
    // Go takes an absolute URI or an absolute path.
    if text.is_empty() || text.chars().any(|c| c.is_ascii_control() || c == ' ') {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
}

fn email(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, address)) => match address.strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "()<>[]:;@\\,\"".contains(c);
    !local.is_empty()
        && !local.contains(odd)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && !domain.is_empty()
        && !domain.contains(odd)
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

fn hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 255 && text.split('.').all(label)
}

fn cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (bits == "0" || !bits.starts_with('0'));
    let Ok(bits) = bits.parse::<u8>() else { return false };
    let v4 = address.parse::<Ipv4Addr>().is_ok() && bits <= 32;
    let v6 = address.parse::<Ipv6Addr>().is_ok() && bits <= 128;
    plain && (v4 || v6)
}

fn mac(text: &str) -> bool {
    let pairs = |separator: char| {
        let parts: Vec<_> = text.split(separator).collect();
        matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| part.len() == 2 && hex(part))
    };
    let fours = || {
        let parts: Vec<_> = text.split('.').collect();
        matches!(parts.len(), 3 | 4 | 10) && parts.iter().all(|part| part.len() == 4 && hex(part))
    };
    pairs(':') || pairs('-') || fours()
}

fn uuid(text: &str, version: Option<char>) -> bool {
    let plain: String = if text.len() == 36 {
        let dashes = [8, 13, 18, 23];
        if !text.is_ascii() || dashes.iter().any(|at| text.as_bytes().get(*at) != Some(&b'-')) {
            return false;
        }
        text.chars().filter(|c| *c != '-').collect()
    } else {
        text.to_owned()
    };
    let digit = |at: usize| plain.chars().nth(at).map(|c| c.to_ascii_lowercase());
    let variant = matches!(digit(16), Some('8' | '9' | 'a' | 'b'));
    plain.len() == 32
        && hex(&plain)
        && version.is_none_or(|version| digit(12) == Some(version) && (variant || version == '3'))
}

fn isbn10(text: &str) -> bool {
    let plain: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let mut sum = 0;
    for (at, c) in plain.iter().enumerate() {
        let digit = match c {
            'X' if at == 9 => 10,
            c => match c.to_digit(10) {
                Some(digit) => digit as usize,
                None => return false,
            },
        };
        sum += (at + 1) * digit;
    }
    plain.len() == 10 && sum % 11 == 0
}

fn isbn13(text: &str) -> bool {
    let plain: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let digits: Option<Vec<u32>> = plain.iter().map(|c| c.to_digit(10)).collect();
    let sum = digits.map(|digits| {
        digits.iter().enumerate().map(|(at, d)| if at % 2 == 0 { *d } else { d * 3 }).sum::<u32>()
    });
    plain.len() == 13 && sum.is_some_and(|sum| sum.is_multiple_of(10))
}

fn luhn(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}

fn ssn(text: &str) -> bool {
    let plain: Vec<_> = text.split(['-', ' ']).collect();
    let [area, group, serial] = plain.as_slice() else { return false };
    let number =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    number(area, 3) && number(group, 2) && number(serial, 4)
}

fn rgb(text: &str) -> bool {
    let inner = text.strip_prefix("rgb(").and_then(|text| text.strip_suffix(')'));
    let Some(inner) = inner else { return false };
    let parts: Vec<_> = inner.split(',').collect();
    parts.len() == 3 && parts.iter().all(|part| part.trim().parse::<u8>().is_ok())
}

/// `1h30m` as Go writes it, or `3 days`.
fn duration(text: &str) -> bool {
    let go = {
        let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        let mut parts = 0;
        loop {
            if rest.is_empty() {
                break parts > 0;
            }
            if rest == "0" && parts == 0 {
                break true;
            }
            let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            if rest[..number].parse::<f64>().is_err() {
                break false;
            }
            rest = &rest[number..];
            let unit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"]
                .into_iter()
                .find(|unit| rest.starts_with(unit));
            let Some(unit) = unit else { break false };
            rest = &rest[unit.len()..];
            parts += 1;
        }
    };
    let words = || {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let units = [
            "ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "second", "m", "min",
            "minute", "h", "hr", "hour", "d", "day", "w", "wk", "week",
        ];
        let unit = unit.trim().to_lowercase();
        !number.is_empty() && units.contains(&unit.strip_suffix('s').unwrap_or(&unit))
            || unit == "s" && !number.is_empty()
    };
    go || words()
}

/// RFC 3339, as `strfmt` reads it: a `T` or `t`, and an offset or `Z`.
fn date_time(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some((date, time)) = upper.split_once('T') else { return false };
    if date.len() != 10 {
        return false;
    }
    let zone = time.ends_with('Z') || time.get(8..).is_some_and(|rest| rest.contains(['+', '-']));
    let time = if zone { upper.clone() } else { format!("{upper}Z") };
    time.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        for (format, good, bad) in [
            ("date", "2024-02-29", "2024-02-30"),
            ("date-time", "2024-01-01T10:00:00Z", "2024-01-01 10:00"),
            ("date-time", "2024-01-01T10:00:00.5+01:00", "today"),
            ("duration", "1h30m", "1x"),
            ("duration", "3 days", "days"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("uuid", "01234567-89ab-cdef-0123-456789abcdef", "0123"),
            (
                "uuid4",
                "01234567-89ab-4def-8123-456789abcdef",
                "01234567-89ab-3def-8123-456789abcdef",
            ),
            ("email", "a@example.com", "a@"),
            ("hostname", "a.example.com", "-a"),
            ("uri", "https://example.com/x", "x y"),
            ("byte", "aGVsbG8=", "a"),
            ("mac", "00:11:22:33:44:55", "00:11"),
            ("hexcolor", "#fff", "#ff"),
            ("rgbcolor", "rgb(1, 2, 3)", "rgb(1,2)"),
            ("isbn10", "0306406152", "0306406153"),
            ("isbn13", "978-0306406157", "978-0306406158"),
            ("creditcard", "4111-1111-1111-1111", "4111-1111-1111-1112"),
            ("ssn", "111-11-1111", "1111"),
        ] {
            assert_eq!(is(format, good), Some(true), "{format} {good}");
            assert_eq!(is(format, bad), Some(false), "{format} {bad}");
        }
        assert_eq!(is("int32", "x"), None);
    }
}
