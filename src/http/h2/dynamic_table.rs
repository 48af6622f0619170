//! The dynamic table of RFC 7541 §2.3.2 and §4, on the side that decodes.

use std::collections::VecDeque;

/// Bytes that an entry counts beside its name and value (RFC 7541 §4.1).
const OVERHEAD: usize = 32;

/// Fields that were sent before, the latest first. All their bytes are in one buffer.
#[derive(Debug, Default)]
pub struct DynamicTable {
    /// The oldest first.
    entries: VecDeque<Entry>,
    /// Names and values in the order of the entries.
    bytes: Vec<u8>,
    /// Bytes at the start of `bytes` whose entries are gone.
    gone: usize,
    /// Its size, as RFC 7541 §4.1 counts it.
    size: usize,
    /// The largest size.
    max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: u16,
    value: u16,
}

impl Entry {
    fn len(self) -> usize {
        usize::from(self.name) + usize::from(self.value)
    }
}

impl DynamicTable {
    /// An empty table. `max` is far below 64 KiB.
    pub fn new(max: usize) -> DynamicTable {
        DynamicTable { max, ..DynamicTable::default() }
    }

    /// Changes the largest size, which may evict entries.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
        self.evict(max);
        self.rest();
    }

    /// Frees memory that is not used.
    pub fn rest(&mut self) {
        self.compact();
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// The entry that was added as the `nth` last, from 0.
    pub fn get(&self, nth: usize) -> Option<(&[u8], &[u8])> {
        let index = self.entries.len().checked_sub(nth + 1)?;
        let later: usize = self.entries.range(index..).map(|entry| entry.len()).sum();
        let entry = self.entries.get(index)?;
        let start = self.bytes.len().checked_sub(later)?;
        self.bytes.get(start..start + entry.len())?.split_at_checked(usize::from(entry.name))
    }

    /// Adds a field, and evicts the oldest ones for it. One that is larger than the table leaves it empty.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.evict(self.max.saturating_sub(size));
        let (Ok(name_len), Ok(value_len)) = (u16::try_from(name.len()), u16::try_from(value.len())) else { return };
        if size > self.max {
            return;
        }
        if self.gone > 0 && self.bytes.len() + size > self.bytes.capacity() {
            self.compact();
        }
        self.size += size;
        self.entries.push_back(Entry { name: name_len, value: value_len });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
    }

    /// Drops the oldest entries until the size is at most `max`.
    fn evict(&mut self, max: usize) {
        while self.size > max
            && let Some(entry) = self.entries.pop_front()
        {
            self.gone += entry.len();
            self.size -= entry.len() + OVERHEAD;
        }
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.gone);
        self.gone = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut table = DynamicTable::new(100);
        table.add(b"a", b"1");
        table.add(b"bb", b"22");
        assert_eq!(table.get(0), Some((&b"bb"[..], &b"22"[..])));
        assert_eq!(table.get(1), Some((&b"a"[..], &b"1"[..])));
        assert_eq!(table.get(2), None);
        table.add(b"c", b"");
        assert_eq!(table.size, 69, "34 + 36 + 33 is more than 100");
        assert_eq!(table.get(1), Some((&b"bb"[..], &b"22"[..])));
        assert_eq!(table.get(2), None);
        table.set_max(40);
        assert_eq!(table.get(0), Some((&b"c"[..], &b""[..])));
        assert_eq!(table.get(1), None);
        table.add(b"too", b"long for it");
        assert_eq!((table.get(0), table.size), (None, 0), "RFC 7541 §4.4: not an error");
        table.set_max(0);
        table.add(b"", b"");
        assert_eq!(table.get(0), None);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut table = DynamicTable::new(4096);
        for round in 0..10_000_usize {
            table.add(b"name", &vec![b'v'; round % 300]);
            assert!(table.size <= 4096 && table.bytes.capacity() <= 8192 && table.entries.len() <= 128);
        }
    }
}
