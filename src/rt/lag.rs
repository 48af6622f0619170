//! How long turns of the loop take: meanwhile nobody else is served.

#[cfg(feature = "stats")]
use std::cell::Cell;

/// The upper bounds of the buckets, in milliseconds. The last bucket has none.
#[cfg(feature = "stats")]
pub const LAG_BOUNDS: [u16; 7] = [1, 5, 20, 50, 100, 500, 2000];

/// In the place of a turn's beginning.
#[cfg(feature = "stats")]
const NO_TURN: u64 = u64::MAX;

/// How long turns have taken so far. Without the feature `stats` nothing is counted.
#[cfg_attr(not(feature = "stats"), derive(Default))]
pub(crate) struct Lag {
    #[cfg(feature = "stats")]
    buckets: [Cell<u64>; LAG_BOUNDS.len() + 1],
    #[cfg(feature = "stats")]
    millis: Cell<u64>,
    /// When the turn began, by the loop's clock; [`NO_TURN`] once it has ended.
    #[cfg(feature = "stats")]
    began: Cell<u64>,
}

#[cfg(feature = "stats")]
impl Default for Lag {
    fn default() -> Lag {
        Lag { buckets: Default::default(), millis: Cell::default(), began: Cell::new(NO_TURN) }
    }
}

impl Lag {
    /// A turn begins.
    #[inline]
    pub(super) fn begin_turn(&self, _now: u64) {
        #[cfg(feature = "stats")]
        self.began.set(_now);
    }

    /// The turn has ended, unless it has before.
    #[inline]
    pub(super) fn end_turn(&self, _now: u64) {
        #[cfg(feature = "stats")]
        {
            let began = self.began.replace(NO_TURN);
            if began != NO_TURN {
                self.add(_now.wrapping_sub(began));
            }
        }
    }

    #[cfg(feature = "stats")]
    fn add(&self, millis: u64) {
        let [first, ..] = LAG_BOUNDS;
        // Nearly every turn: not worth a search.
        if millis <= u64::from(first) {
            self.buckets[0].update(|count| count + 1);
        } else {
            let bucket = LAG_BOUNDS.iter().position(|bound| millis <= u64::from(*bound));
            self.buckets[bucket.unwrap_or(LAG_BOUNDS.len())].update(|count| count + 1);
        }
        self.millis.update(|sum| sum.wrapping_add(millis));
    }

    /// The turns in each bucket.
    #[cfg(feature = "stats")]
    pub(crate) fn buckets(&self) -> [u64; LAG_BOUNDS.len() + 1] {
        self.buckets.each_ref().map(Cell::get)
    }

    /// The milliseconds of all turns.
    #[cfg(feature = "stats")]
    pub(crate) fn millis(&self) -> u64 {
        self.millis.get()
    }
}

#[cfg(all(test, feature = "stats"))]
mod tests {
    use super::*;

    #[test]
    fn turns_fall_into_buckets() {
        let lag = Lag::default();
        lag.end_turn(0);
        for millis in [0, 1, 2, 5, 6, 2000, 2001, 9999] {
            lag.begin_turn(7);
            lag.end_turn(7 + millis);
            lag.end_turn(99_999);
        }
        assert_eq!(lag.buckets(), [2, 2, 1, 0, 0, 0, 1, 2]);
        assert_eq!(lag.millis(), 14_014);
    }
}
