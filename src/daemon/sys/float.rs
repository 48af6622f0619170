//! Doubles as text, by libc's printf, which crypt(3) needs anyway: std's tables for it would take 10 KB more.

/// Longest text of [`print`]: sign, 309 digits, point, six digits, NUL.
pub const MAX_TEXT: usize = 318;

/// Prints the number with six digits after the point, as `%f` does. Returns the number of bytes used of `text`.
pub fn print(value: f64, text: &mut [u8; MAX_TEXT]) -> usize {
    // SAFETY: the buffer is as long as is said, and the format takes one double, which is given.
    let length = unsafe { libc::snprintf(text.as_mut_ptr().cast(), MAX_TEXT, c"%f".as_ptr(), value) };
    usize::try_from(length).map_or(0, |length| length.min(MAX_TEXT - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_behind_the_point() {
        for (value, printed) in [
            (1.5, "1.500000"),
            (-0.0000001, "-0.000000"),
            (1e3, "1000.000000"),
            (0.1, "0.100000"),
            (2.0 / 3.0, "0.666667"),
        ] {
            let mut out = [0; MAX_TEXT];
            let length = print(value, &mut out);
            assert_eq!(std::str::from_utf8(&out[..length]), Ok(printed));
        }
        let mut out = [0; MAX_TEXT];
        assert_eq!(print(-f64::MAX, &mut out), MAX_TEXT - 1, "the longest fits");
    }
}
