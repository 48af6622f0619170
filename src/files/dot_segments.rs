//! Resolving the dot segments and duplicate slashes of a path, by its text alone.

/// Why a path names nothing beneath the docroot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// It climbs above the root: 403.
    Escapes,
    /// It holds a NUL, which no file name can: 400.
    BadByte,
}

/// Resolves the dot segments and duplicate slashes of a decoded path.
///
/// Replaces `out` with the path relative to the root, without a slash at either end. It is empty for the root itself.
/// Returns true if the path ends in a slash or a dot segment, which only a directory's may.
pub fn normalize(decoded: &[u8], out: &mut Vec<u8>) -> Result<bool, PathError> {
    out.clear();
    let relative = decoded.strip_prefix(b"/").unwrap_or(decoded);
    if is_plain(relative)? {
        let file = relative.strip_suffix(b"/");
        out.extend_from_slice(file.unwrap_or(relative));
        return Ok(file.is_some() || relative.is_empty());
    }
    let mut directory = true;
    for segment in relative.split(|&b| b == b'/') {
        directory = true;
        match segment {
            b"" | b"." => {}
            b".." => climb(out)?,
            name => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(name);
                directory = false;
            }
        }
    }
    Ok(directory)
}

/// Whether nothing needs resolving: no segment but the last is empty, and none starts with a dot.
fn is_plain(relative: &[u8]) -> Result<bool, PathError> {
    let mut plain = true;
    let mut before = b'/';
    for &byte in relative {
        if byte == 0 {
            return Err(PathError::BadByte);
        }
        plain &= before != b'/' || !matches!(byte, b'/' | b'.');
        before = byte;
    }
    Ok(plain)
}

/// Removes the last segment.
fn climb(out: &mut Vec<u8>) -> Result<(), PathError> {
    if out.is_empty() {
        return Err(PathError::Escapes);
    }
    out.truncate(out.iter().rposition(|&b| b == b'/').unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths() {
        type Verdict<'a> = Result<(&'a [u8], bool), PathError>;
        #[rustfmt::skip]
        let rows: &[(&[u8], Verdict<'_>, &str)] = &[
            (b"/", Ok((b"", true)), "root"),
            (b"", Ok((b"", true)), "empty"),
            (b"/a", Ok((b"a", false)), "file"),
            (b"/a/", Ok((b"a", true)), "directory"),
            (b"/a/b.c", Ok((b"a/b.c", false)), "a dot inside a name"),
            (b"/a/b.", Ok((b"a/b.", false)), "a dot at the end of a name"),
            (b"a/b", Ok((b"a/b", false)), "no leading slash"),
            (b"//", Ok((b"", true)), "two slashes"),
            (b"//a///b", Ok((b"a/b", false)), "many slashes"),
            (b"/a//", Ok((b"a", true)), "two at the end"),
            (b"/.", Ok((b"", true)), "dot"),
            (b"/a/.", Ok((b"a", true)), "dot at the end"),
            (b"/./a/./b", Ok((b"a/b", false)), "dots inside"),
            (b"/a/..", Ok((b"", true)), "to the root"),
            (b"/a/b/..", Ok((b"a", true)), "up at the end"),
            (b"/a/b/../c", Ok((b"a/c", false)), "up inside"),
            (b"/a/b/../../c/", Ok((b"c", true)), "up twice"),
            (b"/a//../b", Ok((b"b", false)), "up over two slashes"),
            (b"/.hidden", Ok((b".hidden", false)), "hidden"),
            (b"/a/..b/...", Ok((b"a/..b/...", false)), "dots that are names"),
            (b"/\\..\\x", Ok((b"\\..\\x", false)), "a backslash is a letter"),
            (b"/..", Err(PathError::Escapes), "above"),
            (b"..", Err(PathError::Escapes), "above, no slash"),
            (b"/../a", Err(PathError::Escapes), "above and down"),
            (b"/a/../../a", Err(PathError::Escapes), "down and above"),
            (b"/a/b/../../../etc/passwd", Err(PathError::Escapes), "the usual"),
            (b"/./..", Err(PathError::Escapes), "dot and above"),
            (b"/a\0b", Err(PathError::BadByte), "NUL"),
            (b"/../\0", Err(PathError::BadByte), "NUL and above"),
        ];
        let mut out = b"left over".to_vec();
        for &(path, want, name) in rows {
            let got = normalize(path, &mut out).map(|directory| (&out[..], directory));
            assert_eq!(got, want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn result_is_plain_and_stable(path in "[/.a]{0,24}") {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            if normalize(path.as_bytes(), &mut once).is_ok() {
                prop_assert!(!once.starts_with(b"/") && !once.ends_with(b"/"));
                prop_assert!(once.is_empty() || once.split(|&b| b == b'/').all(|s| !matches!(s, b"" | b"." | b"..")));
                let directory = normalize(&once, &mut twice).unwrap();
                prop_assert_eq!(directory, once.is_empty());
                prop_assert_eq!(once, twice);
            }
        }

        #[test]
        fn no_panic(path in proptest::collection::vec(any::<u8>(), 0..24)) {
            let _ = normalize(&path, &mut Vec::new());
        }
    }
}
