//! Which parts of a configuration can't be served, and whether the rest is served anyway.

use super::exit::ServeError;
use super::log;
use ecohttpd::syntax::decimal;

/// The beginning of the line about an address that can't be bound.
pub const CANNOT_LISTEN: &str = "cannot listen on ";

/// What to do when part of a configuration can't be served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Refuse the whole configuration.
    Strict,
    /// Serve the rest, and log what can't be served: a router must stay reachable.
    Lenient,
    /// Refuse the whole configuration, unless the same part can't be served now either.
    AsBefore,
}

/// The flaws found while a configuration is applied.
pub struct Flaws<'a> {
    care: Care,
    /// Those of the configuration in effect.
    before: &'a [String],
    found: Vec<String>,
}

impl<'a> Flaws<'a> {
    pub fn new(care: Care, before: &'a [String]) -> Flaws<'a> {
        Flaws { care, before, found: Vec::new() }
    }

    pub fn into_found(self) -> Vec<String> {
        self.found
    }

    /// Tolerates a flaw if it may; otherwise returns it as the error.
    pub fn tolerate(&mut self, flaw: ServeError) -> Result<(), ServeError> {
        if self.care == Care::AsBefore && !self.is_known(flaw.text()) {
            return Err(flaw);
        }
        self.pass_over(flaw)
    }

    /// Tolerates a flaw, unless the configuration is applied strictly.
    pub fn pass_over(&mut self, flaw: ServeError) -> Result<(), ServeError> {
        if self.care == Care::Strict {
            return Err(flaw);
        }
        if !self.is_known(flaw.text()) {
            log::error!("{}", flaw.text());
        }
        self.found.push(flaw.text().to_owned());
        Ok(())
    }

    fn is_known(&self, flaw: &str) -> bool {
        self.before.iter().any(|before| key(before) == key(flaw))
    }
}

/// The part of a flaw's line that stays the same when the file changes elsewhere: without the line number, the number of
/// an unnamed section, and the system's reason for refusing an address.
fn key(flaw: &str) -> String {
    if let Some(rest) = flaw.strip_prefix(CANNOT_LISTEN) {
        return split(rest, ": ").map_or(rest, |(address, _)| address).to_owned();
    }
    let is_line = |place: &str| place.rsplit_once(':').is_some_and(|(_, line)| decimal(line.as_bytes()).is_some());
    let text = split(flaw, ": ").filter(|(place, _)| is_line(place)).map_or(flaw, |(_, text)| text);
    match split(text, "@uhttpd[") {
        Some((before, rest)) => [before, rest.split_once(']').map_or(rest, |(_, after)| after)].concat(),
        None => text.to_owned(),
    }
}

/// As `split_once`, whose search for strings takes 2 KB.
fn split<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let at = text.as_bytes().windows(separator.len()).position(|window| window == separator.as_bytes())?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_is_the_same_wherever_it_stands() {
        for (flaw, same) in [
            ("/etc/config/uhttpd:4: uhttpd.main.x: wrong", "/etc/config/uhttpd:5: uhttpd.main.x: wrong"),
            ("cannot listen on [::1]:80: in use", "cannot listen on [::1]:80: denied"),
            ("uhttpd.@uhttpd[0].home: gone", "uhttpd.@uhttpd[12].home: gone"),
        ] {
            assert_eq!(key(flaw), key(same));
        }
        for (flaw, other) in [
            ("f:4: uhttpd.main.x: wrong", "f:4: uhttpd.main.y: wrong"),
            ("cannot listen on [::1]:80: in use", "cannot listen on [::1]:81: in use"),
            ("uhttpd.main.home: gone", "uhttpd.two.home: gone"),
        ] {
            assert_ne!(key(flaw), key(other));
        }
    }
}
