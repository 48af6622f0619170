//! Floating point as text, by libc: Rust's own tables for it would be the larger part of what they serve.

use std::ffi::CStr;
use std::ptr;

/// Longest text of [`print`]: sign, 309 digits, point, six digits, NUL.
pub const MAX_TEXT: usize = 318;

/// The number that the text begins with, infinite beyond the range; 0 if it begins with none.
pub fn parse(text: &CStr) -> f64 {
    // SAFETY: the text ends in NUL, and a null pointer asks for no end.
    unsafe { libc::strtod(text.as_ptr(), ptr::null_mut()) }
}

/// The number with six digits behind the point, as `%f` has it; returns how many bytes of `text` it took.
pub fn print(value: f64, text: &mut [u8; MAX_TEXT]) -> usize {
    // SAFETY: the buffer is as long as is said, and the format takes one double, which is given.
    let length = unsafe { libc::snprintf(text.as_mut_ptr().cast(), MAX_TEXT, c"%f".as_ptr(), value) };
    usize::try_from(length).map_or(0, |length| length.min(MAX_TEXT - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (text, printed) in [
            (c"1.5", "1.500000"),
            (c"-0.0000001", "-0.000000"),
            (c"1e3", "1000.000000"),
            (c"0.1", "0.100000"),
            (c"x", "0.000000"),
        ] {
            let mut out = [0; MAX_TEXT];
            let length = print(parse(text), &mut out);
            assert_eq!(std::str::from_utf8(&out[..length]), Ok(printed));
        }
        let mut out = [0; MAX_TEXT];
        assert_eq!(print(-f64::MAX, &mut out), MAX_TEXT - 1, "the longest fits");
        assert!(parse(c"1e999").is_infinite());
    }
}
