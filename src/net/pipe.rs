//! What stands for the byte stream under a request of HTTP/2. The connection's owner frames what is written.

use super::PeerAddr;
use crate::buf::Sink;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// What requests want to know of the connection that they came by.
pub(crate) struct Origin {
    pub(crate) local: io::Result<PeerAddr>,
    pub(crate) is_tls: bool,
    /// The client's verified certificate, in DER.
    pub(crate) certificate: Option<Vec<u8>>,
}

/// One stream. Nothing can be written unless its owner says how much.
pub(crate) struct Pipe {
    pub(crate) origin: Rc<Origin>,
    /// What was written; lent by the owner.
    pub(crate) out: Vec<u8>,
    /// Bytes that may still be written.
    pub(crate) room: usize,
}

impl Pipe {
    pub(crate) fn new(origin: &Rc<Origin>) -> Pipe {
        Pipe { origin: Rc::clone(origin), out: Vec::new(), room: 0 }
    }

    fn check_room(&self) -> io::Result<()> {
        if self.room == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }
}

impl Sink for Pipe {
    fn write(&mut self, slices: &[IoSlice<'_>], _more: bool) -> io::Result<usize> {
        self.check_room()?;
        let mut written = 0;
        for slice in slices {
            let n = slice.len().min(self.room);
            self.out.extend_from_slice(&slice[..n]);
            self.room -= n;
            written += n;
        }
        Ok(written)
    }

    fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        self.check_room()?;
        let count = usize::try_from(count).unwrap_or(self.room).min(self.room);
        let at = self.out.len();
        self.out.resize(at + count, 0);
        let read = file.read_at(&mut self.out[at..], offset);
        let n = *read.as_ref().unwrap_or(&0);
        self.out.truncate(at + n);
        self.room -= n;
        read.map(|n| n as u64)
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn takes_what_there_is_room_for() {
        let origin = Origin { local: Ok(PeerAddr::Unix), is_tls: true, certificate: None };
        let mut pipe = Pipe::new(&Rc::new(origin));
        let slices = [IoSlice::new(b"abc"), IoSlice::new(b"defg")];
        assert_eq!(pipe.write(&slices, false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pipe.room = 5;
        assert_eq!(pipe.write(&slices, false).unwrap(), 5);
        assert_eq!((&pipe.out[..], pipe.room), (&b"abcde"[..], 0));

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        assert!(pipe.send_file(&file, 0, 10).is_err());
        pipe.room = 4;
        assert_eq!(pipe.send_file(&file, 7, 10).unwrap(), 3);
        assert_eq!((&pipe.out[..], pipe.room), (&b"abcde789"[..], 1));
        assert_eq!(pipe.send_file(&file, 10, 1).unwrap(), 0, "the end of the file");
        assert!(pipe.flush().unwrap());
    }
}
