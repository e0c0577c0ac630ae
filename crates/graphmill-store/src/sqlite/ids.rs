//! Job ids that rise: UUIDv7 whose 74 free bits count up within a millisecond, and whose time never steps back with the clock. The job was made
//! at the time in its id, so that keys, ids and `created_at` have one order.

use graphmill_core::{JobId, Timestamp};

/// The 74 bits of a UUIDv7 that are not time, version or variant.
const FREE_BITS: u32 = 74;

/// Source of the ids of a store's jobs.
#[derive(Debug)]
pub(crate) struct JobIds {
    millis: i64,
    free: u128,
}

impl JobIds {
    /// All ids made from here are above `last`.
    pub(crate) fn above(last: Option<JobId>) -> Self {
        let Some(last) = last else { return Self { millis: i64::MIN, free: 0 } };
        let bits = u128::from_be_bytes(*last.as_bytes());
        let rand_a = (bits >> 64) & 0xfff;
        let rand_b = bits & ((1 << 62) - 1);
        Self { millis: i64::try_from(bits >> 80).unwrap_or(i64::MAX), free: (rand_a << 62) | rand_b }
    }

    /// The next id and its time.
    pub(crate) fn next(&mut self, now: Timestamp) -> (JobId, Timestamp) {
        if now.as_millis() > self.millis {
            self.millis = now.as_millis();
            // The highest bit stays free for counting up.
            self.free = rand::random::<u128>() >> (128 - FREE_BITS + 1);
        } else {
            self.free += u128::from(rand::random::<u32>()) + 1;
            if self.free >> FREE_BITS != 0 {
                self.millis += 1;
                self.free = rand::random::<u128>() >> (128 - FREE_BITS + 1);
            }
        }
        // Where `new_v7` takes its bits from: 12 after 4 of the version, 62 after 2 of the variant.
        let spread = ((self.free >> 62) << 64) | (self.free & ((1 << 62) - 1));
        let mut random = [0; 10];
        random.copy_from_slice(&spread.to_be_bytes()[6..]);
        let at = Timestamp::from_millis(self.millis);
        (JobId::new_v7(at, &random), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_millisecond_and_when_the_clock_steps_back() {
        let mut ids = JobIds::above(None);
        let mut last = ids.next(Timestamp::from_millis(1_700_000_000_000));
        for step in 0..10_000 {
            let next = ids.next(Timestamp::from_millis(1_700_000_000_000 - step / 100));
            assert!(next.0 > last.0 && next.1 >= last.1);
            last = next;
        }
        let after = JobIds::above(Some(last.0)).next(Timestamp::from_millis(1_600_000_000_000));
        assert!(after.0 > last.0 && after.1 >= last.1, "{after:?} {last:?}");
        assert!(after.0.to_string().parse::<JobId>().is_ok());
    }
}
