//! Records of FastCGI: the same however their bytes are cut.
#![no_main]

use ecohttpd_fuzz::fastcgi::{Piece, Records};

/// Output, errors, and the ends.
type Read = (Vec<u8>, Vec<u8>, Vec<(u32, u8)>);

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Read, Option<&'static str>) {
    let mut records = Records::default();
    let mut read = Read::default();
    for mut input in pieces {
        loop {
            let before = input.len();
            match records.take(&mut input) {
                Ok(Piece::More) => {
                    assert!(input.is_empty());
                    break;
                }
                Ok(Piece::Output(bytes)) => read.0.extend_from_slice(bytes),
                Ok(Piece::Error(bytes)) => read.1.extend_from_slice(bytes),
                Ok(Piece::End { status, refusal }) => read.2.push((status, refusal)),
                Err(why) => return (read, Some(why)),
            }
            assert!(input.len() < before, "it goes on");
        }
    }
    (read, None)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = read([data]);
    assert_eq!(whole, read(data.chunks(1)), "byte by byte");
    assert_eq!(whole, read(data.chunks(data.len() / 2 + 1)), "in halves");
});
