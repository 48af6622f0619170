//! Messages to be sent to ubusd. They can be removed until their first byte is sent.

use super::blob::Writer;
use super::message;

/// Capacity that is kept while it is empty.
const KEEP: usize = 64 << 10;

/// The messages to be sent, one after the other.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    messages: Vec<QueuedMessage>,
    /// The first one has been sent in part.
    begun: bool,
}

struct QueuedMessage {
    /// The call that may remove it.
    owner: Option<u16>,
    /// How many bytes of it are unsent.
    left: usize,
}

impl Outbox {
    /// The unsent bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Queues a message, which can be removed if it has an owner. Returns false if it is too long.
    pub fn push(&mut self, owner: Option<u16>, kind: u8, seq: u16, peer: u32, write: &dyn Fn(&mut Writer<'_>)) -> bool {
        let before = self.bytes.len();
        let fits = message::push(&mut self.bytes, kind, seq, peer, write);
        if fits {
            self.messages.push(QueuedMessage { owner, left: self.bytes.len() - before });
        }
        fits
    }

    /// That many bytes have been sent.
    pub fn written(&mut self, count: usize) {
        let mut count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        let mut sent = 0;
        for message in &mut self.messages {
            if count == 0 {
                break;
            }
            let part = count.min(message.left);
            count -= part;
            message.left -= part;
            self.begun = message.left > 0;
            sent += usize::from(!self.begun);
        }
        self.messages.drain(..sent);
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEEP);
        }
    }

    /// Removes the message of an owner. Returns false if it has been sent, even in part.
    pub fn take_back(&mut self, owner: u16) -> bool {
        let Some(at) = self.messages.iter().position(|message| message.owner == Some(owner)) else { return false };
        if at == 0 && self.begun {
            return false;
        }
        let start: usize = self.messages.iter().take(at).map(|message| message.left).sum();
        let message = self.messages.remove(at);
        self.bytes.drain(start..start + message.left);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The owners of the messages that are in the bytes.
    fn owners(mut bytes: &[u8]) -> Vec<u16> {
        let mut found = Vec::new();
        while let Some((message, length)) = message::first(bytes).unwrap() {
            found.push(message.seq);
            bytes = &bytes[length..];
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn taken_back_until_the_first_byte_has_left() {
        let length = 12;
        for (written, expected) in [(0, &[2, 4][..]), (1, &[1, 2, 4]), (length, &[1, 2, 4]), (length + 1, &[1, 2, 4])] {
            let mut outbox = Outbox::default();
            for seq in 1..=4 {
                assert!(outbox.push((seq != 2).then_some(seq), 4, seq, 0, &|_| ()));
            }
            let mut wire = outbox.bytes()[..written].to_vec();
            outbox.written(written);
            assert_eq!(outbox.take_back(1), written == 0, "{written}");
            assert!(outbox.take_back(3) && !outbox.take_back(3), "{written}");
            assert!(!outbox.take_back(2), "nobody's");
            wire.extend_from_slice(outbox.bytes());
            assert_eq!(owners(&wire), expected, "{written}");
        }
    }

    proptest! {
        /// Whatever is written and taken back when: what leaves are whole messages, and none that was taken back.
        #[test]
        fn whole_messages(steps in proptest::collection::vec((0_u8..3, 0_u16..40), 0..60)) {
            let (mut outbox, mut wire, mut next, mut expected) = (Outbox::default(), Vec::new(), 0, Vec::new());
            for (step, value) in steps {
                match step {
                    0 => {
                        let _ = outbox.push(Some(next), 4, next, 0, &|w| w.raw(&vec![0; usize::from(value) * 4]));
                        expected.push(next);
                        next += 1;
                    }
                    1 => {
                        let count = usize::from(value).min(outbox.bytes().len());
                        wire.extend_from_slice(&outbox.bytes()[..count]);
                        outbox.written(count);
                    }
                    _ if outbox.take_back(value) => expected.retain(|owner| *owner != value),
                    _ => {}
                }
            }
            wire.extend_from_slice(outbox.bytes());
            prop_assert_eq!(owners(&wire), expected);
        }
    }
}
