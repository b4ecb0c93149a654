//! `date` and `sleep`.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::call::{Call, Failure, Outcome};

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) fn sleep(call: &mut Call<'_>) -> Outcome {
    let given = call.arguments.get(1..).unwrap_or_default();
    if given.is_empty() {
        return Err(Failure::new(2, "missing operand"));
    }
    let lengths = given.iter().map(|text| {
        length(text).ok_or_else(|| Failure::new(1, format!("invalid number '{text}'")))
    });
    let lengths = lengths.collect::<Result<Vec<_>, _>>()?;
    let all = lengths.into_iter().fold(Duration::ZERO, Duration::saturating_add);
    Ok(call.sleep(all).unwrap_or(0))
}

/// A number of seconds, or of what its last letter says.
pub(super) fn length(text: &str) -> Option<Duration> {
    if matches!(text, "inf" | "infinity") {
        return Some(Duration::from_secs(u64::from(u32::MAX)));
    }
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, letter) if letter.is_ascii_alphabetic() => (text.get(..at)?, letter),
        _ => (text, 's'),
    };
    let unit = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        'd' => 86_400.0,
        _ => return None,
    };
    if !digits.chars().all(|letter| letter.is_ascii_digit() || letter == '.') {
        return None;
    }
    let seconds = digits.parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds.min(u32::MAX.into())).ok()
}

pub(super) fn date(call: &mut Call<'_>) -> Outcome {
    // The time zone is UTC with or without -u.
    let options = call.options("uR", "d")?;
    let seconds = match options.value('d') {
        Some(text) => {
            let invalid = || Failure::new(1, format!("invalid date '{text}'"));
            text.strip_prefix('@').and_then(|text| text.parse().ok()).ok_or_else(invalid)?
        }
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
        }
    };
    let pattern = match options.rest.as_slice() {
        [] if options.has('R') => "%a, %d %b %Y %H:%M:%S +0000",
        [] => "%a %b %e %H:%M:%S UTC %Y",
        [one] => match one.strip_prefix('+') {
            Some(pattern) => pattern,
            None => return Err(Failure::new(1, format!("invalid date '{one}'"))),
        },
        _ => return Err(Failure::new(2, "too many operands")),
    };
    let text = format(pattern, seconds)?;
    writeln!(call.io.output, "{text}")?;
    Ok(0)
}

/// A point in time, in seconds since 1970, as `pattern` says.
pub(super) fn format(pattern: &str, seconds: i64) -> Result<String, Failure> {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = (days + 4).rem_euclid(7);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default()
    };
    let (weekday_name, month_name) = (name(&WEEKDAYS, weekday), name(&MONTHS, month - 1));
    let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
    let mut text = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        text.push_str(&match letters.next() {
            Some('%') => "%".to_owned(),
            Some('n') => "\n".to_owned(),
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year.rem_euclid(100)),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('H') => format!("{hour:02}"),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('s') => seconds.to_string(),
            Some('N') => "000000000".to_owned(),
            Some('u') => if weekday == 0 { 7 } else { weekday }.to_string(),
            Some('w') => weekday.to_string(),
            Some('a') => short(weekday_name),
            Some('A') => weekday_name.to_owned(),
            Some('b' | 'h') => short(month_name),
            Some('B') => month_name.to_owned(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('R') => format!("{hour:02}:{minute:02}"),
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(Failure::new(2, format!("format %{other} is not there")));
            }
        });
    }
    Ok(text)
}

/// Year, month and day of a day since 1970, by the Gregorian calendar's period of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0, so that a leap day ends its year.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written() {
        for (seconds, expected) in [
            (0, "Thu Jan  1 00:00:00 UTC 1970"),
            (951_782_400, "Tue Feb 29 00:00:00 UTC 2000"),
            (1_467_331_199, "Thu Jun 30 23:59:59 UTC 2016"),
            (4_107_542_400, "Mon Mar  1 00:00:00 UTC 2100"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        ] {
            assert_eq!(format("%a %b %e %H:%M:%S UTC %Y", seconds).unwrap(), expected);
        }
        assert_eq!(format("%F %T %s%%", 86_400).unwrap(), "1970-01-02 00:00:00 86400%");
        assert!(format("%Q", 0).is_err());
    }

    #[test]
    fn lengths_have_units() {
        for (text, seconds) in [
            ("30", Some(30.0)),
            ("30s", Some(30.0)),
            ("0.5", Some(0.5)),
            ("2m", Some(120.0)),
            ("1d", Some(86_400.0)),
            ("s", None),
            ("1x", None),
            ("-1", None),
            ("1e9", None),
            ("", None),
        ] {
            assert_eq!(length(text).map(|length| length.as_secs_f64()), seconds, "{text}");
        }
    }
}
