//! The Huffman code of RFC 7541 Appendix B, for decoding.
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols. So the number of codes of each
//! length and the order of the symbols are enough; both fit into less than a page of memory.

/// The longest code, in bits.
const LONGEST: usize = 30;

/// The shortest code, in bits.
const SHORTEST: usize = 5;

/// How many codes there are of each length.
const COUNTS: [u8; LONGEST + 1] =
    [0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];

/// The symbols in the order of their codes. The last code, of the end of a string, has none.
#[rustfmt::skip]
const SYMBOLS: [u8; 256] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98,
    100, 102, 103, 104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    80, 81, 82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34,
    40, 41, 63, 39, 43, 124, 35, 62, 0, 36, 64, 91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131,
    162, 184, 194, 224, 226, 153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134,
    136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233,
    1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180,
    182, 183, 188, 191, 197, 231, 239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207, 234,
    235, 192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221,
    222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17,
    18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249, 10, 13, 22,
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct Length {
    /// The first code that is longer, with zeros behind it, as 32 bits.
    end: u64,
    /// The first code of this length.
    first: u32,
    /// Where its symbol is.
    at: u32,
}

const LENGTHS: [Length; LONGEST + 1] = lengths();

const fn lengths() -> [Length; LONGEST + 1] {
    let mut all = [Length { end: 0, first: 0, at: 0 }; LONGEST + 1];
    let (mut code, mut at, mut length) = (0_u32, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        let count = COUNTS[length] as u32;
        all[length] = Length { end: ((code + count) as u64) << (32 - length), first: code, at };
        code += count;
        at += count;
        length += 1;
    }
    all
}

/// Appends what `input` means; false if it is malformed (RFC 7541 §5.2).
#[must_use]
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut input = input.iter();
    // The lower `have` bits of `bits` are not decoded yet.
    let (mut bits, mut have) = (0_u64, 0_u32);
    loop {
        while have <= 32
            && let Some(byte) = input.next()
        {
            bits = bits << 8 | u64::from(*byte);
            have += 8;
        }
        // Padded with ones, as the end of a string is.
        let window = (if have >= 32 { bits >> (have - 32) } else { ((bits + 1) << (32 - have)) - 1 }) & 0xffff_ffff;
        let mut length = SHORTEST;
        while length < LONGEST && window >= LENGTHS[length].end {
            length += 1;
        }
        if length > have as usize {
            // Fewer than eight bits, all of them ones.
            return have < 8 && window == 0xffff_ffff;
        }
        let Length { first, at, .. } = LENGTHS[length];
        let code = (window >> (32 - length)) as u32;
        let Some(symbol) = SYMBOLS.get((at + code - first) as usize) else { return false };
        out.push(*symbol);
        have -= length as u32;
        bits &= (1 << have) - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(input: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        decode(input, &mut out).then(|| out.escape_ascii().to_string())
    }

    /// The code of each symbol and its length, from the canonical order.
    fn codes() -> Vec<(u32, u32)> {
        let mut codes = vec![(0, 0); 257];
        let mut symbols = SYMBOLS.iter().map(|&symbol| usize::from(symbol)).chain([256]);
        for (length, &count) in COUNTS.iter().enumerate() {
            for nth in 0..u32::from(count) {
                codes[symbols.next().unwrap()] = (LENGTHS[length].first + nth, u32::try_from(length).unwrap());
            }
        }
        codes
    }

    fn encode(text: &[u8]) -> Vec<u8> {
        let codes = codes();
        let mut bits = String::new();
        for &byte in text {
            let (code, length) = codes[usize::from(byte)];
            bits.push_str(&format!("{code:0width$b}", width = length as usize));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes().chunks(8).map(|bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap()).collect()
    }

    /// Rows of RFC 7541 Appendix B: the shortest, the longest, and one of each kind between.
    #[test]
    fn the_code_is_that_of_the_appendix() {
        #[rustfmt::skip]
        let rows = [
            ('0' as usize, 0x0, 5), ('t' as usize, 0x9, 5), (' ' as usize, 0x14, 6), ('u' as usize, 0x2d, 6),
            (':' as usize, 0x5c, 7), ('z' as usize, 0x7b, 7), ('&' as usize, 0xf8, 8), ('Z' as usize, 0xfd, 8),
            ('!' as usize, 0x3f8, 10), ('?' as usize, 0x3fc, 10), ('+' as usize, 0x7fb, 11), ('#' as usize, 0xffa, 12),
            (0, 0x1ff8, 13), ('^' as usize, 0x3ffc, 14), ('{' as usize, 0x7ffe, 15), ('\\' as usize, 0x7fff0, 19),
            (128, 0xfffe6, 20), (255, 0x3ffffee, 26), (249, 0xffffffe, 28),
            (10, 0x3ffffffc, 30), (22, 0x3ffffffe, 30), (256, 0x3fffffff, 30),
        ];
        let codes = codes();
        for (symbol, code, length) in rows {
            assert_eq!(codes[symbol], (code, length), "{symbol}");
        }
        // Nothing is left between the codes, and none is the beginning of another.
        let whole: u64 = codes.iter().map(|(_, length)| 1 << (32 - length)).sum();
        assert_eq!(whole, 1 << 32);
    }

    #[test]
    fn ends_of_strings() {
        #[rustfmt::skip]
        let rows: [(&[u8], Option<&str>, &str); 8] = [
            (&[], Some(""), "nothing"),
            (&[0x1f], Some("a"), "padded with ones"),
            (&[0x1e], None, "padded with something else"),
            (&[0x1f, 0xff], None, "padded with more than seven bits"),
            (&[0xff], None, "padding alone, a whole byte"),
            (&[0xff, 0xff, 0xff, 0xff], None, "the end of a string as a symbol"),
            (&[0xff, 0xff, 0xff, 0xfc], None, "the end of a string in the middle"),
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], Some("www.example.com"), "C.4.1"),
        ];
        for (input, want, name) in rows {
            assert_eq!(decoded(input).as_deref(), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text: Vec<u8>) {
            let mut out = Vec::new();
            prop_assert!(decode(&encode(&text), &mut out));
            prop_assert_eq!(out, text);
        }

        #[test]
        fn what_is_decoded_encodes_to_the_same(input: Vec<u8>) {
            let mut out = Vec::new();
            if decode(&input, &mut out) {
                prop_assert_eq!(encode(&out), input);
            }
        }
    }
}
