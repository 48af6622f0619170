//! A head that came by a stream of HTTP/2.

use super::super::limits::HeadLimits;
use super::super::reject::Reject;
use super::Head;

impl Head {
    /// Parses a head that stands for one of HTTP/2.
    pub fn parse_of_stream(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
        let parsed = match self.parse_usual(bytes, limits) {
            Some(length) if length == bytes.len() => Ok(()),
            _ => self.parse(bytes, limits),
        };
        self.facts.is_of_stream = true;
        parsed
    }
}
