//! Finds record ends where quotes are dense, 64 bytes at a time.
//!
//! In each group, one bit a byte says where quotes and where ends of fields and lines are; whether a byte is inside
//! quotes is then the parity of the quotes up to it. That holds only while every quote that opens does so at the start
//! of a field or as the second of a doubled one, which is checked: where it does not hold, the search stops in front of
//! the group, and what is left is for a slower way.

use super::records::Marks;

/// Bytes looked at in one step.
const GROUP: usize = 64;
/// Bytes looked at before a choice between the two ways.
const PROBE: usize = 2048;
/// Quotes are dense if there is one for so many bytes.
const BYTES_PER_QUOTE: usize = 96;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOWS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
/// Gathers the lowest bits of eight bytes in the highest byte.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dense {
    /// Where to go on.
    pub(super) at: usize,
    /// Whether a quoted field is open there.
    pub(super) quoted: bool,
    /// Behind the last end of a record, if there was one.
    pub(super) boundary: Option<usize>,
}

/// Whether it is worth while.
pub(super) fn is_dense(bytes: &[u8], quote: u8) -> bool {
    let probe = &bytes[..bytes.len().min(PROBE)];
    probe.len() > GROUP && memchr::memchr_iter(quote, probe).count() * BYTES_PER_QUOTE > probe.len()
}

/// Searches `bytes` from `at` on, where a quoted field is open or not. The last byte is never looked at, so that
/// whoever goes on sees what is behind a carriage return or a quote.
pub(super) fn search(bytes: &[u8], at: usize, quoted: bool, marks: Marks, quote: u8) -> Dense {
    let delimiter = marks.delimiter.unwrap_or(b'\n');
    let mut found = Dense { at, quoted, boundary: None };
    // All ones while a quoted field is open.
    let mut open = if quoted { u64::MAX } else { 0 };
    // Whether a quote may open a field at the next byte, as the lowest bit.
    let mut may_open = u64::from(at.checked_sub(1).is_none_or(|i| is_end(bytes[i], delimiter)));
    let usable = bytes.len().saturating_sub(1).max(at);
    let mut last_lines = None;
    for group in bytes[at..usable].chunks_exact(GROUP) {
        let (mut quotes, mut ends, mut lines) = (0, 0, 0);
        for (i, word) in group.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            let line = equal(word, b'\n') | equal(word, b'\r');
            quotes |= gather(equal(word, quote)) << (8 * i);
            lines |= gather(line) << (8 * i);
            ends |= gather(line | equal(word, delimiter)) << (8 * i);
        }
        let inside = parity(quotes) ^ open;
        if quotes & inside & !(((ends | quotes) << 1) | may_open) != 0 {
            break;
        }
        let lines = lines & !inside;
        if lines != 0 {
            last_lines = Some((found.at, lines));
        }
        open = 0u64.wrapping_sub(inside >> 63);
        may_open = (ends | quotes) >> 63;
        found.at += GROUP;
    }
    found.boundary = last_lines.map(|(start, lines)| start + GROUP - lines.leading_zeros() as usize);
    found.quoted = open != 0;
    if found.at > at && !found.quoted && bytes[found.at - 1] == quote {
        // Whether it closes or is the first of a doubled one, the next byte tells.
        found.at -= 1;
        found.quoted = true;
    }
    found
}

fn is_end(b: u8, delimiter: u8) -> bool {
    matches!(b, b'\n' | b'\r') || b == delimiter
}

/// The highest bit of each byte that equals `b`.
fn equal(word: u64, b: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(b));
    !(((difference & LOWS) + LOWS) | difference | LOWS)
}

/// The highest bits of the eight bytes, as one byte; all other bits are 0.
fn gather(highs: u64) -> u64 {
    (highs >> 7).wrapping_mul(GATHER) >> 56
}

/// For each bit, whether the count of ones up to it, itself included, is odd.
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { delimiter: Some(b','), quote: Some(b'"') };

    #[test]
    fn words_are_compared_byte_by_byte() {
        let word = u64::from_le_bytes(*b"a\"\x22\x23\xa2\0,\"");
        assert_eq!(gather(equal(word, b'"')), 0b1000_0110);
        assert_eq!(gather(equal(word, 0)), 0b0010_0000);
        assert_eq!(gather(equal(u64::MAX, 0xff)), 0xff);
        assert_eq!(parity(0b0101_0010) & 0xff, 0b1100_1110);
    }

    #[test]
    fn it_stops_where_a_quote_is_plain() {
        let good = "\"a,b\",\"c\"\"d\"\n".repeat(20);
        let found = search(good.as_bytes(), 0, false, MARKS, b'"');
        assert!(found.at >= good.len() / GROUP * GROUP - 1, "{found:?}");
        assert!(found.boundary.is_some_and(|b| good.as_bytes()[b - 1] == b'\n'));
        let stray = good.replacen("\"a,b\"", "a\"b,c", 6);
        assert_eq!(search(stray.as_bytes(), 0, false, MARKS, b'"').at, 0);
    }
}
