//! A path: beneath the docroot, as the simplest reading has it.
#![no_main]

use ecohttpd_fuzz::path::{PathError, normalize};

/// Its segments, one after the other, and whether it names a folder.
fn simply(decoded: &[u8]) -> Result<(Vec<&[u8]>, bool), PathError> {
    if decoded.contains(&0) {
        return Err(PathError::BadByte);
    }
    let mut stack = Vec::new();
    let segments = || decoded.split(|&byte| byte == b'/');
    for segment in segments() {
        match segment {
            b"" | b"." => {}
            b".." => drop(stack.pop().ok_or(PathError::Escapes)?),
            name => stack.push(name),
        }
    }
    Ok((stack, matches!(segments().next_back(), Some(b"" | b"." | b".."))))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut out = b"of the request before".to_vec();
    let verdict = normalize(data, &mut out);
    let expected = simply(data);
    assert_eq!(verdict, expected.as_ref().map(|(_, folder)| *folder).map_err(|error| *error));
    if let Ok((stack, _)) = expected {
        assert_eq!(out, stack.join(&b'/'));
        let mut again = Vec::new();
        assert!(normalize(&out, &mut again).is_ok() && again == out);
    }
});
