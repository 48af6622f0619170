//! Received bytes that were not consumed yet.

/// Bytes that a connection received and did not consume yet. Owns no memory while empty.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Everything before this was consumed; invariant: `at < bytes.len()`, or both are 0.
    at: usize,
}

impl Input {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        // Drops the consumed front if that avoids growing.
        if self.at > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops the first `n` bytes, and frees the memory with the last of them.
    pub(crate) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.bytes.len() - self.at, "consumed more than was there");
        self.at += n;
        if self.at >= self.bytes.len() {
            *self = Input::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_its_memory_back_when_empty() {
        let mut input = Input::default();
        input.push(b"abc");
        input.consume(1);
        assert_eq!(input.bytes(), b"bc");
        input.push(b"def");
        assert_eq!(input.bytes(), b"bcdef");
        input.consume(5);
        assert!(input.is_empty());
        assert_eq!(input.bytes.capacity(), 0);
        input.push(b"");
        assert!(input.is_empty());
    }

    #[test]
    fn a_long_pipeline_does_not_grow_the_buffer() {
        let mut input = Input::default();
        input.push(&[0; 100]);
        for round in 0..1000_u32 {
            input.push(&round.to_be_bytes());
            input.consume(4);
        }
        assert_eq!(input.bytes().len(), 100);
        assert!(input.bytes.capacity() < 1000, "capacity {}", input.bytes.capacity());
    }
}
