//! Which addresses may get what, by path.

use super::network::Network;
use crate::daemon::prefix::{Guarded, segments};
use std::net::IpAddr;

/// One line of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub path: String,
    pub kind: RuleKind,
    pub networks: Vec<Network>,
}

/// What a rule does with the clients that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// Allows them, and refuses all that no rule of this kind names.
    Allow,
    /// Allows them, and refuses nobody: `A:` of busybox httpd, which needs `D:*` to refuse others.
    AllowToo,
    /// Refuses them. `*` is everyone that no rule allows.
    Deny,
}

impl Rule {
    /// Closes a path to everyone, where the rule that should protect it is invalid.
    pub fn closed(path: impl Into<String>) -> Rule {
        Rule { path: path.into(), kind: RuleKind::Deny, networks: Network::EVERYBODY.to_vec() }
    }
}

/// All rules, grouped by path.
pub struct Rules(Vec<PathRules>);

/// A path, and who may get what is below it.
struct PathRules {
    guarded: Guarded,
    allow: Vec<Network>,
    deny: Vec<Network>,
    /// Clients that neither list names are refused.
    closed: bool,
}

impl Rules {
    pub fn new(lines: &[Rule]) -> Rules {
        let mut places: Vec<PathRules> = Vec::new();
        for line in lines {
            let path = segments(line.path.as_bytes());
            let known = places.iter().position(|at| at.guarded.depth() == path.len() && at.guarded.holds(&path));
            let at = known.unwrap_or_else(|| {
                let guarded = Guarded::new(&line.path);
                places.push(PathRules { guarded, allow: Vec::new(), deny: Vec::new(), closed: false });
                places.len() - 1
            });
            if let Some(place) = places.get_mut(at) {
                place.add(line);
            }
        }
        Rules(places)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a client may get what is at a decoded path. The longest matching path decides.
    pub fn admit(&self, client: Option<IpAddr>, path: &[u8]) -> bool {
        self.find(path).is_none_or(|place| place.admits(client))
    }

    /// Whether there are rules for a decoded path.
    pub fn concern(&self, path: &[u8]) -> bool {
        self.find(path).is_some()
    }

    fn find(&self, path: &[u8]) -> Option<&PathRules> {
        let path = segments(path);
        self.0.iter().filter(|place| place.guarded.holds(&path)).max_by_key(|place| place.guarded.depth())
    }
}

impl PathRules {
    fn add(&mut self, line: &Rule) {
        let is_deny = line.kind == RuleKind::Deny;
        let list = if is_deny { &mut self.deny } else { &mut self.allow };
        // `*` counts last: the other rules are exceptions from it.
        list.extend(line.networks.iter().filter(|network| **network != Network::All));
        let all = line.networks.contains(&Network::All);
        match line.kind {
            RuleKind::Allow if all => self.allow.push(Network::All),
            RuleKind::Allow => self.closed = true,
            RuleKind::AllowToo => {}
            RuleKind::Deny => self.closed |= all,
        }
    }

    fn admits(&self, client: Option<IpAddr>) -> bool {
        let are_in = |list: &[Network]| list.iter().any(|network| network.holds(client));
        !are_in(&self.deny) && (!self.closed || are_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path, what it is, and for whom.
    type Row<'a> = (&'a str, RuleKind, &'a str);

    fn rules(lines: &[Row<'_>]) -> Rules {
        let line = |(path, kind, networks): &Row<'_>| Rule {
            path: (*path).into(),
            kind: *kind,
            networks: networks.split_whitespace().map(|text| Network::parse(text).unwrap()).collect(),
        };
        Rules::new(&lines.iter().map(line).collect::<Vec<_>>())
    }

    fn admitted<'a>(rules: &Rules, path: &str, clients: &'a str) -> Vec<&'a str> {
        let client = |text: &str| (text != "unix").then(|| text.parse().unwrap());
        clients.split_whitespace().filter(|text| rules.admit(client(text), path.as_bytes())).collect()
    }

