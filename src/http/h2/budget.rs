//! How much useless work a client may cause.
//!
//! A frame that leads to nothing costs a little, and useful work gives some back, as time does. Who has spent all is asked
//! to calm down, and the connection ends (RFC 9113 §10.5).

use super::fault::{Code, Fault};
use super::limits::{BUDGET, BUDGET_A_SECOND};

/// What is left for a client.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    /// When time last gave some back, in milliseconds.
    since: u64,
}

impl Budget {
    /// All of it, at the time `now`.
    pub fn new(now: u64) -> Budget {
        Budget { left: BUDGET, since: now }
    }

    /// Gives back what time does.
    pub fn pass(&mut self, now: u64) {
        let back = now.saturating_sub(self.since).saturating_mul(BUDGET_A_SECOND) / 1000;
        if back > 0 {
            self.since = now;
            self.earn(u32::try_from(back).unwrap_or(BUDGET));
        }
    }

    /// Gives back for useful work.
    pub fn earn(&mut self, amount: u32) {
        self.left = self.left.saturating_add(amount).min(BUDGET);
    }

    /// Takes the cost of useless work.
    ///
    /// # Errors
    /// If not enough is left.
    pub fn charge(&mut self, cost: u32, reason: &'static str) -> Result<(), Fault> {
        self.left = self.left.checked_sub(cost).ok_or(Fault::new(Code::Calm, reason))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_work_give_back() {
        let mut budget = Budget::new(1000);
        assert_eq!(budget.charge(BUDGET, "x"), Ok(()));
        assert_eq!(budget.charge(1, "x"), Err(Fault::new(Code::Calm, "x")));
        budget.pass(1019);
        assert!(budget.charge(1, "x").is_err(), "not yet");
        budget.pass(1020);
        assert_eq!(budget.charge(1, "x"), Ok(()));
        assert!(budget.charge(1, "x").is_err());
        budget.earn(2);
        assert_eq!(budget.charge(2, "x"), Ok(()));
        budget.pass(u64::MAX);
        assert_eq!(budget.charge(BUDGET, "x"), Ok(()), "never more than all of it");
        assert!(budget.charge(1, "x").is_err());
    }
}
