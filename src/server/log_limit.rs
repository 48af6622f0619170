//! Limits the log lines that a client can cause: the first few are written, the others are only counted.
//!
//! A client that fills the log hides everything else in it, and wears out the flash memory that may hold it.

use super::limits::{LOG_WINDOW, LOGGED_CLIENTS, LOGGED_LINES};
use crate::net::Network;

/// How many lines each client has caused in the current window. The first line starts the window.
#[derive(Default)]
pub(super) struct LineCounts {
    clients: Vec<(Network, u32)>,
    /// The lines of all clients beyond [`LOGGED_CLIENTS`].
    others: u32,
}

impl LineCounts {
    /// Whether no line was counted in this window.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Counts a line about a client; returns whether to write it.
    pub(super) fn count(&mut self, network: Network) -> bool {
        let lines = match self.clients.iter().position(|(known, _)| *known == network) {
            Some(at) => &mut self.clients[at].1,
            None if self.clients.len() == LOGGED_CLIENTS => &mut self.others,
            None => {
                self.clients.push((network, 1));
                return true;
            }
        };
        *lines = lines.saturating_add(1);
        *lines <= LOGGED_LINES
    }

    /// Whose lines were suppressed, and how many; `None` stands for all clients that were not counted one by one.
    pub(super) fn suppressed(&self) -> impl Iterator<Item = (Option<Network>, u32)> {
        let clients = self.clients.iter().map(|&(network, lines)| (Some(network), lines));
        let all = clients.chain([(None, self.others)]);
        all.filter(|(_, lines)| *lines > LOGGED_LINES).map(|(network, lines)| (network, lines - LOGGED_LINES))
    }

    /// Logs how many lines were suppressed.
    pub(super) fn report(&self) {
        for (network, lines) in self.suppressed() {
            let who = match network {
                Some(Some(ip)) => ip.to_string(),
                Some(None) => "clients without an address".to_owned(),
                None => "other clients".to_owned(),
            };
            log::warn!("{who}: suppressed {lines} more log lines in the last {} s", LOG_WINDOW.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn network(last: u8) -> Network {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn written(counts: &mut LineCounts, network: Network, lines: u32) -> usize {
        (0..lines).filter(|_| counts.count(network)).count()
    }

    #[test]
    fn each_client_has_its_lines() {
        let mut counts = LineCounts::default();
        let most = LOGGED_LINES as usize;
        assert_eq!(written(&mut counts, network(1), 70_000), most);
        assert_eq!(written(&mut counts, network(2), 3), 3, "beside a flood");
        assert_eq!(written(&mut counts, None, 100), most, "those of Unix sockets");
        let suppressed: Vec<_> = counts.suppressed().collect();
        assert_eq!(suppressed, [(Some(network(1)), 70_000 - LOGGED_LINES), (Some(None), 100 - LOGGED_LINES)]);
    }

    #[test]
    fn many_clients_are_not_told_apart() {
        let mut counts = LineCounts::default();
        let lines: usize = (0..255).map(|last| written(&mut counts, network(last), 100)).sum();
        assert_eq!(lines, (LOGGED_CLIENTS + 1) * LOGGED_LINES as usize);
        assert_eq!(counts.clients.len(), LOGGED_CLIENTS);
        let others = (255 - u32::try_from(LOGGED_CLIENTS).unwrap()) * 100 - LOGGED_LINES;
        assert_eq!(counts.suppressed().last(), Some((None, others)));
    }
}
