//! The payload of a Close frame: RFC 6455 §5.5.1 and §7.4.

use super::frame::MAX_CONTROL;
use super::violation::Violation;

/// Why a peer closes a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// 1000 for a normal end; RFC 6455 §7.4 and the registry of IANA have the others. From 3000 on, it is the application's.
    pub code: u16,
    /// The same in words. Often empty.
    pub reason: String,
}

impl Close {
    /// Parses the payload of a Close frame; `None` if it has no code.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(payload: &[u8]) -> Result<Option<Close>, Violation> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
            [_] => return Err(Violation::protocol("half a close code")),
        };
        if !is_code(code) {
            return Err(Violation::protocol("a close code that nobody may send"));
        }
        let reason = str::from_utf8(reason).map_err(|_| Violation::not_text())?;
        Ok(Some(Close { code, reason: reason.to_owned() }))
    }
}

/// Whether a peer may send this code: those of §7.4.2, and those registered since.
pub fn is_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Makes the payload of a Close frame. A reason that is too long is cut.
pub fn payload(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(MAX_CONTROL - size_of::<u16>());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    [&code.to_be_bytes(), &reason.as_bytes()[..end]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            assert!(is_code(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!is_code(code), "{code}");
        }
    }

    #[test]
    fn payloads() {
        let of = |payload: &[u8]| Close::parse(payload).map_err(|violation| violation.code);
        let close = |code, reason: &str| Ok(Some(Close { code, reason: reason.into() }));
        assert_eq!(of(b""), Ok(None));
        assert_eq!(of(b"\x03\xe8"), close(1000, ""));
        assert_eq!(of("\u{3}\u{f}gr\u{fc}n".as_bytes()), Err(1002), "783 is no code");
        assert_eq!(of(b"\x0b\xb8gr\xc3\xbcn"), close(3000, "grün"));
        assert_eq!(of(b"\x03"), Err(1002));
        assert_eq!(of(b"\x03\xed"), Err(1002));
        assert_eq!(of(b"\x03\xe8\xff"), Err(1007));
        assert_eq!(of(b"\x03\xe8\xc3"), Err(1007), "half a character");
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(payload(1000, "bye"), b"\x03\xe8bye");
        assert_eq!(payload(1000, &"x".repeat(200)).len(), 125);
        let cut = payload(1000, &"ü".repeat(100));
        assert_eq!((cut.len(), str::from_utf8(&cut[2..]).unwrap().chars().count()), (124, 61));
    }
}
