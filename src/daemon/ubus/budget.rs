//! How many bytes of replies a request may hold in memory, so that none takes what others need.

use super::blob::{Attrs, Writer};
use super::message::{Message, attr, kind};
use std::cell::Cell;
use std::rc::Rc;

/// Bytes guaranteed to each request, whatever others hold. Beyond them it makes no further calls.
const SHARE: usize = 64 << 10;

/// Most bytes of one request: one message of the greatest length, and some small ones.
const MAX_HELD: usize = 5 << 18;

/// Most bytes of all requests together beyond what is guaranteed: four messages of the greatest length.
const MAX_COMMON: usize = 4 << 20;

/// Longest reply that is not counted to a request: to a lookup, or to an access check.
pub const MAX_UNCOUNTED: usize = 32 << 10;

/// What all requests hold beyond their guaranteed bytes.
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
    /// Whether further calls may be made. If not, replies must be sent first.
    pub fn has_room(&self) -> bool {
        self.held.get() < SHARE
    }

    /// Reserves bytes. Returns false, without reserving any, if they are too many.
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

    /// Releases bytes.
    pub fn give_back(&self, count: usize) {
        let held = self.held.get().saturating_sub(count);
        self.common.0.set(self.common.0.get() - self.beyond() + beyond(held));
        self.held.set(held);
    }

    fn beyond(&self) -> usize {
        beyond(self.held.get())
    }
}

/// The bytes beyond what is guaranteed.
fn beyond(held: usize) -> usize {
    held.saturating_sub(SHARE)
}

/// The data of a reply. Its bytes are reserved until it is dropped.
#[derive(Default)]
pub struct Data {
    /// For a method the fields of all its tables; otherwise one blob per message.
    bytes: Vec<u8>,
    budget: Option<Rc<ReplyBudget>>,
}

impl Data {
    /// For a reply that is counted to a request, or is small.
    pub fn new(budget: Option<&Rc<ReplyBudget>>) -> Data {
        Data { bytes: Vec::new(), budget: budget.map(Rc::clone) }
    }

    /// What a method replied: one table, from any number of messages.
    pub fn fields(&self) -> &[u8] {
        &self.bytes
    }

    /// What ubusd replied: the attributes of each message.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        Attrs::new(&self.bytes).map(|row| row.content)
    }

    /// Adds a message. Returns false if it is too much.
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
