//! Wrong tokens, counted by address. Nobody guesses 256 bits; this keeps a broken or hostile client from filling the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use graphmill_core::Timestamp;
use parking_lot::Mutex;

use crate::serve::network_of;

/// Addresses that are remembered.
const MOST_ADDRESSES: usize = 4_096;

/// Wrong tokens in a row that are answered as such.
const BURST: i64 = 20;

/// One more is answered as such after this time, in milliseconds.
const REFILL: i64 = 3_000;

/// A bucket for each address that has shown wrong tokens lately.
#[derive(Default)]
pub(crate) struct Failures {
    /// When the bucket of an address will be full again, in milliseconds.
    full_at: Mutex<HashMap<IpAddr, i64>>,
}

impl Failures {
    /// Counts a wrong token; the time to wait when there were too many.
    pub(crate) fn note(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let (address, now) = (network_of(address), now.as_millis());
        let mut full_at = self.full_at.lock();
        if full_at.len() >= MOST_ADDRESSES && !full_at.contains_key(&address) {
            full_at.retain(|_, at| *at > now);
            // Still full: the one that is forgotten has the least to wait.
            if full_at.len() >= MOST_ADDRESSES
                && let Some(least) = full_at.iter().min_by_key(|(_, at)| **at).map(|(a, _)| *a)
            {
                full_at.remove(&least);
            }
        }
        let at = full_at.entry(address).or_insert(now);
        let next = (*at).max(now) + REFILL;
        if next - now > BURST * REFILL {
            let wait = next - now - BURST * REFILL;
            return Some(Duration::from_millis(wait.unsigned_abs()));
        }
        *at = next;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_burst_then_one_at_a_time_each_address_by_itself() {
        let failures = Failures::default();
        let at = |seconds: i64| Timestamp::from_millis(1_700_000_000_000 + seconds * 1000);
        let (one, two): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..BURST {
            assert_eq!(failures.note(one, at(0)), None);
        }
        assert_eq!(failures.note(one, at(0)), Some(Duration::from_secs(3)));
        assert_eq!(failures.note(one, at(1)), Some(Duration::from_secs(2)), "refused ones do not count");
        assert_eq!(failures.note(two, at(1)), None);
        assert_eq!(failures.note(one, at(3)), None);
        assert!(failures.note(one, at(3)).is_some());
        for _ in 0..BURST {
            assert_eq!(failures.note(one, at(1000)), None);
        }
    }

    #[test]
    fn the_table_is_bounded_and_a_network_is_one() {
        let failures = Failures::default();
        let now = Timestamp::from_millis(1_700_000_000_000);
        for n in 0..u32::try_from(MOST_ADDRESSES).unwrap() * 3 {
            failures.note(IpAddr::V4(n.into()), now);
        }
        assert_eq!(failures.full_at.lock().len(), MOST_ADDRESSES);
        let host = |n: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, n));
        let refused = (0..100).filter(|n| failures.note(host(*n), now).is_some()).count();
        assert_eq!(refused, 80);
    }
}
