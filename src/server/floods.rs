//! Lines of the log that clients cause: the first few of each client in a while, the others are counted.
//!
//! Whoever fills the log hides what else is in it, and wears out the flash that it may lie on. Times are milliseconds of
//! the loop's clock.

use super::core::Core;
use super::limits::{LOG_WINDOW, LOGGED_CLIENTS, LOGGED_LINES};
use super::room::Group;
use crate::net::PeerAddr;
use crate::rt::{Due, deadline};

/// How many lines each client has caused in the present window.
#[derive(Default)]
pub(super) struct Floods {
    clients: Vec<(Group, u32)>,
    /// Those of all clients for which there is no place above.
    others: u32,
    /// When the window ends; at first it has ended.
    end: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Write,
    /// Only count it; `first`: none was counted before in this window.
    Count {
        first: bool,
    },
}

impl Floods {
    /// Counts a line about a client.
    fn count(&mut self, group: Group, now: u64) -> Verdict {
        if now >= self.end {
            *self = Floods { end: deadline(now, LOG_WINDOW), ..Floods::default() };
        }
        let first = !self.has_unwritten();
        let lines = match self.clients.iter().position(|(known, _)| *known == group) {
            Some(at) => &mut self.clients[at].1,
            None if self.clients.len() == LOGGED_CLIENTS => &mut self.others,
            None => {
                self.clients.push((group, 0));
                let last = self.clients.len() - 1;
                &mut self.clients[last].1
            }
        };
        *lines = lines.saturating_add(1);
        if *lines <= LOGGED_LINES { Verdict::Write } else { Verdict::Count { first } }
    }

    pub(super) fn has_unwritten(&self) -> bool {
        self.unwritten().next().is_some()
    }

    /// Whose lines were not written, and how many; `None` are those of clients that were not told apart.
    fn unwritten(&self) -> impl Iterator<Item = (Option<Group>, u32)> {
        let clients = self.clients.iter().map(|&(group, lines)| (Some(group), lines));
        let all = clients.chain([(None, self.others)]);
        all.filter(|(_, lines)| *lines > LOGGED_LINES).map(|(group, lines)| (group, lines - LOGGED_LINES))
    }
}

impl Core {
    /// Whether a line about a client is to be written.
    #[cold]
    pub(super) fn takes_log_line(&self, peer: &PeerAddr) -> bool {
        let mut floods = self.floods.borrow_mut();
        let verdict = floods.count(peer.network(), self.runtime.now());
        if verdict == (Verdict::Count { first: true }) {
            self.runtime.timers.borrow_mut().insert(floods.end, Due::Log);
        }
        verdict == Verdict::Write
    }

    /// Tells how many lines were not written.
    pub(super) fn tell_floods(&self) {
        for (group, lines) in self.floods.take().unwritten() {
            let who = match group {
                Some(Some(ip)) => ip.to_string(),
                Some(None) => "clients without an address".to_owned(),
                None => "other clients".to_owned(),
            };
            log::warn!("{who}: {lines} more lines in the last {} s, which are not shown", LOG_WINDOW.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn group(last: u8) -> Group {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn written(floods: &mut Floods, group: Group, lines: u32, now: u64) -> usize {
        (0..lines).filter(|_| floods.count(group, now) == Verdict::Write).count()
    }

    #[test]
    fn each_client_has_its_lines() {
        let mut floods = Floods::default();
        let most = LOGGED_LINES as usize;
        assert_eq!(written(&mut floods, group(1), 70_000, 5), most);
        assert_eq!(written(&mut floods, group(2), 3, 6), 3, "beside a flood");
        assert_eq!(written(&mut floods, None, 100, 6), most, "those of Unix sockets");
        let unwritten: Vec<_> = floods.unwritten().collect();
        assert_eq!(unwritten, [(Some(group(1)), 70_000 - LOGGED_LINES), (Some(None), 100 - LOGGED_LINES)]);
        let end = floods.end;
        assert_eq!(written(&mut floods, group(1), 1, end - 1), 0);
        assert_eq!(written(&mut floods, group(1), 70_000, end), most, "in the next window");
        assert_eq!(floods.unwritten().count(), 1);
    }

    #[test]
    fn the_first_that_is_not_written_is_told() {
        let mut floods = Floods::default();
        written(&mut floods, group(1), LOGGED_LINES, 0);
        let verdicts = [1, 1, 2].map(|last| floods.count(group(last), 0));
        assert_eq!(verdicts, [Verdict::Count { first: true }, Verdict::Count { first: false }, Verdict::Write]);
    }

    #[test]
    fn many_clients_are_not_told_apart() {
        let mut floods = Floods::default();
        let lines: usize = (0..255).map(|last| written(&mut floods, group(last), 100, 0)).sum();
        assert_eq!(lines, (LOGGED_CLIENTS + 1) * LOGGED_LINES as usize);
        assert_eq!(floods.clients.len(), LOGGED_CLIENTS);
        let others = (255 - u32::try_from(LOGGED_CLIENTS).unwrap()) * 100 - LOGGED_LINES;
        assert_eq!(floods.unwritten().last(), Some((None, others)));
    }
}
