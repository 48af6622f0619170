//! A chunked body: the same however it is cut, and what it holds survives being coded again.
#![no_main]

use ecohttpd_fuzz::http::{CHUNK_END, Decoder, Framing, LAST_CHUNK, chunk_head};

/// The payload, how many bytes of the input were the body, and whether it was whole; or the status of its refusal.
type Verdict = Result<(Vec<u8>, usize, bool), u16>;

fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut payload, mut used) = (Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() && !decoder.is_done() {
            let step = decoder.decode(piece).map_err(|reject| reject.status)?;
            assert!(step.used > 0 && step.start <= step.end && step.end <= step.used && step.used <= piece.len());
            payload.extend_from_slice(&piece[step.start..step.end]);
            used += step.used;
            piece = &piece[step.used..];
        }
    }
    Ok((payload, used, decoder.is_done()))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = feed([data]);
    assert_eq!(whole, feed(data.chunks(1)), "byte by byte");
    assert_eq!(whole, feed(data.chunks(data.len() / 2 + 1)), "in halves");
    let Ok((payload, _, _)) = whole else { return };
    let mut coded = Vec::new();
    for piece in payload.chunks(7) {
        chunk_head(&mut coded, piece.len() as u64);
        coded.extend_from_slice(piece);
        coded.extend_from_slice(CHUNK_END);
    }
    coded.extend_from_slice(LAST_CHUNK);
    let length = coded.len();
    coded.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert_eq!(feed([&coded[..]]), Ok((payload, length, true)));
});
