//! Messages of ubus: an eight-byte header and one blob.

use super::blob::{Attr, Attrs, Writer};

/// Bytes of a message's header and that of its blob, which contains the length.
const HEADS: usize = 12;

/// Longest blob of a message, in bytes: ubusd disconnects clients that send a longer one.
pub const MAX_BLOB: usize = 1 << 20;

/// The types of messages.
pub mod kind {
    pub const HELLO: u8 = 0;
    pub const STATUS: u8 = 1;
    pub const DATA: u8 = 2;
    pub const LOOKUP: u8 = 4;
    pub const INVOKE: u8 = 5;
    pub const ADD_OBJECT: u8 = 6;
    pub const REMOVE_OBJECT: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const UNSUBSCRIBE: u8 = 9;
}

/// The attributes of a message.
pub mod attr {
    pub const STATUS: u8 = 1;
    pub const OBJECT_PATH: u8 = 2;
    pub const OBJECT: u8 = 3;
    pub const METHOD: u8 = 4;
    pub const SIGNATURE: u8 = 6;
    pub const DATA: u8 = 7;
    pub const TARGET: u8 = 8;
    pub const NO_REPLY: u8 = 10;
}

pub use status::Status;

/// The statuses that this program knows by name.
pub mod status {
    /// What a method or ubusd answered: 0 is success.
    pub type Status = u32;

    pub const OK: Status = 0;
    #[cfg(feature = "status")]
    pub const INVALID_ARGUMENT: Status = 2;
    #[cfg(feature = "status")]
    pub const NO_METHOD: Status = 3;
    pub const NOT_FOUND: Status = 4;
    pub const TIMEOUT: Status = 7;
    pub const UNKNOWN: Status = 9;
    pub const UNREACHABLE: Status = 10;
    pub const OUT_OF_MEMORY: Status = 11;
}

/// The names of statuses, as in the reference.
const NAMES: [&str; 14] = [
    "Success",
    "Invalid command",
    "Invalid argument",
    "Method not found",
    "Not found",
    "No response",
    "Permission denied",
    "Request timed out",
    "Operation not supported",
    "Unknown error",
    "Connection failed",
    "Out of memory",
    "Parsing message data failed",
    "System error",
];

pub fn status_name(status: Status) -> &'static str {
    usize::try_from(status).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("Unknown error")
}

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u8,
    pub seq: u16,
    pub peer: u32,
    /// The content of its blob: attributes.
    pub body: &'a [u8],
}

/// The message at the start of `bytes` and its length; `None` if it is incomplete.
///
/// # Errors
/// It is not a message of ubus, or too long.
pub fn first(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, &'static str> {
    let Some(([version, kind, s0, s1, p0, p1, p2, p3, l0, l1, l2, l3], rest)) = bytes.split_first_chunk::<HEADS>()
    else {
        return Ok(None);
    };
    if *version != 0 {
        return Err("unknown message version");
    }
    let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]);
    // The root has neither flag nor id, so this is only its length, which includes the padding.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(4..=MAX_BLOB).contains(&length) {
        return Err("invalid message length");
    }
    let Some(body) = rest.get(..length - 4) else { return Ok(None) };
    let message = Message {
        kind: *kind,
        seq: u16::from_be_bytes([*s0, *s1]),
        peer: u32::from_be_bytes([*p0, *p1, *p2, *p3]),
        body,
    };
    Ok(Some((message, HEADS + body.len())))
}

impl<'a> Message<'a> {
    /// The first attribute of that id.
    pub fn attr(&self, id: u8) -> Option<Attr<'a>> {
        find(self.body, id)
    }

    pub fn u32(&self, id: u8) -> Option<u32> {
        self.attr(id)?.u32()
    }
}

/// The first attribute of that id in a message's body.
pub fn find(body: &[u8], id: u8) -> Option<Attr<'_>> {
    Attrs::new(body).find(|attr| attr.id == id)
}

