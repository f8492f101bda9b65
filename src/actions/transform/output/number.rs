//! Numbers as text, written straight to their place.

use super::pen::{PIECE, Pen};

/// Largest number of eight digits, and one.
const EIGHT: u64 = 100_000_000;
/// Zeros as digits.
const ASCII: u64 = u64::from_le_bytes(*b"00000000");
/// The largest power of ten in 64 bits, and its zeros.
const WORD: (u128, usize) = (10_000_000_000_000_000_000, 19);
/// Most digits behind the point of a decimal; the type allows no more.
const SCALE_MAX: u8 = 76;
/// Room that any number of this module needs: a sign, the digits of 128 bits or of the scale, a point, what is stored
/// too much.
pub(super) const NUMBER: usize = SCALE_MAX as usize + 2 * PIECE;

/// The eight digits of a number below [`EIGHT`], the first one lowest, each as its value.
///
/// The number is halved three times, each time in all halves at once: to 4, to 2, to 1 digit a lane. The factors are
/// inverses that are exact for what a lane can hold.
#[inline]
const fn digits(n: u64) -> u64 {
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// Writes a number below [`EIGHT`] without leading zeros.
#[inline]
fn leading(n: u64, at: usize, pen: &mut Pen<'_>) -> usize {
    let digits = digits(n);
    // The last digit always counts, also a zero.
    let zeros = (digits | (1 << 56)).trailing_zeros() / 8;
    pen.put(at, &((digits | ASCII) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize)
}

/// Writes a number below [`EIGHT`] with its leading zeros.
#[inline]
fn eight(n: u64, at: usize, pen: &mut Pen<'_>) -> usize {
    pen.put(at, &(digits(n) | ASCII).to_le_bytes(), 8)
}

/// Writes a whole number. Needs room for [`NUMBER`].
#[inline]
#[must_use]
pub(super) fn unsigned(n: u64, at: usize, pen: &mut Pen<'_>) -> usize {
    if n < EIGHT { leading(n, at, pen) } else { unsigned_long(n, at, pen) }
}

/// The same for a number of more than eight digits.
#[inline(never)]
fn unsigned_long(n: u64, at: usize, pen: &mut Pen<'_>) -> usize {
    let high = n / EIGHT;
    let at = if high < EIGHT {
        leading(high, at, pen)
    } else {
        let at = leading(high / EIGHT, at, pen);
        eight(high % EIGHT, at, pen)
    };
    eight(n % EIGHT, at, pen)
}

/// Writes a whole number. Needs room for [`NUMBER`].
#[inline]
#[must_use]
pub(super) fn signed(n: i64, at: usize, pen: &mut Pen<'_>) -> usize {
    let at = pen.put(at, b"-", usize::from(n < 0));
    unsigned(n.unsigned_abs(), at, pen)
}

/// Writes the last `len` digits of a number, with leading zeros; at most 24.
#[inline]
fn padded(n: u64, len: usize, at: usize, pen: &mut Pen<'_>) -> usize {
    let mut piece = [0; PIECE];
    let parts = [n / EIGHT / EIGHT, n / EIGHT % EIGHT, n % EIGHT];
    for (place, part) in piece.chunks_exact_mut(8).zip(parts) {
        place.copy_from_slice(&(digits(part) | ASCII).to_le_bytes());
    }
    piece.copy_within(24 - len..24, 0);
    pen.put(at, &piece, len)
}

/// Numbers with at most this many places are written without a search for the shortest form.
const PLACES: f64 = 10_000.0;
/// Digits that a double holds exactly: two numbers of so many are never the same double.
const EXACT: f64 = 1e15;

/// Writes a number in shortest form: the fewest digits that are read back as the same number, a whole number with `.0`,
/// large and small ones as `1e16` and `1.5e-7`; `NaN`, `inf` and `-inf`. Needs room for [`NUMBER`].
#[inline]
#[must_use]
pub(super) fn float(x: f64, at: usize, pen: &mut Pen<'_>) -> usize {
    let scaled = x.abs() * PLACES;
    if scaled < EXACT {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 1e15, and not negative")]
        let n = (scaled + 0.5) as u64;
        // A number of so few digits that is this double is its shortest form: no other such number is.
        #[expect(clippy::cast_precision_loss, reason = "below 1e15")]
        if n as f64 / PLACES == x.abs() {
            return places(n, x.is_sign_negative(), at, pen);
        }
    }
    shortest(x, at, pen)
}

/// The same for any number.
#[inline(never)]
fn shortest(x: f64, at: usize, pen: &mut Pen<'_>) -> usize {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format(x).as_bytes();
    if x.abs() >= 1e16 && x.is_finite() {
        return large(text, at, pen);
    }
    pen.long(at, text)
}

/// Writes ten-thousandths, without zeros behind the first place.
#[inline]
fn places(n: u64, negative: bool, at: usize, pen: &mut Pen<'_>) -> usize {
    let at = pen.put(at, b"-", negative.into());
    let at = unsigned(n / 10_000, at, pen);
    let rest = digits(n % 10_000) >> 32;
    // The last digit that counts is the highest byte that is not zero; the first one always counts.
    let len = 4 - (rest | 1).leading_zeros().saturating_sub(32) as usize / 8;
    let [a, b, c, d, ..] = (rest | ASCII).to_le_bytes();
    pen.put(at, &[b'.', a, b, c, d], 1 + len)
}

/// Writes `1e+16` as `1e16`.
#[cold]
fn large(text: &[u8], at: usize, pen: &mut Pen<'_>) -> usize {
    let plus = text.iter().position(|b| *b == b'+').unwrap_or(text.len());
    let at = pen.long(at, &text[..plus]);
    pen.long(at, text.get(plus + 1..).unwrap_or_default())
}

/// How decimals of one column are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    places: usize,
    /// Ten to the power of the places.
    power: u128,
    /// The same, where that fits.
    small: Option<u64>,
}

impl Scale {
    /// For this many places, if a decimal of 128 bits can have them.
    pub(super) fn new(places: i8) -> Option<Self> {
        let places = u8::try_from(places).ok().filter(|p| *p <= 38)?;
        let power = 10_u128.pow(places.into());
        Some(Self { places: places.into(), power, small: u64::try_from(power).ok() })
    }

    /// Writes a decimal with all its places. Needs room for [`NUMBER`].
    #[inline]
    #[must_use]
    pub(super) fn write(self, value: i128, at: usize, pen: &mut Pen<'_>) -> usize {
        let at = pen.put(at, b"-", usize::from(value < 0));
        let value = value.unsigned_abs();
        let (Ok(small), Some(power)) = (u64::try_from(value), self.small) else {
            return self.write_wide(value, at, pen);
        };
        let at = unsigned(small / power, at, pen);
        if self.places == 0 {
            return at;
        }
        let at = pen.byte(at, b'.');
        padded(small % power, self.places, at, pen)
    }

    /// The same for a value that does not fit into 64 bits.
    fn write_wide(self, value: u128, at: usize, pen: &mut Pen<'_>) -> usize {
        let mut at = wide(value / self.power, at, pen);
        if self.places == 0 {
            return at;
        }
        at = pen.byte(at, b'.');
        let rest = value % self.power;
        // The low words hold 19 digits each; what is left of the places is above them.
        let mut left = self.places;
        if left > WORD.1 {
            at = padded(low(rest / WORD.0), left - WORD.1, at, pen);
            left = WORD.1;
        }
        padded(low(rest % WORD.0), left, at, pen)
    }
}

/// A number below ten to the power of 19.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of a division by 10^19, or what is left above it")]
const fn low(n: u128) -> u64 {
    n as u64
}

/// Writes a whole number of 128 bits.
fn wide(n: u128, at: usize, pen: &mut Pen<'_>) -> usize {
    if let Ok(small) = u64::try_from(n) {
        return unsigned(small, at, pen);
    }
    let high = n / WORD.0;
    let at = if high >= WORD.0 {
        let at = unsigned(low(high / WORD.0), at, pen);
        padded(low(high % WORD.0), WORD.1, at, pen)
    } else {
        unsigned(low(high), at, pen)
    };
    padded(low(n % WORD.0), WORD.1, at, pen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::{Decimal128Type, DecimalType};
    use arrow_array::{Float64Array, Int64Array};
    use arrow_cast::display::array_value_to_string;
    use proptest::prelude::*;

    /// What `write` writes.
    fn text(write: impl FnOnce(usize, &mut Pen<'_>) -> usize) -> String {
        let mut out = Vec::new();
        let (mut pen, at) = Pen::new(&mut out);
        pen.room(at, NUMBER);
        let at = write(at, &mut pen);
        pen.finish(at);
        String::from_utf8(out).unwrap()
    }

    fn check_int(n: i64) {
        assert_eq!(text(|at, pen| signed(n, at, pen)), n.to_string());
        assert_eq!(text(|at, pen| signed(n, at, pen)), array_value_to_string(&Int64Array::from(vec![n]), 0).unwrap());
        let n = n.cast_unsigned();
        assert_eq!(text(|at, pen| unsigned(n, at, pen)), n.to_string());
    }

    fn check_float(x: f64) {
        let got = text(|at, pen| float(x, at, pen));
        assert_eq!(got, array_value_to_string(&Float64Array::from(vec![x]), 0).unwrap());
        let back: f64 = got.parse().unwrap();
        assert!(back.to_bits() == x.to_bits() || (back.is_nan() && x.is_nan()), "{x:?} {got}");
    }

    fn check_decimal(value: i128, places: i8) {
        let got = text(|at, pen| Scale::new(places).unwrap().write(value, at, pen));
        assert_eq!(got, Decimal128Type::format_decimal(value, 38, places), "{value} {places}");
    }

    #[test]
    fn every_number_of_digits_is_whole() {
        let mut power = 1_i64;
        loop {
            for near in -11..=11 {
                check_int(power.saturating_add(near));
                check_int(power.saturating_neg().saturating_add(near));
            }
            let Some(next) = power.checked_mul(10) else { break };
            power = next;
        }
        for n in [0, i64::MAX, i64::MIN, i64::MIN + 1, 99_999_999, 100_000_000] {
            check_int(n);
        }
        assert_eq!(text(|at, pen| unsigned(u64::MAX, at, pen)), "18446744073709551615");
        // All numbers of four digits: every value that a lane can hold.
        for n in 0..10_000 {
            check_int(n);
            check_int(n * 10_000);
            check_int(n * 10_000 + 1);
        }
    }

    #[test]
    fn floats_are_written_as_arrow_writes_them() {
        let special = [0.0, -0.0, 1.0, -3.5, 0.1, 1e15, 1e16, -1e16, 1.5e16, 1e-5, 1e-6, 1.5e-7, 1e300, 5e-324];
        let edges = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, f64::EPSILON];
        for x in special.into_iter().chain(edges) {
            check_float(x);
        }
        let mut x = 1.234_567_890_123_456_7e-308;
        while x < 1e308 {
            check_float(x);
            check_float(-x);
            check_float(x.round());
            x *= 9.87;
        }
        assert_eq!(text(|at, pen| float(3.0, at, pen)), "3.0");
        assert_eq!(text(|at, pen| float(1e16, at, pen)), "1e16");
        assert_eq!(text(|at, pen| float(f64::NEG_INFINITY, at, pen)), "-inf");
        assert_eq!(text(|at, pen| float(f64::NAN, at, pen)), "NaN");
    }

    #[test]
    fn decimals_keep_all_their_places() {
        assert_eq!(text(|at, pen| Scale::new(2).unwrap().write(-5, at, pen)), "-0.05");
        assert_eq!(text(|at, pen| Scale::new(2).unwrap().write(1250, at, pen)), "12.50");
        assert_eq!(text(|at, pen| Scale::new(0).unwrap().write(1250, at, pen)), "1250");
        assert!(Scale::new(-1).is_none() && Scale::new(39).is_none());
        let most = 10_i128.pow(38) - 1;
        for places in 0..=38 {
            for value in [0, 1, -1, 9, 10, 99, i64::MAX.into(), i128::from(u64::MAX) + 1, most, -most, most / 10 + 7] {
                check_decimal(value, places);
            }
            check_decimal(10_i128.pow(places.unsigned_abs().into()).min(most), places);
        }
        // More than the type allows is still written, and breaks nothing.
        let text = text(|at, pen| Scale::new(38).unwrap().write(i128::MIN, at, pen));
        assert_eq!(text, "-1.70141183460469231731687303715884105728");
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_others_write_it(
            n: i64, bits: u64, value in -(10_i128.pow(38) - 1)..10_i128.pow(38), places in 0_i8..=38, shift in 0_u32..64
        ) {
            check_int(n >> shift);
            check_float(f64::from_bits(bits));
            #[expect(clippy::cast_precision_loss, reason = "any number will do")]
            check_float((n >> shift) as f64 / 100.0);
            check_decimal(value >> shift, places);
        }
    }
}
