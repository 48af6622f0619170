//! Requests that are right, but that the parser refuses.

/// A version of the head in which what the parser wrongly refuses in the first line is replaced; `None` if there is
/// nothing to replace. Non-ASCII bytes in the query become letters; later versions of HTTP/1 become 1.1, as RFC 9110
/// §2.5 has them read.
pub fn acceptable_text(head: &[u8]) -> Option<Vec<u8>> {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = head.iter().position(|byte| !is_end(byte))?;
    let mut text = head.to_vec();
    let line = text.get_mut(start..)?.split_mut(is_end).next()?;
    let mut replaced = 0;
    if let [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9'] = line {
        *minor = b'1';
        replaced += 1;
    }
    if let Some(query) = line.iter().position(|&byte| byte == b'?') {
        let raw = line.get_mut(query..)?.iter_mut().filter(|byte| !byte.is_ascii());
        replaced += raw.map(|byte| *byte = b'x').count();
    }
    (replaced > 0).then_some(text)
}