/// Appends a message to `out`; `write` writes its attributes. If it is too long, nothing is appended, and it returns false.
pub fn push(out: &mut Vec<u8>, kind: u8, seq: u16, peer: u32, write: &dyn Fn(&mut Writer<'_>)) -> bool {
    let start = out.len();
    out.extend_from_slice(&[0, kind]);
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&peer.to_be_bytes());
    let blob = out.len();
    let mut writer = Writer::new(out);
    let root = writer.open(0);
    write(&mut writer);
    writer.close(root);
    if out.len() - blob > MAX_BLOB {
        out.truncate(start);
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::ubus::blob::{Value, field, fields, tests::visit};
    use proptest::prelude::*;

    /// The bytes of a text of hexadecimal digits; what is in quotes stands for itself.
    fn bytes(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, piece) in text.split('"').enumerate() {
            if at % 2 == 1 {
                out.extend_from_slice(piece.as_bytes());
                continue;
            }
            let digits: String = piece.split_whitespace().collect();
            out.extend(
                digits
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()),
            );
        }
        out
    }

    const HELLO: &str = "00 00 00 00 aea243c6 00000004";
    const LOOKUP: &str = r#"00 04 0001 00000000 00000010 0200000c "session" 00"#;
    const FOUND: &str = r#"00 02 0001 00000000 00000034 0200000c "session" 00 03000008 81248f4a
        05000008 a804293d 06000014 82000010 0006 "access" 00000000"#;
    const DONE: &str = "00 01 0001 00000000 0000000c 01000008 00000000";
    const ALLOWED: &str =
        r#"00 02 0002 81248f4a 00000024 03000008 81248f4a 07000018 87000011 0006 "access" 00000000 01000000"#;
    const INVOKE: &str = r#"00 05 0002 8124 8f4a 0000008c 03000008 8124 8f4a 0400000b "access" 00 00 07000074
        83000039 0010 "ubus_rpc_session" 0000 "00000000000000000000000000000000" 00 000000
        83000015 0006 "object" 00000000 "luci" 00 000000 8300001c 0008 "function" 0000 "getFeatures" 00"#;

    fn whole(text: &str) -> Vec<u8> {
        let bytes = bytes(text);
        for cut in 0..bytes.len() {
            assert_eq!(first(&bytes[..cut]), Ok(None), "{text}, cut at {cut}");
        }
        bytes
    }

    #[test]
    fn the_captured_exchange_is_read() {
        let hello = whole(HELLO);
        let (message, length) = first(&hello).unwrap().unwrap();
        assert_eq!((message.kind, message.peer, length), (kind::HELLO, 0xaea2_43c6, hello.len()));
        let found = whole(FOUND);
        let (message, length) = first(&found).unwrap().unwrap();
        assert_eq!((message.kind, message.seq, message.peer, length), (kind::DATA, 1, 0, found.len()));
        assert_eq!(message.u32(attr::OBJECT), Some(0x8124_8f4a));
        assert_eq!(message.attr(attr::OBJECT_PATH).unwrap().text(), Some(&b"session"[..]));
        let signature = message.attr(attr::SIGNATURE).unwrap().content;
        assert_eq!(field(signature, "access"), Some(Value::Table(b"")));
        let done = whole(DONE);
        assert_eq!(first(&done).unwrap().unwrap().0.u32(attr::STATUS), Some(status::OK));
        let allowed = whole(ALLOWED);
        let data = first(&allowed).unwrap().unwrap().0.attr(attr::DATA).unwrap().content;
        assert_eq!(field(data, "access"), Some(Value::Bool(true)));
    }

    #[test]
    fn the_captured_exchange_is_written() {
        let mut out = Vec::new();
        assert!(push(&mut out, kind::LOOKUP, 1, 0, &|w| w.attr_text(attr::OBJECT_PATH, b"session")));
        assert_eq!(out, bytes(LOOKUP));
        out.clear();
        assert!(push(&mut out, kind::INVOKE, 2, 0x8124_8f4a, &|w| {
            w.attr_u32(attr::OBJECT, 0x8124_8f4a);
            w.attr_text(attr::METHOD, b"access");
            let data = w.open(attr::DATA);
            w.text(b"ubus_rpc_session", &[b'0'; 32]);
            w.text(b"object", b"luci");
            w.text(b"function", b"getFeatures");
            w.close(data);
        }));
        assert_eq!(out, bytes(INVOKE));
        let (message, _) = first(&out).unwrap().unwrap();
        assert_eq!(fields(message.attr(attr::DATA).unwrap().content).count(), 3);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let rules = [
            ("01 00 0000 00000000 00000004", "version"),
            ("00 00 0000 00000000 00000003", "shorter than its header"),
            ("00 00 0000 00000000 00100001", "too long"),
            ("00 00 0000 00000000 80000004", "a flag on the root"),
            ("00 00 0000 00000000 01000004", "an id on the root"),
        ];
        for (text, name) in rules {
            assert!(first(&bytes(text)).is_err(), "{name}");
        }
        assert_eq!(first(b"GET / HTTP/1"), Err("unknown message version"));
    }

    #[test]
    fn too_long_a_message_is_not_sent() {
        let mut out = b"before".to_vec();
        assert!(!push(&mut out, kind::INVOKE, 1, 1, &|w| w.attr(attr::DATA, &vec![0; MAX_BLOB - 7])));
        assert_eq!(out, b"before");
        assert!(push(&mut out, kind::INVOKE, 1, 1, &|w| w.attr(attr::DATA, &vec![0; MAX_BLOB - 8])));
        assert!(first(&out[6..]).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn hostile_bytes(tail in proptest::collection::vec(any::<u8>(), 0..64), length in 0_u8..64) {
            let mut message = vec![0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, length];
            message.extend(tail);
            if let Ok(Some((message, _))) = first(&message) {
                visit(message.body, 0);
            }
        }
    }
}
