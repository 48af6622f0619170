//! How many connections to accept at a time: as many as arrive, without a call that only finds none left.
//!
//! The kernel reports a listener as long as connections wait (level-triggered). So a listener that was not emptied is
//! reported again, and accepting too few at a time only costs turns of the loop.

/// After fewer connections than expected, the turns before more are expected again. That bounds how often an accept(2)
/// is in vain.
const HOLD: u32 = 16;

/// The connections that are expected of a listener.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The number expected in each turn.
    size: u32,
    /// The maximum of that.
    most: u32,
    /// How many of them are still expected in this turn.
    due: u32,
    /// Turns left before more are expected.
    hold: u32,
    /// The last turn had as many as were expected.
    filled: bool,
}

impl Batch {
    pub(crate) fn new(most: u32) -> Batch {
        Batch { size: 1, most, due: 0, hold: 0, filled: false }
    }

    /// The kernel has reported that connections wait.
    pub(crate) fn begin(&mut self) {
        if std::mem::take(&mut self.filled) {
            match self.hold.checked_sub(1) {
                Some(hold) => self.hold = hold,
                None => self.size = self.size.saturating_mul(2).min(self.most),
            }
        }
        self.due = self.size;
    }

    /// Whether connections are expected in this turn.
    pub(crate) fn is_due(&self) -> bool {
        self.due > 0
    }

    /// One was accepted.
    pub(crate) fn count(&mut self) {
        self.due = self.due.saturating_sub(1);
        self.filled = self.due == 0;
    }

    /// No more were there.
    pub(crate) fn end(&mut self) {
        self.size = self.size.saturating_sub(self.due).max(1);
        self.due = 0;
        self.hold = HOLD;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns with so many connections each: how many accept(2) were in vain, and how many turns it took.
    fn run(arrivals: &[u32]) -> (u32, u32) {
        let (mut batch, mut waiting, mut vain, mut turns) = (Batch::new(64), 0, 0, 0);
        let mut arrivals = arrivals.iter();
        loop {
            let next = arrivals.next();
            waiting += next.unwrap_or(&0);
            if waiting == 0 {
                if next.is_none() {
                    return (vain, turns);
                }
                continue;
            }
            turns += 1;
            batch.begin();
            while batch.is_due() {
                match u32::checked_sub(waiting, 1) {
                    Some(left) => {
                        waiting = left;
                        batch.count();
                    }
                    None => {
                        vain += 1;
                        batch.end();
                    }
                }
            }
        }
    }

    #[test]
    fn few_calls_are_in_vain_and_few_turns_are_spent() {
        let (vain, turns) = run(&[1; 1000]);
        assert!(vain <= 1000 / 16 && turns == 1000, "one after the other: {vain} {turns}");
        let (vain, turns) = run(&[10; 1000]);
        assert!(vain <= 1000 / 8 && turns <= 1010, "ten at a time: {vain} {turns}");
        let (vain, turns) = run(&[1000]);
        assert!(vain <= 1 && turns <= 6 + 1000 / 64 + 1, "all at once: {vain} {turns}");
    }
}
