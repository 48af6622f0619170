//! Frames as bytes: RFC 9113 §4.1 and §6.

use super::fault::Code;

/// Bytes of a frame before its payload.
pub const HEAD: usize = 9;

/// Types of frames.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Settings (RFC 9113 §6.5.2, RFC 9218 §2.1).
pub mod setting {
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub const NO_RFC7540_PRIORITIES: u16 = 9;
}

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of payload.
    pub len: usize,
    /// One of [`kind`], or another.
    pub kind: u8,
    /// Bits of [`flag`], and others.
    pub flags: u8,
    /// The stream, 0 for the connection.
    pub stream: u32,
}

impl FrameHead {
    /// Reads one from the start of `bytes`; `None` if there are not enough.
    pub fn read(bytes: &[u8]) -> Option<FrameHead> {
        let &[a, b, c, kind, flags, d, e, f, g, ..] = bytes else { return None };
        let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        // The highest bit has no meaning (RFC 9113 §4.1).
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        Some(FrameHead { len, kind, flags, stream })
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Its bytes.
    pub fn bytes(&self) -> [u8; HEAD] {
        let [.., a, b, c] = self.len.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }
}

/// Appends a frame.
pub fn push(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&FrameHead { len: payload.len(), kind, flags, stream }.bytes());
    out.extend_from_slice(payload);
}

/// Appends a RST_STREAM frame.
pub fn push_reset(out: &mut Vec<u8>, stream: u32, code: Code) {
    push(out, kind::RST_STREAM, 0, stream, &(code as u32).to_be_bytes());
}

/// Appends a WINDOW_UPDATE frame; stream 0 is the connection.
pub fn push_window(out: &mut Vec<u8>, stream: u32, more: u32) {
    push(out, kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
}

/// Appends a GOAWAY frame.
pub fn push_goaway(out: &mut Vec<u8>, last: u32, code: Code) {
    push(out, kind::GOAWAY, 0, 0, &(u64::from(last) << 32 | code as u64).to_be_bytes());
}

/// Appends a SETTINGS frame.
pub fn push_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    out.extend_from_slice(&FrameHead { len: settings.len() * 6, kind: kind::SETTINGS, flags: 0, stream: 0 }.bytes());
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// The settings in the payload of a SETTINGS frame, whose length is a multiple of six.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let (entries, _) = payload.as_chunks::<6>();
    entries.iter().map(|&[a, b, c, d, e, f]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_head_reads_what_was_written(len in 0..1_usize << 24, kind: u8, flags: u8, stream in 0..1_u32 << 31) {
            let head = FrameHead { len, kind, flags, stream };
            prop_assert_eq!(FrameHead::read(&head.bytes()), Some(head));
            for cut in 0..HEAD {
                prop_assert_eq!(FrameHead::read(&head.bytes()[..cut]), None);
            }
        }
    }

    #[test]
    fn frames() {
        let mut out = Vec::new();
        push_reset(&mut out, 5, Code::Refused);
        assert_eq!(out, [0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 7]);
        out.clear();
        push_goaway(&mut out, 0x0102_0304, Code::Calm);
        assert_eq!(out, [0, 0, 8, 7, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 11]);
        out.clear();
        push_settings(&mut out, &[(setting::MAX_FRAME_SIZE, 16384)]);
        assert_eq!(out, [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0x40, 0]);
        assert_eq!(settings(&out[9..]).collect::<Vec<_>>(), [(5, 16384)]);
        assert_eq!(FrameHead::read(&[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap().stream, u32::MAX >> 1);
    }
}
