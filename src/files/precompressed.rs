//! Precompressed files: `NAME.br`, `NAME.zst` or `NAME.gz` served instead of `NAME`.
//!
//! A client gets one only if it accepts that coding. As the choice depends on `Accept-Encoding`, every response of a
//! folder that offers this carries `Vary` (RFC 9110 §12.5.5), also when the plain file is sent.

use crate::http::fields::Fields;
use crate::http::{Coding, acceptable};
use std::ffi::CStr;
use std::io;

/// The header line of every response whose coding the client could have influenced.
pub(super) const VARY: &[u8] = b"Vary: Accept-Encoding\r\n";

/// Some of the codings of precompressed files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Codings(u8);

impl Codings {
    /// Those for which `holds` is true.
    pub(super) fn which(mut holds: impl FnMut(Coding) -> bool) -> Codings {
        let bits = Coding::ALL.iter().filter(|&&coding| holds(coding)).map(|&coding| Codings::bit(coding));
        Codings(bits.sum())
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, coding: Coding) -> bool {
        self.0 & Codings::bit(coding) != 0
    }

    fn bit(coding: Coding) -> u8 {
        1 << coding as u8
    }
}

/// The suffixes of precompressed files.
pub(super) const SUFFIXES: [&str; 3] = [Coding::ALL[0].suffix(), Coding::ALL[1].suffix(), Coding::ALL[2].suffix()];

/// The codings that the client accepts, in its order of preference; none if it names none.
pub(super) fn accepted(request: &impl Fields) -> impl Iterator<Item = Coding> {
    acceptable(request)
}

/// The name of a file's precompressed form, in place of what the buffer holds.
pub(super) fn push_sibling<'a>(buffer: &'a mut Vec<u8>, name: &CStr, coding: Coding) -> io::Result<&'a CStr> {
    buffer.clear();
    buffer.extend_from_slice(name.to_bytes());
    buffer.extend_from_slice(coding.suffix().as_bytes());
    buffer.push(0);
    CStr::from_bytes_with_nul(buffer).map_err(io::Error::other)
}

/// Whether a file of that name, in any case, may be a precompressed one.
pub(super) fn is_coded(name: &[u8]) -> bool {
    SUFFIXES.iter().any(|suffix| {
        let end = name.len().checked_sub(suffix.len()).and_then(|start| name.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
    })
}

/// The name of the file that a precompressed one stands for: it decides the content type.
pub(super) fn plain_name(name: &CStr, coding: Coding) -> &[u8] {
    name.to_bytes().strip_suffix(coding.suffix().as_bytes()).unwrap_or_default()
}
