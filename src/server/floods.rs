//! Lines of the log that clients cause: the first few of each client in a while, the others are counted.
//!
//! Whoever fills the log hides what else is in it, and wears out the flash that it may lie on.

use super::core::Core;
use super::limits::{LOG_WINDOW, LOGGED_CLIENTS, LOGGED_LINES};
use super::room::Group;
use crate::net::PeerAddr;
use crate::rt::Due;

/// How many lines each client has caused in the present window, which the first one began.
#[derive(Default)]
pub(super) struct Floods {
    clients: Vec<(Group, u32)>,
    /// Those of all clients for which there is no place above.
    others: u32,
}

impl Floods {
    /// Counts a line about a client; whether it is to be written.
    fn takes(&mut self, group: Group) -> bool {
        let lines = match self.clients.iter().position(|(known, _)| *known == group) {
            Some(at) => &mut self.clients[at].1,
            None if self.clients.len() == LOGGED_CLIENTS => &mut self.others,
            None => {
                self.clients.push((group, 1));
                return true;
            }
        };
        *lines = lines.saturating_add(1);
        *lines <= LOGGED_LINES
    }

    /// Whose lines were not written, and how many; `None` are those of clients that were not told apart.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = (Option<Group>, u32)> {
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
        if floods.clients.is_empty() {
            self.runtime.timers.borrow_mut().insert(self.runtime.deadline(LOG_WINDOW), Due::Log);
        }
        floods.takes(peer.network())
    }

    /// The window is over: tells how many lines were not written.
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

    fn written(floods: &mut Floods, group: Group, lines: u32) -> usize {
        (0..lines).filter(|_| floods.takes(group)).count()
    }

    #[test]
    fn each_client_has_its_lines() {
        let mut floods = Floods::default();
        let most = LOGGED_LINES as usize;
        assert_eq!(written(&mut floods, group(1), 70_000), most);
        assert_eq!(written(&mut floods, group(2), 3), 3, "beside a flood");
        assert_eq!(written(&mut floods, None, 100), most, "those of Unix sockets");
        let unwritten: Vec<_> = floods.unwritten().collect();
        assert_eq!(unwritten, [(Some(group(1)), 70_000 - LOGGED_LINES), (Some(None), 100 - LOGGED_LINES)]);
    }

    #[test]
    fn many_clients_are_not_told_apart() {
        let mut floods = Floods::default();
        let lines: usize = (0..255).map(|last| written(&mut floods, group(last), 100)).sum();
        assert_eq!(lines, (LOGGED_CLIENTS + 1) * LOGGED_LINES as usize);
        assert_eq!(floods.clients.len(), LOGGED_CLIENTS);
        let others = (255 - u32::try_from(LOGGED_CLIENTS).unwrap()) * 100 - LOGGED_LINES;
        assert_eq!(floods.unwritten().last(), Some((None, others)));
    }
}
