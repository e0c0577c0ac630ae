//! Conditional requests and byte ranges (RFC 9110, sections 8.8, 13 and 14) for a body whose bytes never change under its tag.

use axum::http::{HeaderMap, header};

/// What of the body is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The client has it already: 304.
    Nothing,
    /// All of it: 200.
    Whole,
    /// These bytes (the last one included): 206.
    Bytes(u64, u64),
    /// A range that begins behind the end: 416.
    Beyond,
}

/// Reads the headers. `tag` is strong, with its quotes; `size` is that of the body. A range that cannot be read, or several at once, is answered with the
/// whole body, as the RFC allows.
pub(crate) fn wanted(headers: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let has = |list: &str| list.split(',').map(str::trim).any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag);
    if headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).any(has) {
        return Wanted::Nothing;
    }
    // A date here names a version that we cannot compare: the whole is never wrong.
    let same_version = text(header::IF_RANGE).is_none_or(|version| version.trim() == tag);
    match text(header::RANGE).filter(|_| same_version) {
        Some(range) => range_of(range, size),
        None => Wanted::Whole,
    }
}

fn range_of(range: &str, size: u64) -> Wanted {
    let Some(range) = range.trim().strip_prefix("bytes=").filter(|range| !range.contains(',')) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::Whole };
    // Digits alone: `parse` would take a sign.
    let number = |text: &str| -> Option<Option<u64>> {
        match text {
            "" => Some(None),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(Some(digits.parse().unwrap_or(u64::MAX))),
            _ => None,
        }
    };
    match (number(first), number(last)) {
        (Some(None), Some(Some(count))) if count == 0 || size == 0 => Wanted::Beyond,
        (Some(None), Some(Some(count))) => Wanted::Bytes(size.saturating_sub(count), size - 1),
        (Some(Some(first)), Some(Some(last))) if first > last => Wanted::Whole,
        (Some(Some(first)), Some(_)) if first >= size => Wanted::Beyond,
        (Some(Some(first)), Some(last)) => Wanted::Bytes(first, last.unwrap_or(u64::MAX).min(size - 1)),
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const TAG: &str = "\"abc\"";

    fn of(pairs: &[(HeaderName, &str)]) -> Wanted {
        let headers = pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_str(v).unwrap())).collect();
        wanted(&headers, TAG, 100)
    }

    #[test]
    fn ranges_of_a_body() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Bytes(0, 0)),
            ("bytes=10-19", Wanted::Bytes(10, 19)),
            ("bytes=90-", Wanted::Bytes(90, 99)),
            ("bytes=90-1000", Wanted::Bytes(90, 99)),
            ("bytes=-5", Wanted::Bytes(95, 99)),
            ("bytes=-500", Wanted::Bytes(0, 99)),
            ("bytes=0-99999999999999999999", Wanted::Bytes(0, 99)),
            ("bytes=100-", Wanted::Beyond),
            ("bytes=99999999999999999999-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=20-10", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=x-", Wanted::Whole),
            ("pages=1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(of(&[(header::RANGE, range)]), expected, "{range}");
        }
        let empty = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-"))]);
        assert_eq!(wanted(&empty, TAG, 0), Wanted::Beyond);
    }

    #[test]
    fn tags_decide_first() {
        for list in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert_eq!(of(&[(header::IF_NONE_MATCH, list), (header::RANGE, "bytes=0-0")]), Wanted::Nothing, "{list}");
        }
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"x\"")]), Wanted::Whole);
        assert_eq!(of(&[(header::IF_RANGE, TAG), (header::RANGE, "bytes=0-0")]), Wanted::Bytes(0, 0));
        for other in ["\"x\"", "W/\"abc\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(of(&[(header::IF_RANGE, other), (header::RANGE, "bytes=0-0")]), Wanted::Whole, "{other}");
        }
    }
}
