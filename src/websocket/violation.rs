//! What a peer did wrong, as a code for its Close: RFC 6455 §7.4.1.

/// The purpose of the connection is fulfilled.
pub const NORMAL: u16 = 1000;

/// The server stops.
pub const GOING_AWAY: u16 = 1001;

/// A frame breaks the protocol.
const PROTOCOL: u16 = 1002;

/// A text is not UTF-8.
const NOT_TEXT: u16 = 1007;

/// A message or frame is longer than allowed.
const TOO_BIG: u16 = 1009;

/// What a peer did wrong; the connection fails (RFC 6455 §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The code of the Close frame.
    pub code: u16,
    /// The same in words.
    pub reason: &'static str,
}

impl Violation {
    pub(super) fn protocol(reason: &'static str) -> Violation {
        Violation { code: PROTOCOL, reason }
    }

    pub(super) fn not_text() -> Violation {
        Violation { code: NOT_TEXT, reason: "text that is not UTF-8" }
    }

    pub(super) fn too_big(reason: &'static str) -> Violation {
        Violation { code: TOO_BIG, reason }
    }
}
