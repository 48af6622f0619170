//! Text from outside, made safe for the log and for HTML.

use std::fmt::{self, Write};

/// Text for a line of the log: it can neither end the line nor control a terminal. UTF-8 stays readable.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, false)
    }
}

/// The same between quotes, for values in messages: less code than `{:?}`, which needs tables of Unicode.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escape(f, self.0, true)?;
        f.write_char('"')
    }
}

fn escape(f: &mut fmt::Formatter<'_>, text: &[u8], quoted: bool) -> fmt::Result {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                hex(f, u32::from(c))?;
                continue;
            }
            if quoted && matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        chunk.invalid().iter().try_for_each(|byte| hex(f, u32::from(*byte)))?;
    }
    Ok(())
}

/// Text between quotes, of ASCII only: it can't end its quotes either.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_hostile = |byte: &u8| matches!(byte, b'"' | b'\\') || !matches!(byte, b' '..=b'~');
        let mut rest = self.0;
        while let Some(at) = rest.bytes().position(|byte| is_hostile(&byte)) {
            let (clean, hostile) = rest.split_at(at);
            f.write_str(clean)?;
            let length = hostile.chars().next().map_or(1, char::len_utf8);
            let (hostile, after) = hostile.split_at(length);
            hostile.bytes().try_for_each(|byte| hex(f, u32::from(byte)))?;
            rest = after;
        }
        f.write_str(rest)
    }
}

fn hex(f: &mut fmt::Formatter<'_>, code: u32) -> fmt::Result {
    write!(f, "\\x{code:02x}")
}

/// As much of a text as fits into so many bytes.
#[cfg(feature = "status")]
pub fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Text in HTML.
pub struct Html<'a>(pub &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text() {
        #[rustfmt::skip]
        let rows = [
            ("/a?b", "/a?b", "/a?b"), ("\" 200 \"", "\" 200 \"", "\\x22 200 \\x22"), ("a\nb\x1b[0m", "a\\x0ab\\x1b[0m", "a\\x0ab\\x1b[0m"),
            ("é\\", "é\\", "\\xc3\\xa9\\x5c"), ("\u{9b}", "\\x9b", "\\xc2\\x9b"), ("", "", ""), ("\x7f a", "\\x7f a", "\\x7f a"),
        ];
        for (text, escaped, quoted) in rows {
            assert_eq!(Escaped(text.as_bytes()).to_string(), escaped);
            assert_eq!(Quoted(text).to_string(), quoted);
        }
        assert_eq!(Shown(b"a\"b\\c\n\xff").to_string(), "\"a\\\"b\\\\c\\x0a\\xff\"");
        assert_eq!(Escaped(b"a\xff\xe2\x82").to_string(), "a\\xff\\xe2\\x82");
        assert_eq!(Html("<a href='x'>\"&é").to_string(), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;é");
    }
}
