//! What the fields of a request tell the server to do, whatever is served.

use super::framing::BodyFields;
use super::headers::list;
use super::reject::Reject;

/// Gathered field by field.
#[derive(Clone, Copy, Debug, Default)]
pub struct Directives {
    /// `Connection` lists `close`.
    pub close: bool,
    /// `Connection` lists `keep-alive`.
    pub keep: bool,
    /// `Connection` lists `upgrade`.
    pub upgrade: bool,
    /// There is a precondition or a `Range`.
    pub selective: bool,
    /// There is an `Accept-Encoding`.
    pub codings: bool,
    /// `Expect` lists `100-continue`.
    pub awaits: bool,
    /// `Expect` lists something else.
    pub unknown_expectation: bool,
}

impl Directives {
    /// Reads one field, with its name in lower case. What delimits the body goes to `body`.
    pub fn read(&mut self, name: &[u8], value: &[u8], body: &mut BodyFields) -> Result<(), Reject> {
        match name {
            b"connection" => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            b"range" | b"if-match" | b"if-none-match" | b"if-modified-since" | b"if-unmodified-since" | b"if-range" => {
                self.selective = true;
            }
            b"accept-encoding" => self.codings = true,
            b"content-length" => body.content_length(value)?,
            b"transfer-encoding" => body.transfer_encoding(value),
            b"expect" => {
                for expectation in list(value) {
                    let known = expectation.eq_ignore_ascii_case(b"100-continue");
                    self.awaits |= known;
                    self.unknown_expectation |= !known;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
