//! Parameters of header values, and those of a form's parts.

use std::borrow::Cow;

use crate::http::query::decode_percent;

/// The parameters of a header value, `; name=value` or `; name="value"`. Stops at an unclosed quote.
pub struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    /// Splits a value from its parameters.
    pub fn split(value: &'a [u8]) -> (&'a [u8], Parameters<'a>) {
        let end = value.iter().position(|&b| b == b';');
        let (first, rest) = value.split_at_checked(end.unwrap_or(value.len())).unwrap_or_default();
        (first.trim_ascii(), Parameters(rest))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Empty parameters are tolerated (RFC 9110 §5.6.6).
            let between = |b: &u8| matches!(b, b';' | b' ' | b'\t');
            let from = self.0.iter().position(|b| !between(b))?;
            let rest = self.0.get(from..)?;
            let end = rest.iter().position(|b| matches!(b, b'=' | b';'))?;
            let (name, rest) = rest.split_at_checked(end)?;
            let Some(rest) = rest.strip_prefix(b"=") else {
                // No value: not for us.
                self.0 = rest;
                continue;
            };
            let rest = rest.trim_ascii_start();
            let (value, rest) = match rest.strip_prefix(b"\"") {
                Some(quoted) => {
                    let (value, rest) = quoted_text(quoted)?;
                    (Cow::Owned(value), Parameters::split(rest).1)
                }
                None => {
                    let (value, rest) = Parameters::split(rest);
                    (Cow::Borrowed(value), rest)
                }
            };
            *self = rest;
            return Some((name.trim_ascii(), value));
        }
    }
}

/// A part's `Content-Disposition`: the header of [`FormEvent::Header`](crate::FormEvent) (RFC 7578 §4.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disposition {
    /// The name of the form's field.
    pub name: Option<String>,
    /// The file name from the client. Not to be trusted; it may contain a path.
    pub filename: Option<String>,
}

impl Disposition {
    /// Reads the value of a part's `Content-Disposition`.
    ///
    /// In names `%22` is a quote, as browsers encode it. A `filename*` in UTF-8 (RFC 8187) is preferred to `filename`.
    pub fn parse(value: &str) -> Disposition {
        let mut found = Disposition::default();
        let mut extended = None;
        for (name, value) in Parameters::split(value.as_bytes()).1 {
            match &name.to_ascii_lowercase()[..] {
                b"name" => found.name = found.name.or_else(|| Some(unescape_quotes(&value))),
                b"filename" => found.filename = found.filename.or_else(|| Some(unescape_quotes(&value))),
                b"filename*" => extended = extended.or_else(|| extended_value(&value)),
                _ => {}
            }
        }
        found.filename = extended.or(found.filename);
        found
    }
}

/// Decodes quotes in a name as browsers encode them (HTML, "Multipart form data").
fn unescape_quotes(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace("%22", "\"")
}

/// Decodes `UTF-8'language'text` (RFC 8187 §3.2); `None` for another charset or invalid text.
fn extended_value(value: &[u8]) -> Option<String> {
    let mut pieces = value.splitn(3, |&b| b == b'\'');
    let charset = pieces.next()?;
    let text = pieces.nth(1)?;
    if !charset.eq_ignore_ascii_case(b"utf-8") {
        return None;
    }
    String::from_utf8(decode_percent(text).into_owned()).ok()
}

/// Parses a quoted string after its first quote, and returns what follows it.
///
/// A backslash escapes quotes and backslashes only: old browsers send paths with bare ones.
fn quoted_text(quoted: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [b'"', after @ ..] => return Some((value, after)),
            [b'\\', byte @ (b'"' | b'\\'), after @ ..] | [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dispositions() {
        let of = |name: Option<&str>, filename: Option<&str>| Disposition {
            name: name.map(str::to_owned),
            filename: filename.map(str::to_owned),
        };
        #[rustfmt::skip]
        let rows: &[(&str, Disposition)] = &[
            ("form-data; name=\"a\"", of(Some("a"), None)),
            ("form-data; name=a; filename=b.txt", of(Some("a"), Some("b.txt"))),
            ("Form-Data;NAME=\"a;b\" ; FileName=\"c=d\"", of(Some("a;b"), Some("c=d"))),
            ("form-data; name=\"a\\\"b\\\\c\"", of(Some("a\"b\\c"), None)),
            ("form-data; name=\"a%22b%41\"", of(Some("a\"b%41"), None)),
            ("form-data; filename=\"C:\\dir\\f.txt\"", of(None, Some("C:\\dir\\f.txt"))),
            ("form-data; filename=\"\"", of(None, Some(""))),
            ("form-data; filename=\"你.txt\"", of(None, Some("你.txt"))),
            ("form-data; filename=\"x\"; filename*=UTF-8''%e4%bd%a0.txt", of(None, Some("你.txt"))),
            ("form-data; filename*=utf-8'en'a%20b; filename=x", of(None, Some("a b"))),
            ("form-data; filename*=utf-8''%ff; filename=x", of(None, Some("x"))),
            ("form-data; filename*=iso-8859-1''%e9; filename=x", of(None, Some("x"))),
            ("form-data; filename*=junk", of(None, None)),
            ("form-data; name=\"a\"; name=\"b\"", of(Some("a"), None)),
            ("form-data; name=\"a\"; filename=\"open", of(Some("a"), None)),
            ("form-data; x; name=\"a\"y=z; filename=b", of(Some("a"), Some("b"))),
            ("form-data", of(None, None)),
            ("", of(None, None)),
        ];
        for (value, want) in rows {
            assert_eq!(&Disposition::parse(value), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_panic(value in "(form-data)?[;= a\"\\\\%'*n\u{e9}]{0,30}") {
            Disposition::parse(&value);
        }
    }
}
