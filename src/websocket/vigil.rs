//! When a silent peer is sent a ping, and when it is given up. Times are milliseconds of any clock.

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Silence before a ping; `u64::MAX` for none.
    pub ping_after: u64,
    /// From a ping to any sign of life.
    pub pong_within: u64,
    /// From our Close to the peer's.
    pub close_within: u64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Nothing before this time; `u64::MAX` means never.
    Wait(u64),
    /// Send a ping, and check again at this time.
    Ping(u64),
    /// Give up.
    GiveUp,
}

/// When a peer was last heard.
#[derive(Clone, Copy, Debug)]
pub struct Vigil {
    times: Times,
    heard: u64,
    /// When it was sent a ping that it has not answered yet.
    asked: Option<u64>,
}

impl Vigil {
    /// A peer that was heard `now`.
    pub fn new(times: Times, now: u64) -> Vigil {
        Vigil { times, heard: now, asked: None }
    }

    /// Something was received.
    pub fn heard(&mut self, now: u64) {
        self.heard = now;
        self.asked = None;
    }

    /// Decides what to do. `closing`: since when our Close is on its way.
    pub fn look(&mut self, now: u64, closing: Option<u64>) -> Todo {
        let (end, gives_up) = match (closing, self.asked) {
            (Some(since), _) => (since.saturating_add(self.times.close_within), true),
            (None, Some(asked)) => (asked.saturating_add(self.times.pong_within), true),
            (None, None) => (self.heard.saturating_add(self.times.ping_after), false),
        };
        if now < end || end == u64::MAX {
            return Todo::Wait(end);
        }
        if gives_up {
            return Todo::GiveUp;
        }
        Todo::Ping(self.ask(now))
    }

    /// Gives a peer that was asked its whole time from `now` on. Returns when to check again.
    pub fn ask(&mut self, now: u64) -> u64 {
        self.asked = Some(now);
        now.saturating_add(self.times.pong_within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { ping_after: 30, pong_within: 20, close_within: 5 };

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let mut vigil = Vigil::new(TIMES, 100);
        assert_eq!(vigil.look(100, None), Todo::Wait(130));
        assert_eq!(vigil.look(129, None), Todo::Wait(130));
        assert_eq!(vigil.look(131, None), Todo::Ping(151));
        assert_eq!(vigil.look(150, None), Todo::Wait(151));
        assert_eq!(vigil.look(151, None), Todo::GiveUp);
    }

    #[test]
    fn any_sign_of_life_counts() {
        let mut vigil = Vigil::new(TIMES, 0);
        assert_eq!(vigil.look(30, None), Todo::Ping(50));
        vigil.heard(49);
        assert_eq!(vigil.look(50, None), Todo::Wait(79));
        vigil.heard(79);
        assert_eq!(vigil.look(79, None), Todo::Wait(109));
    }

    #[test]
    fn a_close_is_answered_in_time_whatever_else_comes() {
        let mut vigil = Vigil::new(TIMES, 0);
        assert_eq!(vigil.look(3, Some(1)), Todo::Wait(6));
        vigil.heard(5);
        assert_eq!(vigil.look(6, Some(1)), Todo::GiveUp);
    }

    #[test]
    fn without_pings_nothing_happens() {
        let mut vigil = Vigil::new(Times { ping_after: u64::MAX, ..TIMES }, 7);
        assert_eq!(vigil.look(u64::MAX - 1, None), Todo::Wait(u64::MAX));
        let mut endless = Vigil::new(Times { pong_within: u64::MAX, ..TIMES }, 7);
        assert_eq!(endless.look(37, None), Todo::Ping(u64::MAX));
        assert_eq!(endless.look(u64::MAX, None), Todo::Wait(u64::MAX));
    }
}
