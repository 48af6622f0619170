//! Deadlines in order.

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

/// Names one timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerId {
    pub(crate) when: u64,
    /// The slot in the table, which later timers reuse.
    place: u32,
    /// Distinguishes it from those. Not zero, so that an `Option` is no larger.
    number: NonZeroU32,
}

impl TimerId {
    /// Timers are ordered by time, and those of the same time as they were inserted.
    fn is_before(&self, other: &TimerId) -> bool {
        (self.when, self.number) < (other.when, other.number)
    }
}

/// The deadlines, in milliseconds of the runtime's clock.
///
/// A binary heap, and a table that says where in the heap each timer is, as most are removed before they are due. An
/// operation costs at most the logarithm of their number. Inserting a timer that is later than all others costs no
/// moves.
pub(crate) struct Timers {
    /// No timer is earlier than its parent in the heap.
    heap: Vec<TimerId>,
    table: Vec<Entry>,
    /// Free slots of the table.
    free: Vec<u32>,
    /// The number of the next timer.
    number: NonZeroU32,
}

struct Entry {
    due: Due,
    /// Its index in the heap; [`NOWHERE`] if this slot is free.
    index: u32,
}

const NOWHERE: u32 = u32::MAX;

impl Default for Timers {
    fn default() -> Self {
        Timers { heap: Vec::new(), table: Vec::new(), free: Vec::new(), number: NonZeroU32::MIN }
    }
}

impl Timers {
    pub(crate) fn insert(&mut self, when: u64, due: Due) -> TimerId {
        let entry = Entry { due, index: NOWHERE };
        let place = match self.free.pop() {
            Some(place) => {
                self.table[place as usize] = entry;
                place
            }
            None => {
                self.table.push(entry);
                u32::try_from(self.table.len() - 1).unwrap_or_else(|_| unreachable!("memory ends before that"))
            }
        };
        let id = TimerId { when, place, number: self.number };
        self.number = self.number.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.heap.push(id);
        self.rise(self.heap.len() - 1, id);
        id
    }

    pub(crate) fn remove(&mut self, id: TimerId) {
        if let Some(index) = self.find(id) {
            self.take(index);
        }
    }

    pub(super) fn rearm(&mut self, id: TimerId, waker: &Waker) {
        if self.find(id).is_some()
            && let Due::Wake(armed) = &mut self.table[id.place as usize].due
        {
            armed.clone_from(waker);
        }
    }

    /// Where in the heap a timer is.
    fn find(&self, id: TimerId) -> Option<usize> {
        let index = self.table.get(id.place as usize)?.index as usize;
        (self.heap.get(index) == Some(&id)).then_some(index)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.first().map(|id| id.when)
    }

    /// Removes one timer that is due at `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        let due = self.take(0);
        if self.heap.is_empty() {
            *self = Timers { number: self.number, ..Timers::default() };
        }
        Some(due)
    }

    /// Removes the timer at that index of the heap. The last one takes its place.
    fn take(&mut self, index: usize) -> Due {
        let place = self.heap[index].place;
        self.free.push(place);
        let free = Entry { due: Due::Accept, index: NOWHERE };
        let taken = std::mem::replace(&mut self.table[place as usize], free);
        if let Some(last) = self.heap.pop()
            && index < self.heap.len()
        {
            let index = self.sink(index, last);
            self.rise(index, last);
        }
        taken.due
    }

    /// Moves a timer up from the gap at `index`, until its parent is earlier.
    fn rise(&mut self, mut index: usize, id: TimerId) {
        while index > 0 {
            let above = self.heap[(index - 1) / 2];
            if !id.is_before(&above) {
                break;
            }
            self.set(index, above);
            index = (index - 1) / 2;
        }
        self.set(index, id);
    }

    /// Moves a timer down from the gap at `index`, until no child is earlier. Returns its index.
    fn sink(&mut self, mut index: usize, id: TimerId) -> usize {
        loop {
            let left = 2 * index + 1;
            let Some(mut next) = self.heap.get(left) else { break };
            let mut below = left;
            if let Some(right) = self.heap.get(left + 1)
                && right.is_before(next)
            {
                (next, below) = (right, left + 1);
            }
            if !next.is_before(&id) {
                break;
            }
            self.set(index, *next);
            index = below;
        }
        self.set(index, id);
        index
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are no more indices than places")]
    fn set(&mut self, index: usize, id: TimerId) {
        self.heap[index] = id;
        self.table[id.place as usize].index = index as u32;
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

    /// Against a list that is searched, whatever is done in whatever order.
    #[test]
    fn they_are_as_a_list_that_is_searched() {
        let (mut timers, mut list, mut gone) = (Timers::default(), Vec::<(TimerId, usize)>::new(), Vec::new());
        let mut random = 1_u64;
        for round in 0..20_000_usize {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = usize::try_from(random >> 40).unwrap();
            match pick % 5 {
                0..3 => {
                    let when = u64::try_from(round / 10 + pick % 300).unwrap();
                    list.push((timers.insert(when, Due::Conn(Key::unpack(round))), round));
                }
                3 if !list.is_empty() => {
                    let (id, _) = list.swap_remove(pick / 5 % list.len());
                    timers.remove(id);
                    gone.push(id);
                }
                _ => {
                    let now = u64::try_from(round / 10).unwrap();
                    list.sort_by_key(|(id, round)| (id.when, *round));
                    let count = list.partition_point(|(id, _)| id.when <= now);
                    let expected: Vec<_> = list.drain(..count).map(|(id, round)| (gone.push(id), round).1).collect();
                    assert_eq!(due(&mut timers, now), expected);
                }
            }
            if let Some(id) = gone.get(pick % gone.len().max(1)) {
                // It is not the one in its place now.
                timers.remove(*id);
            }
            assert_eq!(timers.next(), list.iter().map(|(id, _)| id.when).min());
        }
        assert!(due(&mut timers, u64::MAX).len() == list.len() && timers.table.capacity() == 0);
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
