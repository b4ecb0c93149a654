//! Schedules of CronJobs: the five fields of cron, and the names for common ones, as
//! `github.com/robfig/cron/v3`'s `ParseStandard` reads them.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan, Zoned};

/// Why a text is no schedule, in the words that Kubernetes shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CronError(String);

fn error<T>(text: String) -> Result<T, CronError> {
    Err(CronError(text))
}

/// When something is to be done, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At certain times of the calendar.
    Calendar(Calendar),
    /// Once in so many whole seconds.
    Every(SignedDuration),
}

/// Minutes, hours and days, each as a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
}

/// The values of one field that are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set {
    bits: u64,
    /// Whether it was written as all of them.
    star: bool,
}

impl Set {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits >> value & 1 == 1)
    }
}

/// What a field may hold.
struct Bounds {
    min: u32,
    max: u32,
    /// Names of its values, the least first.
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds =
    Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// Schedules that have names.
const NAMED: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// How far into the future a time is looked for: the thirtieth of February never comes.
const YEARS: i16 = 5;

impl FromStr for Schedule {
    type Err = CronError;

    /// Reads a schedule. Time zones are not part of it.
    fn from_str(text: &str) -> Result<Self, CronError> {
        if text.is_empty() {
            return error("empty spec string".into());
        }
        if let Some(every) = text.strip_prefix("@every ") {
            return match go_duration(every) {
                Some(duration) => {
                    let seconds = duration.as_secs().max(1);
                    Ok(Self::Every(SignedDuration::from_secs(seconds)))
                }
                None => error(format!(
                    "failed to parse duration {text}: time: invalid duration {every:?}"
                )),
            };
        }
        if text.starts_with('@') {
            let named = NAMED.iter().find(|(name, _)| *name == text);
            return match named {
                Some((_, fields)) => fields.parse(),
                None => error(format!("unrecognized descriptor: {text}")),
            };
        }
        let fields: Vec<_> = text.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = fields.as_slice() else {
            let found = fields.len();
            let fields = fields.join(" ");
            return error(format!("expected exactly 5 fields, found {found}: [{fields}]"));
        };
        Ok(Self::Calendar(Calendar {
            minutes: set(minutes, &MINUTES)?,
            hours: set(hours, &HOURS)?,
            days: set(days, &DAYS)?,
            months: set(months, &MONTHS)?,
            weekdays: set(weekdays, &WEEKDAYS)?,
        }))
    }
}

fn set(text: &str, bounds: &Bounds) -> Result<Set, CronError> {
    let mut all = Set::default();
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let one = range_of(range, bounds)?;
        all.bits |= one.bits;
        all.star |= one.star;
    }
    Ok(all)
}

fn range_of(text: &str, bounds: &Bounds) -> Result<Set, CronError> {
    let parts: Vec<_> = text.split('/').collect();
    let ends: Vec<_> = parts.first().copied().unwrap_or_default().split('-').collect();
    let low = ends.first().copied().unwrap_or_default();
    let mut star = false;
    let (start, mut end) = if matches!(low, "*" | "?") {
        star = true;
        (bounds.min, bounds.max)
    } else {
        let start = value(low, bounds)?;
        match ends.as_slice() {
            [_] => (start, start),
            [_, high] => (start, value(high, bounds)?),
            _ => return error(format!("too many hyphens: {text}")),
        }
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            // `5/15` begins at 5 and goes on to the end.
            if ends.len() == 1 {
                end = bounds.max;
            }
            star &= step <= 1;
            step
        }
        _ => return error(format!("too many slashes: {text}")),
    };
    let Bounds { min, max, .. } = *bounds;
    if start < min {
        return error(format!("beginning of range ({start}) below minimum ({min}): {text}"));
    }
    if end > max {
        return error(format!("end of range ({end}) above maximum ({max}): {text}"));
    }
    if start > end {
        return error(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return error(format!("step of range should be a positive number: {text}"));
    }
    let stride = usize::try_from(step).unwrap_or(usize::MAX);
    let bits = (start..=end).step_by(stride).fold(0, |bits, value| bits | 1 << value);
    Ok(Set { bits, star })
}

fn value(text: &str, bounds: &Bounds) -> Result<u32, CronError> {
    let at = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match at.and_then(|at| u32::try_from(at).ok()) {
        Some(at) => Ok(bounds.min + at),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, CronError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let fault = |what: &str| {
        error(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {what}"))
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return fault("invalid syntax");
    }
    match text.strip_prefix('+').unwrap_or(text).parse::<i64>() {
        Ok(number) if number < 0 => {
            error(format!("negative number ({number}) not allowed: {text}"))
        }
        // What no field can hold is told apart by its bounds, not by its size.
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => fault("value out of range"),
    }
}

/// Go's durations: `1h30m`, `-1.5s`.
fn go_duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, after) = rest.split_at(end);
        let units = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("\u{b5}s", 1e-6),
            ("\u{3bc}s", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3600.0),
        ];
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let (_, seconds) = units.iter().find(|(name, _)| *name == unit)?;
        let amount: f64 = amount.parse().ok()?;
        total = total.checked_add(SignedDuration::try_from_secs_f64(amount * seconds).ok()?)?;
        rest = next;
    }
    if negative { Some(-total) } else { Some(total) }
}

