//! When a connection must be looked at though nothing happens.

/// What a connection's time is limited for.
#[derive(Clone, Copy)]
pub(super) enum Timer {
    /// A request's head.
    Head,
    /// A body that stands still.
    Body,
    /// One call to read it.
    Call,
    /// Output that the client does not take.
    Write,
    /// What follows an exchange: the time until the next, or draining, or lingering; while a handler runs, the time until a
    /// peer that ended its direction is asked whether it is there.
    End,
}

const TIMERS: usize = 5;

/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;

/// One deadline for each timer, in milliseconds of the loop's clock.
pub(super) struct Deadlines([u64; TIMERS]);

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines([NEVER; TIMERS])
    }
}

impl Deadlines {
    pub(super) fn get(&self, timer: Timer) -> u64 {
        self.0[timer as usize]
    }

    pub(super) fn set(&mut self, timer: Timer, when: u64) {
        self.0[timer as usize] = when;
    }

    /// The earliest.
    pub(super) fn next(&self) -> u64 {
        self.0.iter().copied().min().unwrap_or(NEVER)
    }
}
