//! Deadlines in one ordered table.

use super::slots::Key;
use std::num::NonZeroU32;
use std::task::Waker;
use std::time::Duration;

/// What to do when a deadline has passed.
pub(crate) enum Due {
    /// Drive the connection.
    Conn(Key),
    /// Try to accept again on every listener.
    Accept,
    /// Log how many log lines were suppressed.
    Log,
    /// Wake a future.
    Wake(Waker),
}

/// Names one entry of the table: its time, and a number to distinguish equal times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId {
    pub(crate) when: u64,
    /// Not zero, so that an `Option` is no larger.
    number: NonZeroU32,
}

/// The table of deadlines, in milliseconds of the runtime's clock.
///
/// Sorted by time. Most new deadlines are later than all others and are soon removed again, so most changes happen near
/// the end. There is one entry per connection: moving a thousand of them now and then costs less than a tree would in
/// memory and code.
pub(crate) struct Timers {
    table: Vec<(TimerId, Due)>,
    /// The number of the next entry.
    number: NonZeroU32,
}

impl Default for Timers {
    fn default() -> Self {
        Timers { table: Vec::new(), number: NonZeroU32::MIN }
    }
}

impl Timers {
    pub(crate) fn insert(&mut self, when: u64, due: Due) -> TimerId {
        let id = TimerId { when, number: self.number };
        self.number = self.number.checked_add(1).unwrap_or(NonZeroU32::MIN);
        match self.find(id) {
            Ok(place) | Err(place) => self.table.insert(place, (id, due)),
        }
        id
    }

    pub(crate) fn remove(&mut self, id: TimerId) {
        if let Ok(place) = self.find(id) {
            self.table.remove(place);
        }
    }

    pub(super) fn rearm(&mut self, id: TimerId, waker: &Waker) {
        if let Ok(place) = self.find(id)
            && let Some((_, Due::Wake(armed))) = self.table.get_mut(place)
        {
            armed.clone_from(waker);
        }
    }

    /// The position of an entry, or where it belongs.
    fn find(&self, id: TimerId) -> Result<usize, usize> {
        self.table.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        self.table.first().map(|(id, _)| id.when)
    }

    /// Removes one entry that is due at `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        let (_, due) = self.table.remove(0);
        if self.table.is_empty() {
            self.table = Vec::new();
        }
        Some(due)
    }
}

/// `now + after` in milliseconds; a huge duration means "never".
pub(crate) fn deadline(now: u64, after: Duration) -> u64 {
    let round_up = !after.subsec_nanos().is_multiple_of(1_000_000);
    now.saturating_add(millis(after)).saturating_add(u64::from(round_up))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(timers: &mut Timers, now: u64) -> Vec<usize> {
        let mut keys = Vec::new();
        while let Some(due) = timers.pop(now) {
            match due {
                Due::Conn(key) => keys.push(key.index()),
                Due::Accept | Due::Log | Due::Wake(_) => unreachable!("none was inserted"),
            }
        }
        keys
    }

    #[test]
    fn entries_come_in_order_of_time_then_of_insertion() {
        let mut timers = Timers::default();
        timers.insert(20, Due::Conn(Key::unpack(1)));
        timers.insert(10, Due::Conn(Key::unpack(2)));
        timers.insert(20, Due::Conn(Key::unpack(3)));
        assert_eq!(timers.next(), Some(10));
        assert_eq!(due(&mut timers, 9), []);
        assert_eq!(due(&mut timers, 20), [2, 1, 3]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_removed_entry_never_comes() {
        let mut timers = Timers::default();
        let first = timers.insert(10, Due::Conn(Key::unpack(1)));
        timers.insert(10, Due::Conn(Key::unpack(2)));
        timers.remove(first);
        assert_eq!(due(&mut timers, 100), [2]);
    }

    #[test]
    fn a_deadline_is_never_early() {
        assert_eq!(deadline(5, Duration::from_micros(1)), 6);
        assert_eq!(deadline(5, Duration::from_millis(1)), 6);
        assert_eq!(deadline(5, Duration::ZERO), 5);
        assert_eq!(deadline(5, Duration::MAX), u64::MAX);
    }
}
