//! When a connection must be checked even if nothing happens.

/// What a deadline is for. [`timeouts`](super::timeouts) says what happens when it passes.
#[derive(Clone, Copy)]
pub(super) enum Timer {
    /// A request's head.
    Head,
    /// A request body that stalls.
    Body,
    /// One call to read the body.
    Call,
    /// Output that the client does not read.
    Write,
    /// After an exchange: the next request, draining, or lingering. While a handler runs: the probe of a peer that
    /// half-closed.
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
