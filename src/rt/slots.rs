//! A slab whose keys name a tenant, not a slot: the key of a removed tenant finds nothing, even if its slot is used
//! again.
//!
//! The kernel, timers and wakers return keys later. An event can outlive its connection: a child process that has not
//! reached exec yet holds a copy of a closed socket, which keeps it registered with epoll(7).

use slab::Slab;
use std::io;

/// Bits of a key's index and of its generation: with two bits more they fill a token, which is a `usize`.
const INDEX_BITS: u32 = usize::BITS / 2;
const GENERATION_MASK: u32 = (1 << (INDEX_BITS - 2)) - 1;

/// The maximum number of tenants.
pub(crate) const MAX_SLOTS: usize = 1 << INDEX_BITS;

/// Names one tenant of a [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The slot, which later tenants share.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }

    /// Another tenant of the same slot.
    pub(crate) fn with_generation(self, generation: u32) -> Key {
        Key { generation, ..self }
    }

    /// The key as a number below 2^(`usize::BITS` - 2).
    pub(crate) fn pack(self) -> usize {
        (self.generation as usize) << INDEX_BITS | self.index as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a usize fits a u32")]
    pub(crate) fn unpack(packed: usize) -> Key {
        Key { index: (packed & (MAX_SLOTS - 1)) as u32, generation: (packed >> INDEX_BITS) as u32 }
    }
}

/// Values by [`Key`].
pub(crate) struct Slots<T> {
    slab: Slab<(u32, T)>,
    /// The next tenant's generation. With 32-bit tokens it wraps after 16,384 tenants; no key is returned that late.
    generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slab: Slab::new(), generation: 0 }
    }
}

impl<T> Slots<T> {
    /// Inserts what `make` returns for the new key.
    ///
    /// # Errors
    /// That of `make`; `OutOfMemory` if there are [`MAX_SLOTS`] already.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> io::Result<T>) -> io::Result<Key> {
        let entry = self.slab.vacant_entry();
        let index = u32::try_from(entry.key()).ok().filter(|_| entry.key() < MAX_SLOTS);
        let index = index.ok_or(io::ErrorKind::OutOfMemory)?;
        let key = Key { index, generation: self.generation };
        entry.insert((key.generation, make(key)?));
        self.generation = (self.generation + 1) & GENERATION_MASK;
        Ok(key)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slab.get(key.index()).filter(|(generation, _)| *generation == key.generation).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, value) = self.slab.get_mut(key.index())?;
        (*generation == key.generation).then_some(value)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.slab.try_remove(key.index()).map(|(_, value)| value)
    }

    /// All of them, by index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        #[expect(clippy::cast_possible_truncation, reason = "below MAX_SLOTS, and no index is larger than u32 holds")]
        self.slab
            .iter()
            .map(|(index, (generation, value))| (Key { index: index as u32, generation: *generation }, value))
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.slab.into_iter().map(|(_, (_, value))| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(slots: &mut Slots<char>, value: char) -> Key {
        slots.insert_with(|_| Ok(value)).unwrap()
    }

    #[test]
    fn a_key_finds_its_tenant_and_no_later_one() {
        let mut slots = Slots::default();
        let (a, b) = (insert(&mut slots, 'a'), insert(&mut slots, 'b'));
        assert_eq!(slots.remove(a), Some('a'));
        let c = insert(&mut slots, 'c');
        assert_eq!(a.index(), c.index(), "the slot is used again");
        assert_eq!(slots.get(a), None);
        assert_eq!(slots.get_mut(a), None);
        assert_eq!(slots.remove(a), None);
        assert_eq!((slots.get(b), slots.get(c)), (Some(&'b'), Some(&'c')));
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(c, &'c'), (b, &'b')]);
        assert_eq!(slots.len(), 2);
    }

    #[test]
    fn a_failed_insertion_takes_no_slot() {
        let mut slots: Slots<char> = Slots::default();
        assert!(slots.insert_with(|_| Err(io::ErrorKind::Other.into())).is_err());
        assert!(slots.is_empty());
    }

    #[test]
    fn generations_wrap_without_an_end() {
        let mut slots = Slots { generation: GENERATION_MASK, ..Slots::default() };
        let last = insert(&mut slots, 'a');
        slots.remove(last);
        let first = insert(&mut slots, 'b');
        assert_eq!((last.generation(), first.generation()), (GENERATION_MASK, 0));
        assert_eq!(slots.get(last), None);
    }

    #[test]
    fn packed_keys_leave_two_bits() {
        for (index, generation) in
            [(0, 0), (1, 0), (0, 1), (77, 99), (u32::try_from(MAX_SLOTS - 1).unwrap(), GENERATION_MASK)]
        {
            let key = Key { index, generation };
            assert_eq!(Key::unpack(key.pack()), key);
            assert!(key.pack() <= usize::MAX >> 2);
        }
    }
}
