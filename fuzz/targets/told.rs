//! What a worker tells of a process: the same however the bytes are cut, and never an id that means more than one process.
#![no_main]

use ecohttpd_fuzz::told::Told;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Told {
    let mut told = Told::default();
    pieces.into_iter().for_each(|piece| told.push(piece));
    assert!(told.pid.is_none_or(|pid| pid > 1));
    told
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = read([data]);
    assert_eq!(whole, read(data.chunks(1)), "byte by byte");
    assert_eq!(whole, read(data.chunks(data.len() / 2 + 1)), "in halves");
});
