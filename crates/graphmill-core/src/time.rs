//! Instants as the product shows them, and the clock that tests replace.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z. Shown as `YYYY-MM-DDTHH:MM:SS.mmmZ`, always UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant and `duration` more (saturating).
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to `self`; zero when the clock ran backwards.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Out of jiff's range (years −9999 to 9999) the nearest end is shown; no clock of ours gets there.
        let ts = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{ts:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A string that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time; write it as 2024-01-15T16:30:00Z")]
pub struct InvalidTimestamp(pub String);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Takes any RFC 3339 instant with an offset; fractions below a millisecond are cut.
    fn from_str(s: &str) -> Result<Self, InvalidTimestamp> {
        let bad = || InvalidTimestamp(s.chars().take(80).collect());
        let parsed = s.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()));
        parsed.or_else(|| end_of_time(s)).ok_or_else(bad)
    }
}

/// The last hours of the year 9999 are written well and lie beyond what jiff can hold: its last instant stands for them.
fn end_of_time(s: &str) -> Option<Timestamp> {
    let pieces = jiff::fmt::temporal::Pieces::parse(s).ok()?;
    let whole = pieces.time().is_some() && pieces.offset().is_some() && pieces.date().year() == 9999;
    whole.then(|| Timestamp(jiff::Timestamp::MAX.as_millisecond()))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where "now" comes from. Stores hold one; nothing that decides anything asks the system directly.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A clock that stands until it is moved, for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Steps to `now`, which may lie before.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_in_utc_with_three_digits() {
        assert_eq!(Timestamp::from_millis(1_705_336_205_120).to_string(), "2024-01-15T16:30:05.120Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!("2024-01-15T17:30:05.12+01:00".parse::<Timestamp>().unwrap().as_millis(), 1_705_336_205_120);
        assert!("2024-01-15".parse::<Timestamp>().is_err());
        assert_eq!("9999-12-31T23:59:59Z".parse::<Timestamp>().unwrap().to_string(), "9999-12-30T22:00:00.999Z");
        assert!("9999-12-31".parse::<Timestamp>().is_err() && "9999-13-31T00:00:00Z".parse::<Timestamp>().is_err());
    }
}
