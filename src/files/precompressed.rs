//! Precompressed files: `NAME.br`, `NAME.zst` or `NAME.gz` served instead of `NAME`.
//!
//! A client gets one only if it accepts that coding. As the choice depends on `Accept-Encoding`, every response of a
//! folder that offers this carries `Vary` (RFC 9110 §12.5.5), also when the plain file is sent.

use crate::http::fields::Fields;
use crate::http::{Coding, acceptable};
use std::ffi::{CStr, CString};
use std::io;

/// The header line of every response whose coding the client could have influenced.
pub(super) const VARY: &[u8] = b"Vary: Accept-Encoding\r\n";

/// The suffixes of precompressed files.
pub(super) const SUFFIXES: [&str; 3] = [Coding::ALL[0].suffix(), Coding::ALL[1].suffix(), Coding::ALL[2].suffix()];

/// The codings that the client accepts, in its order of preference; none if it names none.
pub(super) fn accepted(request: &impl Fields) -> impl Iterator<Item = Coding> {
    acceptable(request)
}

/// The name of a file's precompressed form.
pub(super) fn sibling(name: &CStr, coding: Coding) -> io::Result<CString> {
    Ok(CString::new([name.to_bytes(), coding.suffix().as_bytes()].concat())?)
}

/// The name of the file that a precompressed one stands for: it decides the content type.
pub(super) fn plain_name(name: &CStr, coding: Coding) -> &[u8] {
    name.to_bytes().strip_suffix(coding.suffix().as_bytes()).unwrap_or_default()
}
