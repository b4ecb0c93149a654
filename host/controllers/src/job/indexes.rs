//! Sets of completion indexes, as intervals: a job of a million indexes is a few of them.

use std::collections::BTreeSet;
use std::fmt;

/// Intervals in order that neither overlap nor touch, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<(i32, i32)>);

impl Indexes {
    /// Reads `1,3-5,7`. What cannot be read is left out, and so is what lies beyond `completions`.
    pub(super) fn parse(text: &str, completions: i32) -> Self {
        let mut all = Vec::new();
        for interval in text.split(',') {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) else {
                continue;
            };
            if first >= 0 && first < completions && first <= last {
                all.push((first, last.min(completions - 1)));
            }
        }
        Self::of(all)
    }

    fn of(mut intervals: Vec<(i32, i32)>) -> Self {
        intervals.sort_unstable();
        let mut all: Vec<(i32, i32)> = Vec::with_capacity(intervals.len());
        for (first, last) in intervals {
            match all.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => all.push((first, last)),
            }
        }
        Self(all)
    }

    pub(super) fn with(&self, more: &BTreeSet<i32>) -> Self {
        self.merged(&Self(more.iter().map(|index| (*index, *index)).collect()))
    }

    pub(super) fn merged(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied().collect())
    }

    pub(super) fn count(&self) -> i32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, index: i32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// How many indexes both have.
    pub(super) fn common(&self, other: &Self) -> i32 {
        let (mut here, mut there, mut common) = (0, 0, 0);
        while let (Some((a, b)), Some((x, y))) = (self.0.get(here), other.0.get(there)) {
            common += (b.min(y) - a.max(x) + 1).max(0);
            if b <= y {
                here += 1;
            } else {
                there += 1;
            }
        }
        common
    }

    /// The first `count` indexes below `completions` that are missing.
    pub(super) fn missing(&self, count: usize, completions: i32) -> Vec<i32> {
        let mut missing = Vec::new();
        let mut from = 0;
        for (first, last) in self.0.iter().copied().chain([(completions, completions)]) {
            missing.extend((from..first.min(completions)).take(count - missing.len()));
            from = last.saturating_add(1);
        }
        missing
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match last - first {
                0 => write!(f, "{first}")?,
                1 => write!(f, "{first},{last}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_and_written_as_kubernetes_does() {
        for (text, completions, written, count) in [
            ("", 10, "", 0),
            ("0", 10, "0", 1),
            ("0,1", 10, "0,1", 2),
            ("0,1,2", 10, "0-2", 3),
            ("0-3,7", 10, "0-3,7", 5),
            ("0-3,4-5", 10, "0-5", 6),
            ("0-30", 10, "0-9", 10),
            ("5,12", 10, "5", 1),
            ("a,2,3-b,-1,8-7", 10, "2", 1),
        ] {
            let read = Indexes::parse(text, completions);
            assert_eq!((read.to_string().as_str(), read.count()), (written, count), "{text}");
        }
    }

    #[test]
    fn sets_of_them() {
        let some = Indexes::parse("1,3-5,9", 100);
        assert!(some.has(1) && some.has(4) && some.has(9));
        assert!(!some.has(0) && !some.has(2) && !some.has(6) && !some.has(10));
        assert_eq!(some.with(&BTreeSet::from([2, 6, 20])).to_string(), "1-6,9,20");
        assert_eq!(some.merged(&Indexes::parse("4-10", 100)).to_string(), "1,3-10");
        assert_eq!(some.common(&Indexes::parse("0-3,5,9-20", 100)), 4);
        assert_eq!(some.common(&Indexes::default()), 0);
        assert_eq!(some.missing(4, 100), [0, 2, 6, 7]);
        assert_eq!(some.missing(100, 11), [0, 2, 6, 7, 8, 10]);
        assert_eq!(some.missing(100, 4), [0, 2]);
        assert_eq!(some.missing(0, 4), [0; 0]);
        assert_eq!(Indexes::default().missing(2, 4), [0, 1]);
    }
}
