//! Field blocks, one behind the other on one table, separated by the length before each. What is decoded stays in its bounds.

#![no_main]

use ecohttpd_fuzz::http::h2::fields::RequestFields;
use ecohttpd_fuzz::http::h2::hpack::Decoder;
use libfuzzer_sys::fuzz_target;

/// Bytes that a head may have.
const HEAD: usize = 1000;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::default();
    let mut rest = data;
    while let Some((&len, tail)) = rest.split_first() {
        let (block, tail) = tail.split_at(tail.len().min(len.into()));
        rest = tail;
        let mut fields = RequestFields::new(HEAD);
        let mut all = 0;
        let decoded = decoder.decode(block, &mut |name, value| {
            all += name.len() + value.len();
            fields.add(name, value);
        });
        // Each byte of a block means a field of the table at most.
        assert!(all <= block.len().max(1) * 4096);
        if decoded.is_none() {
            return;
        }
        if let Ok(request) = fields.finish(len % 2 == 0) {
            assert!(request.text.len() < HEAD * 6 && request.text.ends_with(b"\r\n\r\n"));
        }
    }
});
