//! What the program counts besides the library. Without the feature `status` nothing is counted.

#[cfg(feature = "status")]
use std::cell::Cell;

/// What is counted.
#[derive(Clone, Copy)]
pub enum Counted {
    /// CGI scripts that run now.
    ScriptsRunning,
    /// Requests that wait for their turn to run one.
    ScriptsWaiting,
    /// Scripts that were killed.
    ScriptsKilled,
    /// Calls of methods by way of `/ubus`.
    #[cfg(feature = "ubus")]
    UbusCalls,
    /// Logins that had to wait for others, or were refused.
    ThrottledLogins,
    /// Lines that a log did not take.
    LinesDropped,
}

#[cfg(feature = "status")]
thread_local! {
    /// The program serves on one thread. What other threads do is not counted.
    static COUNTS: [Cell<u64>; 6] = const { [const { Cell::new(0) }; 6] };
}

/// One more.
pub fn add(_what: Counted) {
    #[cfg(feature = "status")]
    COUNTS.with(|counts| counts[_what as usize].update(|count| count + 1));
}

/// One less of what there is now.
pub fn subtract(_what: Counted) {
    #[cfg(feature = "status")]
    COUNTS.with(|counts| counts[_what as usize].update(|count| count.saturating_sub(1)));
}

#[cfg(feature = "status")]
pub fn get(what: Counted) -> u64 {
    COUNTS.with(|counts| counts[what as usize].get())
}
