//! SHA-1 (RFC 3174). The handshake of a WebSocket needs it to show that the server read the request. It protects nothing.

/// Bytes of a hash.
pub const LEN: usize = 20;

/// Bytes that are hashed at a time.
const BLOCK: usize = 64;

/// Bytes of the length that ends the last block.
const LENGTH: usize = 8;

/// The hash of a text.
pub fn sha1(text: &[u8]) -> [u8; LEN] {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % BLOCK != BLOCK - LENGTH {
        padded.push(0);
    }
    padded.extend_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    for block in padded.as_chunks::<BLOCK>().0 {
        update(&mut state, block);
    }
    let mut hash = [0; LEN];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

/// RFC 3174 §6.2, by the method that keeps sixteen words.
fn update(state: &mut [u32; 5], block: &[u8; BLOCK]) {
    let mut words = [0_u32; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for round in 0..80 {
        let (mixed, constant) = match round / 20 {
            0 => (b & c | !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let at = round % 16;
        if round >= 16 {
            let word = words[(at + 13) % 16] ^ words[(at + 8) % 16] ^ words[(at + 2) % 16] ^ words[at];
            words[at] = word.rotate_left(1);
        }
        let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(words[at]).wrapping_add(constant);
        (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &[u8]) -> String {
        sha1(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 3174 §7.3, and lengths on both sides of the padding's edge.
    #[test]
    fn known_hashes() {
        assert_eq!(hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(two_blocks), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        assert_eq!(hex(&[b'a'; 1_000]), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
        assert_eq!(hex(&b"01234567".repeat(80)), "dea356a2cddd90c7a7ecedc5ebb563934f460452");
    }

    /// By another's implementation.
    #[cfg(feature = "tls")]
    #[test]
    fn every_length_of_three_blocks() {
        for length in 0..3 * BLOCK {
            let text: Vec<u8> = (0..length).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
            let known = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
            assert_eq!(sha1(&text), known.as_ref(), "{length} bytes");
        }
    }
}
