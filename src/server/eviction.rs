//! Which connection is closed for a new one at the limit. A pure rule: no sockets, no clock.
//!
//! Candidates, in this order:
//!
//! 1. an idle connection,
//! 2. one whose last response was sent,
//! 3. one with an unfinished request head or TLS handshake,
//! 4. the slowest connection of the address that holds the most,
//! 5. one that has stalled for long.
//!
//! An address is an IPv4 address or an IPv6 /64. Its share is the limit divided by the number of addresses. Addresses
//! over their share lose connections first, and never gain one at the expense of an address within its share.

use super::limits;
use crate::net::Network;
use crate::rt::{Key, deadline};
use std::time::Duration;

/// What the rule needs to know about a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) key: Key,
    pub(super) network: Network,
    pub(super) doing: Doing,
}

/// What a connection is doing; times are milliseconds of the loop's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing, since then: closing it loses no response.
    Idle { since: u64 },
    /// Its last response was sent; what the client still sends is discarded.
    Lingering { since: u64 },
    /// Receiving a request head or a TLS handshake, or waiting for its first byte.
    Head { since: u64 },
    /// Waiting for the client, which moves `pace` bytes a second and has moved none since `still_since`.
    Moving { pace: u32, still_since: u64 },
    /// Waiting for the handler.
    Served,
}

/// Why a connection may be evicted, first candidates first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Idle,
    Lingering,
    UnfinishedHead,
    LeastOfGreedy,
    StoodStill,
}

/// Chooses the connection to close for a new one from `newcomer`; `None` if the new one has to wait.
pub(super) fn choose(standings: &[Standing], max: usize, newcomer: Network, now: u64) -> Option<&Standing> {
    let crowd = Crowd::new(standings, max, newcomer, now);
    let ranked = standings.iter().filter_map(|standing| crowd.rank(standing).map(|rank| (rank, standing)));
    ranked.min_by_key(|&(rank, standing)| (rank, standing.key)).map(|(_, standing)| standing)
}

/// How many connections each address has, the new one included.
struct Crowd {
    counts: Vec<(Network, usize)>,
    /// Connections that each address may have.
    share: usize,
    /// The address that has the most connections, and how many.
    greedy: (Network, usize),
    newcomer: (Network, usize),
    now: u64,
}

impl Crowd {
    fn new(standings: &[Standing], max: usize, newcomer: Network, now: u64) -> Crowd {
        // Kept sorted by hand: std's sort would add more code than the rest of this file.
        let mut counts: Vec<(Network, usize)> = Vec::new();
        for network in standings.iter().map(|standing| standing.network).chain([newcomer]) {
            match counts.binary_search_by_key(&network, |&(known, _)| known) {
                Ok(at) => counts[at].1 += 1,
                Err(at) => counts.insert(at, (network, 1)),
            }
        }
        let greedy = counts.iter().copied().max_by_key(|&(_, count)| count).unwrap_or((newcomer, 1));
        let mut crowd = Crowd { share: (max / counts.len()).max(1), counts, greedy, newcomer: (newcomer, 1), now };
        crowd.newcomer.1 = crowd.count(newcomer);
        crowd
    }

    fn count(&self, network: Network) -> usize {
        self.counts.binary_search_by_key(&network, |&(known, _)| known).map_or(0, |at| self.counts[at].1)
    }

    /// How early a connection goes: the reason, then whether it is within its share, then a measure. `None`: it stays.
    fn rank(&self, standing: &Standing) -> Option<(Reason, bool, u64)> {
        let within = self.count(standing.network) <= self.share;
        // An address over its share takes nothing from one within. From itself it takes only what is no longer young,
        // whose request may be on the way.
        let newcomer_within = self.newcomer.1 <= self.share;
        let may_go = newcomer_within || !within;
        let may_go_young = newcomer_within && !within;
        match standing.doing {
            Doing::Idle { since } => Some((Reason::Idle, within, since)),
            Doing::Lingering { since } if may_go => Some((Reason::Lingering, within, since)),
            Doing::Head { since } if may_go_young || may_go && self.is_past(since, limits::FRESH) => {
                Some((Reason::UnfinishedHead, within, since))
            }
            Doing::Moving { pace, still_since } if self.is_greedy(standing, pace < limits::LIVELY) => {
                // Stalled ones first, the longest stall before the others; then by pace.
                let least = if pace == 0 { still_since } else { 1 << 63 | u64::from(pace) };
                Some((Reason::LeastOfGreedy, false, least))
            }
            Doing::Served if self.is_greedy(standing, false) => Some((Reason::LeastOfGreedy, true, 0)),
            Doing::Moving { pace: 0, still_since } if newcomer_within && self.is_past(still_since, limits::STILL) => {
                Some((Reason::StoodStill, within, still_since))
            }
            _ => None,
        }
    }

