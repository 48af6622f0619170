//! Positions in a head, a quarter of the size of slices.

/// A part of a head, which is never longer than [`HEAD_MAX`](super::limits::HEAD_MAX).
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    at: u16,
    len: u16,
}

impl Span {
    /// Where `part`, a slice of `whole`, lies in it.
    pub fn of(part: &[u8], whole: &[u8]) -> Self {
        let at = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        match (u16::try_from(at), u16::try_from(part.len())) {
            (Ok(at), Ok(len)) if len > 0 => Self { at, len },
            _ => Self::default(),
        }
    }

    /// The part from `start` to `end`, which are at most [`HEAD_MAX`](super::limits::HEAD_MAX).
    pub fn between(start: usize, end: usize) -> Self {
        match (u16::try_from(start), u16::try_from(end.wrapping_sub(start))) {
            (Ok(at), Ok(len)) if len > 0 => Self { at, len },
            _ => Self::default(),
        }
    }

    /// Its length in bytes.
    pub fn len(self) -> usize {
        usize::from(self.len)
    }

    /// As a range of indices.
    pub fn range(self) -> std::ops::Range<usize> {
        let at = usize::from(self.at);
        at..at + usize::from(self.len)
    }

    /// What follows the part.
    pub fn after(self, whole: &[u8]) -> &[u8] {
        whole.get(self.range().end..).unwrap_or_default()
    }
}
