//! Sixty-four bytes at once: which of them equal a byte, as the bits of one word.
//!
//! In plain words of eight bytes: the instructions that machines have for this cannot be called without `unsafe`.

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x7f * ONES;
/// Multiplied with one bit in each byte, gathers them in the highest byte.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// Bytes of a chunk, ready to be compared.
pub(super) struct Block([u64; 8]);

impl Block {
    /// The bytes at an offset; behind the end they are missing. Answers as well which of the bits are valid.
    #[inline]
    pub(super) fn load(bytes: &[u8], at: usize) -> (Self, u64) {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(block) = rest.first_chunk() {
            return (Self::of(block), u64::MAX);
        }
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        (Self::of(&block), (1 << rest.len()) - 1)
    }

    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let (words, _) = block.as_chunks::<8>();
        Self(std::array::from_fn(|i| u64::from_le_bytes(words[i])))
    }

    /// Bit `i` is set if byte `i` is `needle`.
    #[inline]
    pub(super) fn equal(&self, needle: u8) -> u64 {
        let needles = u64::from(needle) * ONES;
        self.0.iter().enumerate().fold(0, |bits, (i, word)| {
            let differs = word ^ needles;
            // The highest bit of each byte, set if all of the byte is zero: exact, no borrow crosses a byte.
            let zero = !(((differs & LOW) + LOW) | differs | LOW);
            bits | ((zero >> 7).wrapping_mul(GATHER) >> 56) << (8 * i)
        })
    }
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