    #[test]
    fn lists_of_one_path() {
        use RuleKind::{Allow, AllowToo, Deny};
        const CLIENTS: &str = "10.0.0.1 10.0.0.2 192.0.2.1 2001:db8::1 unix";
        #[rustfmt::skip]
        let rows: &[(&[Row<'_>], &str, &str)] = &[
            (&[], CLIENTS, "no line"),
            (&[("/", Allow, "10.0.0.0/8")], "10.0.0.1 10.0.0.2", "allow is for those alone"),
            (&[("/", Deny, "10.0.0.0/8")], "192.0.2.1 2001:db8::1 unix", "deny is for those alone"),
            (&[("/", Allow, "10.0.0.0/8"), ("/", Deny, "10.0.0.2")], "10.0.0.1", "except one"),
            (&[("/", Deny, "10.0.0.0/8"), ("/", Allow, "10.0.0.2")], "", "deny goes before allow"),
            (&[("/", Deny, "*"), ("/", Allow, "10.0.0.2 unix")], "10.0.0.2 unix", "deny all comes last"),
            (&[("/", Allow, "10.0.0.2"), ("/", Deny, "*")], "10.0.0.2", "in any order"),
            (&[("/", Deny, "*")], "", "deny all"),
            (&[("/", Allow, "*")], CLIENTS, "allow all"),
            (&[("/", Allow, "*"), ("/", Deny, "*")], CLIENTS, "both"),
            (&[("/", Allow, "*"), ("/", Allow, "10.0.0.1"), ("/", Deny, "10.0.0.2")], "10.0.0.1 192.0.2.1 2001:db8::1 unix", "all but one"),
            (&[("/", AllowToo, "10.0.0.1")], CLIENTS, "A: alone keeps nobody out"),
            (&[("/", AllowToo, "10.0.0.1"), ("/", Deny, "*")], "10.0.0.1", "A: and D:*"),
            (&[("/", AllowToo, "*"), ("/", Deny, "*")], "", "A:* does nothing"),
            (&[("/", AllowToo, "10.0.0.1"), ("/", Allow, "10.0.0.2")], "10.0.0.1 10.0.0.2", "A: beside allow"),
            (&[("/", Deny, "::/0")], "10.0.0.1 10.0.0.2 192.0.2.1 unix", "one family"),
        ];
        for (lines, expected, name) in rows {
            let expected: Vec<&str> = expected.split_whitespace().collect();
            assert_eq!(admitted(&rules(lines), "/x", CLIENTS), expected, "{name}");
        }
        let closed = Rules::new(&[Rule::closed("/x"), rules_line("/x", "*")]);
        assert_eq!(admitted(&closed, "/x/y", CLIENTS), Vec::<&str>::new());
    }

    fn rules_line(path: &str, network: &str) -> Rule {
        Rule { path: path.into(), kind: RuleKind::Allow, networks: vec![Network::parse(network).unwrap()] }
    }

    #[test]
    fn the_longest_path_decides() {
        let rules = rules(&[
            ("/", RuleKind::Allow, "10.0.0.1"),
            ("/pub", RuleKind::Allow, "*"),
            ("/pub/Off//./x/..", RuleKind::Deny, "*"),
            ("/PUB/off", RuleKind::AllowToo, "10.0.0.2"),
        ]);
        for (path, expected) in [
            ("/", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("*", "10.0.0.1"),
            ("/public", "10.0.0.1"),
            ("/pub", "10.0.0.1 10.0.0.2"),
            ("pub/x", "10.0.0.1 10.0.0.2"),
            ("/Pub/x", "10.0.0.1 10.0.0.2"),
            ("/pub/off", "10.0.0.2"),
            ("/x/../pub//oFF/y", "10.0.0.2"),
            ("/pub/off/..", "10.0.0.1 10.0.0.2"),
            ("/pub/offer", "10.0.0.1 10.0.0.2"),
        ] {
            assert_eq!(admitted(&rules, path, "10.0.0.1 10.0.0.2").join(" "), expected, "{path}");
        }
    }
}
