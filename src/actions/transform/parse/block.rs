//! Sixty-four bytes at once: which of them equal a byte, as the bits of one word.
//!
//! Written so that a compiler makes vector instructions of it; those themselves cannot be called without `unsafe`.

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// Bytes that are compared at once.
const LANES: usize = 16;

/// Bytes of a chunk, ready to be compared.
pub(super) struct Block([u8; BLOCK]);

/// Bit `n` of byte `m` of the sum of these, where they match, stands for byte `8 * n + m` of a block.
static BITS: [u8; BLOCK] = bits();

const fn bits() -> [u8; BLOCK] {
    let mut out = [0; BLOCK];
    let mut i = 0;
    while i < BLOCK {
        out[i] = 1 << (i / 8);
        i += 1;
    }
    out
}

impl Block {
    /// The bytes at an offset; behind the end they are missing. Answers as well which of the bits are valid.
    #[inline]
    pub(super) fn load(bytes: &[u8], at: usize) -> (Self, u64) {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(block) = rest.first_chunk() {
            return (Self(*block), u64::MAX);
        }
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        (Self(block), (1 << rest.len()) - 1)
    }

    /// Bit `i` is set if byte `i` is `needle`.
    #[inline]
    pub(super) fn equal(&self, needle: u8) -> u64 {
        let mut sum = [0; LANES];
        for (i, sum) in sum.iter_mut().enumerate() {
            let of = |row: usize| if self.0[LANES * row + i] == needle { BITS[LANES * row + i] } else { 0 };
            *sum = of(0) | of(1) | of(2) | of(3);
        }
        let (words, _) = sum.as_chunks();
        transpose(u64::from_le_bytes(words[0]) | u64::from_le_bytes(words[1]))
    }
}

/// Bit `m` of byte `n` from bit `n` of byte `m`.
#[inline]
const fn transpose(x: u64) -> u64 {
    let t = (x ^ (x >> 7)) & 0x00aa_00aa_00aa_00aa;
    let x = x ^ t ^ (t << 7);
    let t = (x ^ (x >> 14)) & 0x0000_cccc_0000_cccc;
    let x = x ^ t ^ (t << 14);
    let t = (x ^ (x >> 28)) & 0x0000_0000_f0f0_f0f0;
    x ^ t ^ (t << 28)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bits_are_those_of_the_bytes(
            bytes in prop::collection::vec(prop::sample::select(vec![0, 1, b',', b'-', 0x7f, 0x80, 0xac, 0xff]), 0..130),
            at in 0_usize..140, needle in prop::sample::select(vec![0_u8, 1, b',', 0x80, 0xac, 0xff])
        ) {
            let rest = bytes.get(at..).unwrap_or_default();
            let (block, valid) = Block::load(&bytes, at);
            let bits = rest.iter().take(BLOCK).enumerate();
            let naive = bits.fold(0, |bits, (i, b)| bits | u64::from(*b == needle) << i);
            prop_assert_eq!(block.equal(needle) & valid, naive);
            prop_assert_eq!(valid.count_ones() as usize, rest.len().min(BLOCK));
        }
    }
}
