//! Sets of indexes as jobs write them: `1,3-5,7`.

/// What is wrong with a set of indexes below `completions`, or how many there are.
pub(super) fn count(text: &str, completions: i32) -> Result<i32, String> {
    let mut last: Option<i32> = None;
    let mut total = 0;
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let (first, end) = parse(interval, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// Where two sets meet.
pub(super) fn overlap(one: &str, other: &str, completions: i32) -> Option<i32> {
    let intervals = |text: &str| -> Vec<(i32, i32)> {
        text.split(',').filter_map(|interval| parse(interval, completions).ok()).collect()
    };
    let (one, other) = (intervals(one), intervals(other));
    let (mut at, mut there) = (0, 0);
    while let (Some((a, b)), Some((x, y))) = (one.get(at), other.get(there)) {
        if a <= y && x <= b {
            return Some(*a.max(x));
        }
        if a <= x { at += 1 } else { there += 1 }
    }
    None
}

fn parse(interval: &str, completions: i32) -> Result<(i32, i32), String> {
    let parts: Vec<_> = interval.split('-').collect();
    if parts.len() > 2 {
        return Err(format!(
            "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        ));
    }
    let number = |text: &str| -> Result<i32, String> {
        let parsed = text.parse::<i32>();
        let number =
            parsed.map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if number >= completions {
            return Err(format!("too large index: {text:?}"));
        }
        Ok(number)
    };
    let first = number(parts.first().copied().unwrap_or_default())?;
    let Some(end) = parts.get(1) else { return Ok((first, first)) };
    let end = number(end)?;
    if first >= end {
        return Err(format!("non-increasing order, previous: {first}, current: {end}"));
    }
    Ok((first, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        assert_eq!(count("", 5), Ok(0));
        assert_eq!(count("0,2-4", 5), Ok(4));
        for (text, error) in [
            ("5", "too large index: \"5\""),
            ("a", "cannot convert string to integer for index: \"a\""),
            ("3,1", "non-increasing order, previous: 3, current: 1"),
            ("3-3", "non-increasing order, previous: 3, current: 3"),
        ] {
            assert_eq!(count(text, 5), Err(error.to_owned()), "{text}");
        }
        assert!(count("1-2-3", 5).unwrap_err().contains("at most two parts"));
        assert_eq!(overlap("0,2-4", "1,3", 5), Some(3));
        assert_eq!(overlap("0,2", "1,3", 5), None);
        assert_eq!(overlap("", "1,3", 5), None);
    }
}