    /// Whether its address holds the most connections and has to give one up. For a newcomer of the same address only
    /// if this one is `slow`: other addresses gain nothing by it, and a client that is served well is not cut off for
    /// it.
    fn is_greedy(&self, standing: &Standing, slow: bool) -> bool {
        let (network, count) = self.greedy;
        let takes_from_others = self.newcomer.1 < count;
        standing.network == network && count > self.share && (takes_from_others || slow && self.newcomer.0 == network)
    }

    fn is_past(&self, since: u64, time: Duration) -> bool {
        self.now >= deadline(since, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Doing::*;
    use std::net::IpAddr;

    const A: u8 = 1;
    const B: u8 = 2;
    const C: u8 = 3;
    const SLOW: Doing = Moving { pace: 500, still_since: 100_000 };
    const SLOWER: Doing = Moving { pace: 400, still_since: 100_000 };
    const HUMAN: Doing = Moving { pace: 8 << 10, still_since: 100_000 };
    const STUCK: Doing = Moving { pace: 0, still_since: 1000 };
    const LONGER_STUCK: Doing = Moving { pace: 0, still_since: 900 };
    const NEW: Doing = Head { since: 100_000 };
    const OLD: Doing = Head { since: 1000 };
    const OLDER: Doing = Head { since: 900 };

    fn network(address: u8) -> Network {
        Some(IpAddr::from([192, 0, 2, address]))
    }

    /// Connections at the limit, who comes, and which of them goes.
    type Rule = (&'static [(u8, Doing)], u8, Option<usize>, &'static str);

    const RULES: &[Rule] = &[
        (&[(A, Idle { since: 20 }), (A, Idle { since: 10 }), (A, OLD)], A, Some(1), "the one that idles longest"),
        (
            &[(A, Idle { since: 10 }), (B, Idle { since: 20 }), (B, OLD)],
            C,
            Some(1),
            "of those beyond their share first",
        ),
        (&[(A, OLD), (A, Lingering { since: 9 }), (A, Lingering { since: 8 })], A, Some(2), "who has its answer"),
        (&[(A, SLOW), (A, OLD), (A, OLDER)], A, Some(2), "the oldest head"),
        (&[(A, OLDER), (B, OLD), (B, NEW)], C, Some(1), "the oldest head of an address beyond its share"),
        (&[(A, NEW), (A, NEW), (A, NEW)], A, None, "not a young one, for one more of its own address"),
        (&[(A, NEW), (A, NEW), (A, NEW)], B, Some(0), "even a young one, of an address beyond its share"),
        (&[(A, NEW), (B, SLOW), (B, SLOW)], B, Some(1), "not the young head of another address"),
        (&[(A, OLD), (B, SLOW), (B, HUMAN)], B, Some(1), "nor an old one, for one more of a greedy address"),
        (&[(A, NEW), (B, HUMAN), (C, HUMAN)], 4, None, "nobody: all within their share, and young or lively"),
        (&[(A, OLD), (B, HUMAN), (C, HUMAN)], 4, Some(0), "an old head, though within its share"),
        (&[(A, SLOWER), (B, SLOW), (B, HUMAN)], C, Some(1), "the least of the greediest, not the least of all"),
        (
            &[(A, SLOW), (A, STUCK), (A, LONGER_STUCK)],
            B,
            Some(2),
            "of several that stand still the one that stood longest",
        ),
        (&[(A, SLOW), (B, HUMAN), (B, HUMAN), (B, HUMAN)], A, Some(1), "a lively one of an address that has more"),
        (&[(A, Served), (A, HUMAN), (A, Served)], B, Some(1), "the client's slowness before the handler's"),
        (&[(A, Served), (A, Served), (A, Served)], B, Some(0), "a handler that keeps others out"),
        (&[(A, Served), (A, HUMAN), (A, Served)], A, None, "none for one more of the same address"),
        (&[(A, Served), (A, SLOW), (A, SLOWER)], A, Some(2), "unless it hardly moves"),
        (
            &[(A, STUCK), (B, LONGER_STUCK), (C, HUMAN)],
            4,
            Some(1),
            "the one that stood longest, though within its share",
        ),
        (&[(A, STUCK), (B, HUMAN), (B, HUMAN)], B, None, "not for an address beyond its share"),
        (&[(A, HUMAN), (A, HUMAN), (B, HUMAN), (B, HUMAN)], A, None, "no turns between equals"),
    ];

    #[test]
    fn rules() {
        for (number, (connections, newcomer, verdict, name)) in RULES.iter().enumerate() {
            let standings: Vec<Standing> = connections
                .iter()
                .enumerate()
                .map(|(index, &(address, doing))| Standing {
                    key: Key::unpack(index),
                    network: network(address),
                    doing,
                })
                .collect();
            let chosen = choose(&standings, standings.len(), network(*newcomer), 100_000);
            assert_eq!(chosen.map(|standing| standing.key.index()), *verdict, "{number}: {name}");
        }
    }

    #[test]
    fn nobody_is_chosen_of_none() {
        assert!(choose(&[], 0, None, 0).is_none());
    }
}
