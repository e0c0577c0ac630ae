//! `Retry-After` (RFC 9110, 10.2.3): seconds or a date.

use std::time::{Duration, SystemTime};

use graphmill_core::Timestamp;

/// Nobody is made to wait for longer than this by a header.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The time to wait that `value` tells; `None` when it tells none.
pub(super) fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        // RFC 9110 has whole seconds; some servers send fractions.
        return (seconds.is_finite() && seconds >= 0.0)
            .then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let millis = date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis();
    let at = Timestamp::from_millis(i64::try_from(millis).ok()?);
    Some(at.since(now).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now = "1994-11-06T08:49:30Z".parse().expect("a constant");
        assert_eq!(parse("7", now), Some(Duration::from_secs(7)));
        assert_eq!(parse(" 0.25 ", now), Some(Duration::from_millis(250)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse("1e99", now), Some(LONGEST));
        for bad in ["", "soon", "-1", "NaN", "inf"] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
    }
}