impl Schedule {
    /// The first time after `time` at which something is to be done, in the time zone of `time`.
    pub fn next(&self, time: &Zoned) -> Option<Zoned> {
        match self {
            Self::Every(duration) => {
                let whole = time.timestamp().as_second();
                let at = jiff::Timestamp::from_second(whole).ok()?.checked_add(*duration).ok()?;
                Some(at.to_zoned(time.time_zone().clone()))
            }
            Self::Calendar(calendar) => calendar.next(time),
        }
    }
}

impl Calendar {
    fn day_fits(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        // Two conditions that both say something are alternatives.
        if self.days.star || self.weekdays.star { day && weekday } else { day || weekday }
    }

    fn next(&self, time: &Zoned) -> Option<Zoned> {
        let zone = time.time_zone();
        let mut date = time.date();
        let last = date.year().checked_add(YEARS)?;
        while date.year() <= last {
            if !self.months.has(date.month()) {
                date = date.first_of_month().checked_add(1.month()).ok()?;
                continue;
            }
            if self.day_fits(date)
                && let Some(found) = self.next_of_day(date, time)
            {
                return Some(found.with_time_zone(zone.clone()));
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The first time of a day that is after `time`. Times that a change of the clocks skips do not
    /// come; those that come twice are meant both times where every hour is, as minutes pass.
    fn next_of_day(&self, date: Date, time: &Zoned) -> Option<Zoned> {
        let zone = time.time_zone();
        let begin = date.to_zoned(zone.clone()).ok()?;
        let end = date.tomorrow().ok()?.to_zoned(zone.clone()).ok()?;
        let mut at = begin;
        if *time >= at {
            let minute = time.timestamp().as_second().div_euclid(60) * 60 + 60;
            at = jiff::Timestamp::from_second(minute).ok()?.to_zoned(zone.clone());
        }
        while at < end {
            if !self.hours.has(at.hour()) {
                let rest = 60 - i64::from(at.minute());
                at = at.checked_add(SignedDuration::from_mins(rest)).ok()?;
                continue;
            }
            if self.minutes.has(at.minute()) {
                return Some(at);
            }
            at = at.checked_add(SignedDuration::from_mins(1)).ok()?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        text.parse::<Schedule>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_schedule() {
        for (text, expected) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            (
                "a * * * *",
                "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax",
            ),
            ("@never", "unrecognized descriptor: @never"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
    }

    fn next(schedule: &str, time: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        let time: Zoned = time.parse().unwrap();
        schedule.next(&time).map_or("never".into(), |next| next.to_string())
    }

    #[test]
    fn times() {
        let from = "2026-07-09T14:45:30[UTC]";
        for (schedule, expected) in [
            ("* * * * *", "2026-07-09T14:46:00+00:00[UTC]"),
            ("0/15 * * * *", "2026-07-09T15:00:00+00:00[UTC]"),
            ("20-35/15 * * * *", "2026-07-09T15:20:00+00:00[UTC]"),
            ("@daily", "2026-07-10T00:00:00+00:00[UTC]"),
            ("@weekly", "2026-07-12T00:00:00+00:00[UTC]"),
            ("@hourly", "2026-07-09T15:00:00+00:00[UTC]"),
            ("0 0 1 FEB *", "2027-02-01T00:00:00+00:00[UTC]"),
            ("0 0 29 2 ?", "2028-02-29T00:00:00+00:00[UTC]"),
            // The first of the month or a Monday.
            ("0 0 1 * mon", "2026-07-13T00:00:00+00:00[UTC]"),
            ("0 0 */2 * mon", "2026-07-11T00:00:00+00:00[UTC]"),
            ("0 0 30 feb *", "never"),
            ("@every 1h30m", "2026-07-09T16:15:30+00:00[UTC]"),
            ("@every 10ms", "2026-07-09T14:45:31+00:00[UTC]"),
        ] {
            assert_eq!(next(schedule, from), expected, "{schedule}");
        }
    }

    #[test]
    fn clocks_that_change() {
        // At two the clock jumps to three, and in autumn from three back to two.
        let spring = "2026-03-29T00:30:00[Europe/Berlin]";
        assert_eq!(next("30 2 * * *", spring), "2026-03-30T02:30:00+02:00[Europe/Berlin]");
        assert_eq!(
            next("0 * * * *", "2026-03-29T01:10:00[Europe/Berlin]"),
            "2026-03-29T03:00:00+02:00[Europe/Berlin]"
        );
        let autumn = "2026-10-25T02:30:00+02:00[Europe/Berlin]";
        assert_eq!(next("30 * * * *", autumn), "2026-10-25T02:30:00+01:00[Europe/Berlin]");
    }
}
