//! Decoding field blocks: RFC 7541 §3, §5 and §6.

use super::dynamic_table::DynamicTable;
use super::huffman;
use super::limits::TABLE;
use super::static_table::ENTRIES;

/// The state of the fields that a client sends.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// The largest size that the client may set.
    limit: usize,
}

/// Bytes of an integer behind its prefix; no number in a block needs more.
const INTEGER: u32 = 4;

impl Default for Decoder {
    fn default() -> Self {
        Decoder { table: DynamicTable::new(TABLE), limit: TABLE }
    }
}

impl Decoder {
    /// Frees memory that is not used.
    pub fn rest(&mut self) {
        self.table.rest();
    }

    /// Decodes a whole block, and passes on each name and value; `None` if it is malformed.
    ///
    /// After that the table is not that of the client any more.
    pub fn decode(&mut self, mut block: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
        let mut text = Vec::new();
        let mut begun = false;
        while let Some(&first) = block.first() {
            if first & 0xe0 == 0x20 {
                let max = integer(&mut block, 5)?;
                // RFC 7541 §4.2: at the beginning only.
                if begun || max > self.limit {
                    return None;
                }
                self.table.set_max(max);
                continue;
            }
            begun = true;
            if first & 0x80 != 0 {
                let (name, value) = self.field(integer(&mut block, 7)?)?;
                each(name, value);
                continue;
            }
            let indexed = first & 0x40 != 0;
            let index = integer(&mut block, if indexed { 6 } else { 4 })?;
            text.clear();
            match index {
                0 => string(&mut block, &mut text)?,
                index => text.extend_from_slice(self.field(index)?.0),
            }
            let name = text.len();
            string(&mut block, &mut text)?;
            let (name, value) = text.split_at_checked(name)?;
            each(name, value);
            if indexed {
                self.table.add(name, value);
            }
        }
        Some(())
    }

    fn field(&self, index: usize) -> Option<(&[u8], &[u8])> {
        match ENTRIES.get(index.checked_sub(1)?) {
            Some((name, value)) => Some((name.as_bytes(), value.as_bytes())),
            None => self.table.get(index - 1 - ENTRIES.len()),
        }
    }
}

