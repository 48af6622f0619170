//! Replies in memory: how much of it one request may hold, so that none can take what the others need.

use super::blob::{Attrs, Writer};
use super::message::{Message, attr, kind};
use std::cell::Cell;
use std::rc::Rc;

/// Bytes of replies that are every request's own, whatever the others hold; beyond them no further call is begun.
const SHARE: usize = 64 << 10;

/// Bytes of replies that one request holds at most: one message of the longest, and some small ones.
const MAX_HELD: usize = 5 << 18;

/// Bytes of replies, beyond their shares, that all requests hold together: four of the longest.
const MAX_COMMON: usize = 4 << 20;

/// Bytes of an answer that is not counted to a request: an object's methods, or whether something is allowed.
pub const MAX_UNCOUNTED: usize = 32 << 10;

/// What all requests hold beyond their shares.
#[derive(Clone, Default)]
pub struct Common(Rc<Cell<usize>>);

/// The bytes of replies that one request holds. A connection has one request at a time.
pub struct ReplyBudget {
    held: Cell<usize>,
    common: Common,
}

impl Common {
    pub fn budget(&self) -> Rc<ReplyBudget> {
        Rc::new(ReplyBudget { held: Cell::new(0), common: self.clone() })
    }
}

impl ReplyBudget {
    /// Whether it is time for further calls: else what has come is to go out first.
    pub fn has_room(&self) -> bool {
        self.held.get() < SHARE
    }

    /// Counts bytes that are to be held; false, and nothing is counted, when they are too many.
    pub fn take(&self, count: usize) -> bool {
        let held = self.held.get() + count;
        let common = self.common.0.get() - self.beyond() + beyond(held);
        if held > MAX_HELD || held > SHARE && common > MAX_COMMON {
            return false;
        }
        self.common.0.set(common);
        self.held.set(held);
        true
    }

    /// Counts bytes that are held no longer.
    pub fn give_back(&self, count: usize) {
        let held = self.held.get().saturating_sub(count);
        self.common.0.set(self.common.0.get() - self.beyond() + beyond(held));
        self.held.set(held);
    }

    fn beyond(&self) -> usize {
        beyond(self.held.get())
    }
}

/// What is held beyond the share.
fn beyond(held: usize) -> usize {
    held.saturating_sub(SHARE)
}

/// What came before the status. Counted as long as it lives.
#[derive(Default)]
pub struct Data {
    /// Of a method the fields of all its tables; else one blob for each message.
    bytes: Vec<u8>,
    budget: Option<Rc<ReplyBudget>>,
}

impl Data {
    /// Of an answer that is counted to a request, or small.
    pub fn new(budget: Option<&Rc<ReplyBudget>>) -> Data {
        Data { bytes: Vec::new(), budget: budget.map(Rc::clone) }
    }

    /// What a method answered: it is one table, in however many messages it came.
    pub fn fields(&self) -> &[u8] {
        &self.bytes
    }

    /// What ubusd answered: the attributes of each message.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        Attrs::new(&self.bytes).map(|row| row.content)
    }

    /// Takes a message; false when that is too much.
    pub fn push(&mut self, kind: u8, message: &Message<'_>) -> bool {
        let before = self.bytes.len();
        if kind == kind::INVOKE {
            let content = message.attr(attr::DATA).map_or(&b""[..], |attr| attr.content);
            self.bytes.extend_from_slice(content);
            // The padding of the last field may be missing.
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        } else {
            Writer::new(&mut self.bytes).attr(0, message.body);
        }
        let fits = match &self.budget {
            Some(budget) => budget.take(self.bytes.len() - before),
            None => self.bytes.len() <= MAX_UNCOUNTED,
        };
        if !fits {
            self.bytes.truncate(before);
        }
        fits
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_share_of_others() {
        let common = Common::default();
        let greedy: Vec<_> = (0..10).map(|_| common.budget()).collect();
        let longest = 1 << 20;
        let taken = greedy.iter().filter(|budget| budget.take(longest)).count();
        assert_eq!(taken, MAX_COMMON / (longest - SHARE));
        assert!(greedy[9].take(SHARE + MAX_COMMON % (longest - SHARE)), "the rest");
        let late = common.budget();
        assert!(late.take(SHARE) && !late.take(1), "its share and no more");
        assert!(!late.has_room());
        assert!(!greedy[0].take(longest), "one message of the longest is enough");
        greedy[0].give_back(longest);
        assert!(late.take(1) && greedy[0].has_room());
        late.give_back(SHARE + 1);
        for budget in &greedy {
            budget.give_back(budget.held.get());
        }
        assert_eq!(common.0.get(), 0);
    }
}
