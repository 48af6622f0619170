//! How many connections to accept at a time: as many as arrive, without a call that only finds none left.
//!
//! The kernel reports a listener as long as connections wait (level-triggered). So a listener that was not emptied is
//! reported again, and accepting too few at a time only costs turns of the loop.

/// After fewer connections than expected, the turns before more are expected again. That bounds how often an accept(2)
/// is in vain.
const HOLD: u32 = 16;

/// The milliseconds after which more are expected again all the same. Where turns are long, a call in vain costs less than
/// the connections that wait for their turn.
const HOLD_TIME: u64 = 20;

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
    /// When more are expected in any case, in milliseconds of the loop's clock.
    hold_until: u64,
    /// The last turn had as many as were expected.
    filled: bool,
}

impl Batch {
    pub(crate) fn new(most: u32) -> Batch {
        Batch { size: 1, most, due: 0, hold: 0, hold_until: 0, filled: false }
    }

    /// The kernel has reported that connections wait. `now` is the loop's clock, in milliseconds.
    pub(crate) fn begin(&mut self, now: u64) {
        if std::mem::take(&mut self.filled) {
            match self.hold.checked_sub(1) {
                Some(hold) if now < self.hold_until => self.hold = hold,
                _ => self.size = self.size.saturating_mul(2).min(self.most),
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
    pub(crate) fn end(&mut self, now: u64) {
        self.size = self.size.saturating_sub(self.due).max(1);
        self.due = 0;
        self.hold = HOLD;
        self.hold_until = now.saturating_add(HOLD_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of so many milliseconds, with so many connections each: how many accept(2) were in vain, and how many turns it
    /// took.
    fn run(turn: u64, arrivals: &[u32]) -> (u32, u32) {
        let (mut batch, mut waiting, mut vain, mut turns, mut now) = (Batch::new(64), 0, 0, 0, 0);
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
            now += turn;
            batch.begin(now);
            while batch.is_due() {
                match u32::checked_sub(waiting, 1) {
                    Some(left) => {
                        waiting = left;
                        batch.count();
                    }
                    None => {
                        vain += 1;
                        batch.end(now);
                    }
                }
            }
        }
    }

    #[test]
    fn few_calls_are_in_vain_and_few_turns_are_spent() {
        let (vain, turns) = run(1, &[1; 1000]);
        assert!(vain <= 1000 / 16 && turns == 1000, "one after the other: {vain} {turns}");
        let (vain, turns) = run(1, &[10; 1000]);
        assert!(vain <= 1000 / 8 && turns <= 1010, "ten at a time: {vain} {turns}");
        let (vain, turns) = run(1, &[1000]);
        assert!(vain <= 1 && turns <= 6 + 1000 / 64 + 1, "all at once: {vain} {turns}");
    }

    #[test]
    fn a_burst_is_accepted_soon_where_turns_are_long() {
        // Those before it leave the expectation low.
        let before = [1; 7];
        let (_, turns) = run(30, &[&before[..], &[64]].concat());
        assert!(turns - 7 <= 7, "{turns}");
    }
}
