//! Where a file's bytes are sent from: small files from memory, large ones by sendfile(2).

use super::limits::SMALL_FILE;
use crate::server::{Connection, Result};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;

/// The bytes of a file, ready to be sent.
pub(super) enum Content {
    /// Read into memory.
    Memory(Rc<[u8]>),
    /// Left in an open file, from which the kernel sends them.
    File(Rc<File>),
}

impl Content {
    /// Reads a file of up to [`SMALL_FILE`] bytes; keeps a larger one open.
    ///
    /// # Errors
    /// Those of read(2); `UnexpectedEof` if the file has fewer than `size` bytes by now.
    pub(super) fn load(mut file: File, size: u64) -> io::Result<Content> {
        if size > SMALL_FILE {
            return Ok(Content::File(Rc::new(file)));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact(&mut bytes)?;
        Ok(Content::Memory(bytes.into()))
    }

    /// Queues a range of the bytes as body.
    ///
    /// # Errors
    /// Those of [`Connection::send`].
    pub(super) fn push(&self, con: &mut Connection, range: Range<u64>) -> Result<()> {
        match self {
            Content::Memory(bytes) if range == (0..bytes.len() as u64) => con.push_shared(Rc::clone(bytes)),
            Content::Memory(bytes) => con.push(slice(bytes, &range)),
            Content::File(file) => con.push_file(Rc::clone(file), range.start, range.end - range.start),
        }
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(_) => 0,
        }
    }

    /// Descriptors that it holds.
    pub(super) fn descriptors(&self) -> usize {
        usize::from(matches!(self, Content::File(_)))
    }
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    bytes.get(index(range.start)..index(range.end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_decides() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        for (size, memory, descriptors) in [(0, 0, 0), (SMALL_FILE, SMALL_FILE, 0), (SMALL_FILE + 1, 0, 1)] {
            std::fs::write(&path, vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
            let content = Content::load(File::open(&path).unwrap(), size).unwrap();
            assert_eq!((content.memory(), content.descriptors()), (memory, descriptors), "{size}");
        }
        let shrunk = Content::load(File::open(&path).unwrap(), SMALL_FILE).map(|content| content.memory());
        assert_eq!(shrunk.unwrap(), SMALL_FILE, "more bytes than asked for are no error");
        std::fs::write(&path, "").unwrap();
        assert!(Content::load(File::open(&path).unwrap(), 1).is_err());
    }

    #[test]
    fn a_range_outside_is_empty() {
        assert_eq!(slice(b"abc", &(1..3)), b"bc");
        assert_eq!(slice(b"abc", &(1..4)), b"");
    }
}
