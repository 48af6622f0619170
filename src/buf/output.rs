//! Bytes to send: one ordered queue of memory and pieces of files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// Memory chunks written by one system call; a longer queue takes several.
const SLICES: usize = 16;

/// Bytes of file asked of one sendfile(2): large enough that the call's cost vanishes, small enough to be fair.
const FILE_STEP: u64 = 1 << 20;

/// A buffer of at most this capacity is kept for the next head; a larger one is freed.
const SPARE_CAPACITY: usize = 4096;

/// Where an [`Output`] drains to: a transport, or a simulation of one.
pub(crate) trait Sink {
    /// Writes from `slices`. `more`: other bytes follow at once.
    fn write(&mut self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize>;

    /// Sends up to `count` bytes of `file` from `offset`. Returns 0 at the end of the file.
    fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<u64>;

    /// Flushes bytes that were accepted already; false if some are still pending.
    fn flush(&mut self) -> io::Result<bool>;
}

/// How a [`drain`](Output::drain) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing is left.
    Empty,
    /// The sink is full for now.
    Blocked,
    /// The budget is used up; the sink may accept more.
    Budget,
}

/// The ordered queue of bytes to send.
#[derive(Default)]
pub(crate) struct Output {
    queue: VecDeque<Chunk>,
    /// Bytes of queued memory chunks; files cost none.
    mem: usize,
    /// Pieces of files in the queue; each holds a descriptor.
    files: usize,
    spare: Vec<u8>,
    /// Bytes sent since [`restart_count`](Output::restart_count).
    sent: u64,
}

enum Chunk {
    Owned { bytes: Vec<u8>, at: usize },
    Shared { bytes: Rc<[u8]>, at: usize },
    File { file: Rc<File>, at: u64, end: u64 },
}

impl Chunk {
    /// The unsent bytes; `None` for a file.
    fn memory(&self) -> Option<&[u8]> {
        match self {
            Chunk::Owned { bytes, at } => bytes.get(*at..),
            Chunk::Shared { bytes, at } => bytes.get(*at..),
            Chunk::File { .. } => None,
        }
    }
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of queued memory.
    pub(crate) fn mem(&self) -> usize {
        self.mem
    }

    /// Pieces of files in the queue.
    pub(crate) fn files(&self) -> usize {
        self.files
    }

    /// Bytes sent since the last [`restart_count`](Output::restart_count).
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn restart_count(&mut self) {
        self.sent = 0;
    }

