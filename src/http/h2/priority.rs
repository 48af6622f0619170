//! The `priority` field: RFC 9218 §4 and §5.

use super::super::headers::list;

/// What is sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0 is the most urgent, 7 the least.
    pub urgency: u8,
    /// Whether a part of the response is of use, so that streams take turns.
    pub incremental: bool,
}

impl Default for Priority {
    /// The urgency of RFC 9218 §4.1. Clients that say nothing get turns: they may not know that one response could wait for
    /// another.
    fn default() -> Self {
        Priority { urgency: 3, incremental: true }
    }
}

/// Reads the field. What is malformed or unknown is ignored.
pub fn parse(value: &[u8]) -> Priority {
    let mut priority = Priority { incremental: false, ..Priority::default() };
    for parameter in list(value) {
        match parameter {
            &[b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
            b"i" | b"i=?1" => priority.incremental = true,
            b"i=?0" => priority.incremental = false,
            _ => {}
        }
    }
    priority
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        #[rustfmt::skip]
        let rows: [(&str, u8, bool); 9] = [
            ("", 3, false), ("u=0", 0, false), ("u=1, i", 1, true), ("i", 3, true), ("i=?0", 3, false), ("u=7,i=?1", 7, true),
            ("u=8", 3, false), ("u=-1, x=2;y", 3, false), ("u=5;a=b", 3, false),
        ];
        for (value, urgency, incremental) in rows {
            assert_eq!(parse(value.as_bytes()), Priority { urgency, incremental }, "{value}");
        }
    }
}