/// Reads an integer with a prefix of `bits` bits (RFC 7541 §5.1).
fn integer(block: &mut &[u8], bits: u32) -> Option<usize> {
    let (&first, mut rest) = block.split_first()?;
    let mask = (1 << bits) - 1;
    let mut value = usize::from(first) & mask;
    if value == mask {
        for nth in 0.. {
            let (&byte, tail) = rest.split_first()?;
            rest = tail;
            if nth == INTEGER {
                return None;
            }
            value += usize::from(byte & 0x7f) << (7 * nth);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Some(value)
}

/// Reads a string and appends it (RFC 7541 §5.2).
fn string(block: &mut &[u8], into: &mut Vec<u8>) -> Option<()> {
    let is_huffman = block.first()? & 0x80 != 0;
    let len = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(len)?;
    *block = rest;
    if is_huffman {
        return huffman::decode(text, into).then_some(());
    }
    into.extend_from_slice(text);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Option<String> {
        let mut fields = String::new();
        decoder.decode(block, &mut |name, value| {
            fields.push_str(&format!("{}: {}\n", name.escape_ascii(), value.escape_ascii()));
        })?;
        Some(fields)
    }

    fn table(decoder: &Decoder) -> String {
        let entries = (0..).map_while(|nth| decoder.table.get(nth));
        entries.map(|(name, value)| format!("{}: {}\n", name.escape_ascii(), value.escape_ascii())).collect()
    }

    /// RFC 7541 Appendix C: a size, then each block, what it means, and the table afterwards.
    type Example = (usize, &'static [(&'static str, &'static str, &'static str)]);

    const FIRST: &str = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n";
    const SECOND: &str =
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache\n";
    const THIRD: &str =
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n";
    const FOUND: &str = ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n";
    const FOUND_TABLE: &str = "location: https://www.example.com\ndate: Mon, 21 Oct 2013 20:13:21 GMT\ncache-control: private\n:status: 302\n";
    const MOVED: &str = ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n";
    const MOVED_TABLE: &str = ":status: 307\nlocation: https://www.example.com\ndate: Mon, 21 Oct 2013 20:13:21 GMT\ncache-control: private\n";
    const LAST: &str = ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n";
    const LAST_TABLE: &str = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\ncontent-encoding: gzip\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n";

    #[rustfmt::skip]
    const EXAMPLES: &[Example] = &[
        // C.2.1 to C.2.4
        (4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header\n", "custom-key: custom-header\n")]),
        (4096, &[("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path\n", "")]),
        (4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret\n", "")]),
        (4096, &[("82", ":method: GET\n", "")]),
        // C.3: requests without Huffman coding
        (4096, &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST, ":authority: www.example.com\n"),
            ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND, "cache-control: no-cache\n:authority: www.example.com\n"),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", THIRD, "custom-key: custom-value\ncache-control: no-cache\n:authority: www.example.com\n"),
        ]),
        // C.4: requests with Huffman coding
        (4096, &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST, ":authority: www.example.com\n"),
            ("8286 84be 5886 a8eb 1064 9cbf", SECOND, "cache-control: no-cache\n:authority: www.example.com\n"),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD, "custom-key: custom-value\ncache-control: no-cache\n:authority: www.example.com\n"),
        ]),
        // C.5: responses without Huffman coding, which evict
        (256, &[
            ("4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FOUND, FOUND_TABLE),
            ("4803 3330 37c1 c0bf", MOVED, MOVED_TABLE),
            ("88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31", LAST, LAST_TABLE),
        ]),
        // C.6: responses with Huffman coding
        (256, &[
            ("4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3", FOUND, FOUND_TABLE),
            ("4883 640e ffc1 c0bf", MOVED, MOVED_TABLE),
            ("88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07", LAST, LAST_TABLE),
        ]),
    ];

    #[test]
    fn the_examples_of_appendix_c() {
        for (size, blocks) in EXAMPLES {
            let mut decoder = Decoder { table: DynamicTable::new(*size), limit: *size };
            for (block, fields, after) in *blocks {
                assert_eq!(decode(&mut decoder, &hex(block)).as_deref(), Some(*fields), "{block}");
                assert_eq!(table(&decoder), *after, "{block}");
            }
        }
    }

    /// A block cut at any byte is malformed, or has only its first fields.
    #[test]
    fn cut_blocks() {
        for (size, blocks) in EXAMPLES {
            for (block, fields, _) in *blocks {
                let block = hex(block);
                for cut in 0..block.len() {
                    let mut decoder = Decoder { table: DynamicTable::new(*size), limit: *size };
                    if let Some(some) = decode(&mut decoder, &block[..cut]) {
                        assert!(fields.starts_with(&some), "{some}");
                    }
                }
            }
        }
    }

    #[test]
    fn malformed_blocks() {
        #[rustfmt::skip]
        let rows = [
            ("80", "index 0"),
            ("be", "an index behind both tables"),
            ("ff 80 80 80 80 80 00", "an integer that is too long"),
            ("ff ff ff ff ff 0f", "an integer that overflows"),
            ("7f 80", "a cut integer"),
            ("00 03 61 62", "a cut string"),
            ("00 85 f2 b2 4a 84 ff 01", "a cut string in Huffman coding"),
            ("00 81 ff 01 61", "padding alone"),
            ("3f e2 1f", "a table larger than allowed"),
            ("82 20", "a size behind a field"),
        ];
        for (block, name) in rows {
            assert_eq!(decode(&mut Decoder::default(), &hex(block)), None, "{name}");
        }
        assert_eq!(
            decode(&mut Decoder::default(), &hex("20 3f e1 1f 82")).as_deref(),
            Some(":method: GET\n"),
            "two sizes"
        );
    }

    proptest! {
        #[test]
        fn any_bytes(blocks in proptest::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let mut decoder = Decoder::default();
            for block in &blocks {
                if decode(&mut decoder, block).is_none() {
                    break;
                }
            }
        }
    }
}