    /// Queues what `write` appends.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.queue.back(), Some(Chunk::Owned { .. })) {
            let bytes = std::mem::take(&mut self.spare);
            self.queue.push_back(Chunk::Owned { bytes, at: 0 });
        }
        if let Some(Chunk::Owned { bytes, .. }) = self.queue.back_mut() {
            let before = bytes.len();
            write(bytes);
            self.mem += bytes.len() - before;
            if bytes.is_empty() {
                self.queue.pop_back();
            }
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.push_with(|tail| tail.extend_from_slice(bytes));
    }

    /// Queues shared bytes without copying them.
    pub(crate) fn push_shared(&mut self, bytes: Rc<[u8]>) {
        if !bytes.is_empty() {
            self.mem += bytes.len();
            self.queue.push_back(Chunk::Shared { bytes, at: 0 });
        }
    }

    /// Queues `count` bytes of `file` from `offset`.
    pub(crate) fn push_file(&mut self, file: Rc<File>, offset: u64, count: u64) {
        if count > 0 {
            self.files += 1;
            self.queue.push_back(Chunk::File { file, at: offset, end: offset.saturating_add(count) });
        }
    }

    /// Moves its memory to another, if nothing waits in either.
    #[cfg(feature = "websocket")]
    pub(crate) fn hand_over(&mut self, other: &mut Output) {
        if self.queue.is_empty() && other.queue.is_empty() && self.queue.capacity() > 0 {
            other.queue = std::mem::take(&mut self.queue);
            other.spare = std::mem::take(&mut self.spare);
        }
    }

    /// Frees all memory if nothing is queued.
    #[cfg(feature = "http2")]
    pub(crate) fn rest(&mut self) {
        if self.queue.is_empty() {
            *self = Output { sent: self.sent, ..Output::default() };
        }
    }

    /// Drops the queue, and frees memory beyond the spare buffer.
    pub(crate) fn clear(&mut self) {
        while let Some(chunk) = self.queue.pop_front() {
            self.keep(chunk);
        }
        self.mem = 0;
        self.files = 0;
        self.queue.shrink_to(SLICES);
    }

    /// Sends to `sink` until nothing is left, it blocks, or `budget` bytes were sent.
    ///
    /// # Errors
    /// Those of the sink; `UnexpectedEof` if a file is shorter than promised.
    pub(crate) fn drain(&mut self, sink: &mut impl Sink, budget: u64) -> io::Result<Drained> {
        let stop = self.sent.saturating_add(budget);
        while let Some(front) = self.queue.front_mut() {
            if self.sent >= stop {
                return Ok(Drained::Budget);
            }
            let step = match front {
                Chunk::File { file, at, end } => {
                    let sent = sink.send_file(file, *at, FILE_STEP.min(*end - *at));
                    if let Ok(n) = sent {
                        if n == 0 {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                        *at += n;
                        self.sent += n;
                        if *at >= *end {
                            self.files -= 1;
                            self.queue.pop_front();
                        }
                    }
                    sent.map(|_| ())
                }
                _ => self.drain_memory(sink),
            };
            // Only `WouldBlock` means that the sink is full; a short write may have other reasons.
            match step {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Drained::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match sink.flush() {
            Ok(true) => Ok(Drained::Empty),
            Ok(false) => Ok(Drained::Blocked),
            Err(error) => Err(error),
        }
    }

    /// One gathering write of the memory chunks at the front.
    fn drain_memory(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
            let Some(bytes) = chunk.memory() else { break };
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        let more = self.queue.len() > count;
        let sent = sink.write(&slices[..count], more)?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.sent += sent as u64;
        self.mem -= sent;
        self.advance(sent);
        Ok(())
    }

    /// Drops `n` sent bytes from the memory chunks at the front.
    fn advance(&mut self, mut n: usize) {
        while let Some(Chunk::Owned { .. } | Chunk::Shared { .. }) = self.queue.front() {
            let (left, at) = match self.queue.front_mut() {
                Some(Chunk::Owned { bytes, at }) => (bytes.len() - *at, at),
                Some(Chunk::Shared { bytes, at }) => (bytes.len() - *at, at),
                Some(Chunk::File { .. }) | None => return,
            };
            if n < left {
                *at += n;
                self.compact();
                return;
            }
            n -= left;
            if let Some(chunk) = self.queue.pop_front() {
                self.keep(chunk);
            }
            if n == 0 {
                return;
            }
        }
    }

    /// Drops the sent part of a buffer that is filled faster than it empties.
    fn compact(&mut self) {
        if let Some(Chunk::Owned { bytes, at }) = self.queue.front_mut()
            && *at >= bytes.len() / 2
        {
            bytes.drain(..*at);
            *at = 0;
        }
    }

    fn keep(&mut self, chunk: Chunk) {
        if let Chunk::Owned { mut bytes, .. } = chunk
            && bytes.capacity() <= SPARE_CAPACITY
        {
            bytes.clear();
            self.spare = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Seek, Write};

    /// Takes what its script says of each call, and asserts the order of bytes by keeping them.
    #[derive(Default)]
    struct Wire {
        got: Vec<u8>,
        script: VecDeque<usize>,
        calls: Vec<bool>,
    }

    impl Wire {
        fn allowance(&mut self) -> io::Result<usize> {
            match self.script.pop_front() {
                Some(0) => Err(io::ErrorKind::WouldBlock.into()),
                Some(n) => Ok(n),
                None => Ok(usize::MAX),
            }
        }
    }

    impl Sink for Wire {
        fn write(&mut self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
            self.calls.push(more);
            let all: Vec<u8> = slices.iter().flat_map(|s| s.to_vec()).collect();
            let n = self.allowance()?.min(all.len());
            self.got.extend_from_slice(&all[..n]);
            Ok(n)
        }

        fn send_file(&mut self, mut file: &File, offset: u64, count: u64) -> io::Result<u64> {
            let n = (self.allowance()? as u64).min(count);
            file.seek(io::SeekFrom::Start(offset))?;
            let n = file.take(n).read_to_end(&mut self.got)?;
            Ok(n as u64)
        }

        fn flush(&mut self) -> io::Result<bool> {
            Ok(true)
        }
    }

    fn file(bytes: &[u8]) -> Rc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Rc::new(file)
    }

    #[test]
    fn head_and_shared_body_leave_in_one_write() {
        let (mut output, mut wire) = (Output::default(), Wire::default());
        output.push(b"head ");
        output.push_shared(Rc::from(&b"body"[..]));
        assert_eq!(output.mem(), 9);
        assert_eq!(output.drain(&mut wire, u64::MAX).unwrap(), Drained::Empty);
        assert_eq!((&wire.got[..], &wire.calls[..]), (&b"head body"[..], &[false][..]));
        assert_eq!((output.mem(), output.sent()), (0, 9));
    }

    #[test]
    fn the_head_before_a_file_is_marked_as_followed() {
        let (mut output, mut wire) = (Output::default(), Wire::default());
        output.push(b"head ");
        output.push_file(file(b"0123456789"), 2, 5);
        assert_eq!(output.files(), 1);
        assert_eq!(output.drain(&mut wire, u64::MAX).unwrap(), Drained::Empty);
        assert_eq!((&wire.got[..], &wire.calls[..]), (&b"head 23456"[..], &[true][..]));
        assert_eq!(output.files(), 0);
    }

    #[test]
    fn a_file_shorter_than_promised_is_an_error() {
        let (mut output, mut wire) = (Output::default(), Wire::default());
        output.push_file(file(b"0123"), 0, 5);
        let error = output.drain(&mut wire, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(wire.got, b"0123");
    }

    #[test]
    fn a_budget_ends_a_drain_between_chunks() {
        let (mut output, mut wire) = (Output::default(), Wire::default());
        output.push_file(file(&[7; 10]), 0, 10);
        output.push(b"tail");
        assert_eq!(output.drain(&mut wire, 3).unwrap(), Drained::Budget);
        assert_eq!(output.drain(&mut wire, 100).unwrap(), Drained::Empty);
        assert_eq!(wire.got.len(), 14);
    }

    #[test]
    fn a_stream_that_never_empties_takes_no_more_memory_than_waits() {
        let mut output = Output::default();
        for _ in 0..10_000 {
            while output.mem() < 32 << 10 {
                output.push(&[0; 1000]);
            }
            let mut wire = Wire { script: [6000, 0].into(), ..Wire::default() };
            assert_eq!(output.drain(&mut wire, u64::MAX).unwrap(), Drained::Blocked);
        }
        let held: usize = output.queue.iter().map(|chunk| chunk.memory().map_or(0, <[u8]>::len)).sum();
        let owned = match output.queue.front() {
            Some(Chunk::Owned { bytes, .. }) => bytes.capacity(),
            _ => 0,
        };
        assert!(held == output.mem() && owned <= 128 << 10, "{held} bytes wait, {owned} are owned");
    }

    proptest! {
        #[test]
        fn any_cuts_keep_order_and_count(
            pieces in proptest::collection::vec((0..3_u8, proptest::collection::vec(any::<u8>(), 0..40)), 0..40),
            script in proptest::collection::vec(0..60_usize, 0..60),
        ) {
            let (mut output, mut wire) = (Output::default(), Wire { script: script.into(), ..Wire::default() });
            let mut sent = Vec::new();
            for (kind, bytes) in &pieces {
                match kind {
                    0 => output.push(bytes),
                    1 => output.push_shared(Rc::from(&bytes[..])),
                    _ => output.push_file(file(bytes), 0, bytes.len() as u64),
                }
                sent.extend_from_slice(bytes);
                output.drain(&mut wire, 25).unwrap();
            }
            while output.drain(&mut wire, 25).unwrap() != Drained::Empty {}
            prop_assert_eq!(&wire.got, &sent);
            prop_assert_eq!((output.mem(), output.files(), output.sent()), (0, 0, sent.len() as u64));
        }
    }
}
