//! `Range` of a download, `Content-Range` of an upload.

use http::{HeaderMap, header};

/// A part of a file: the first byte and how many follow it, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole: no range, or one that may be ignored.
    All,
    /// `length` bytes from `start`.
    Some { start: u64, length: u64 },
    /// Beyond the end.
    None,
}

/// What a download of `size` bytes asks for. Several ranges at once are answered with the whole, as
/// HTTP allows.
pub(super) fn wanted(headers: &HeaderMap, size: u64) -> Part {
    let Some(range) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Part::All;
    };
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Part::All;
    };
    let (start, end) = match (first.trim(), last.trim()) {
        ("", last) => match last.parse::<u64>() {
            Ok(0) => return Part::None,
            Ok(length) => (size.saturating_sub(length), size),
            Err(_) => return Part::All,
        },
        (first, "") => match first.parse() {
            Ok(start) => (start, size),
            Err(_) => return Part::All,
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
            _ => return Part::All,
        },
    };
    if start >= size { Part::None } else { Part::Some { start, length: end - start } }
}

/// The first byte of an uploaded chunk (`<start>-<end>`, without a unit), if it says so.
pub(super) fn chunk_start(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ())?.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let (start, _) = text.split_once('-').ok_or(())?;
    start.parse().map(Some).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        wanted(&headers, 10)
    }

    #[test]
    fn ranges_of_ten_bytes() {
        assert_eq!(wanted(&HeaderMap::new(), 10), Part::All);
        assert_eq!(of("bytes=0-0"), Part::Some { start: 0, length: 1 });
        assert_eq!(of("bytes=2-5"), Part::Some { start: 2, length: 4 });
        assert_eq!(of("bytes=2-"), Part::Some { start: 2, length: 8 });
        assert_eq!(of("bytes=-3"), Part::Some { start: 7, length: 3 });
        assert_eq!(of("bytes=-30"), Part::Some { start: 0, length: 10 });
        assert_eq!(of("bytes=8-99"), Part::Some { start: 8, length: 2 });
        assert_eq!(of("bytes=10-"), Part::None);
        assert_eq!(of("bytes=-0"), Part::None);
        for ignored in ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4"] {
            assert_eq!(of(ignored), Part::All, "{ignored}");
        }
    }

    #[test]
    fn chunks_say_where_they_begin() {
        let start = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, text.parse().unwrap());
            chunk_start(&headers)
        };
        assert_eq!(chunk_start(&HeaderMap::new()), Ok(None));
        assert_eq!(start("5-9"), Ok(Some(5)));
        assert_eq!(start("bytes 5-9/10"), Ok(Some(5)));
        assert_eq!(start("x"), Err(()));
    }
}
