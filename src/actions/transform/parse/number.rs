//! Numbers, read from the bytes of a chunk where they stand.
//!
//! A whole number has no `+`, no point and no exponent; it may start with zeros. A float is what Rust reads as one, but
//! never a number that is too large and would silently be infinite. Nothing is rounded but floats.

const ONES: u64 = 0x0101_0101_0101_0101;
const ZEROS: u64 = b'0' as u64 * ONES;
const HIGH: u64 = 0x80 * ONES;
/// Most digits of a number that 64 bits hold exactly as a float.
const EXACT_DIGITS: u32 = 15;
/// Most digits of a decimal.
pub(super) const PRECISION_MAX: u8 = 38;

const fn powers<const N: usize>() -> [u64; N] {
    let mut out = [1; N];
    let mut i = 1;
    while i < N {
        out[i] = out[i - 1] * 10;
        i += 1;
    }
    out
}

const POWERS: [u64; 20] = powers();
/// Exact as floats: the product or quotient of two exact floats is the nearest float.
const FLOAT_POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Eight bytes from `at` on; `None` where the bytes end earlier.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The number that the first `len` bytes of a word make as digits, 1 to 8 of them.
#[inline]
fn digits(word: u64, len: usize) -> Option<u64> {
    // The last digit goes to the highest byte, what is behind it away, zeros in front.
    let mut v = (word ^ ZEROS) << (64 - 8 * len);
    if (v.wrapping_add(0x7676_7676_7676_7676) | v) & HIGH != 0 {
        return None;
    }
    v = v.wrapping_mul(10).wrapping_add(v >> 8);
    let (low, high) = (v & 0x0000_00ff_0000_00ff, (v >> 16) & 0x0000_00ff_0000_00ff);
    Some(low.wrapping_mul(0x000f_4240_0000_0064).wrapping_add(high.wrapping_mul(0x0000_2710_0000_0001)) >> 32)
}

/// A whole number of 64 bits, at a place in a text.
#[inline]
#[expect(clippy::cast_possible_wrap, reason = "8 digits are less than 63 bits")]
pub(super) fn int_at(bytes: &[u8], start: usize, end: usize) -> Option<i64> {
    let negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let len = end.wrapping_sub(first);
    if len.wrapping_sub(1) < 8
        && let Some(n) = word_at(bytes, first).and_then(|word| digits(word, len))
    {
        return Some(if negative { -(n as i64) } else { n as i64 });
    }
    long_int_at(bytes, start, end)
}

#[inline(never)]
#[expect(clippy::cast_possible_wrap, reason = "16 digits are less than 63 bits")]
fn long_int_at(bytes: &[u8], start: usize, end: usize) -> Option<i64> {
    let negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let len = end.wrapping_sub(first);
    if (9..=16).contains(&len)
        && let (Some(high), Some(low)) = (word_at(bytes, first), word_at(bytes, first + 8))
        && let (Some(high), Some(low)) = (digits(high, 8), digits(low, len - 8))
    {
        let n = (high * POWERS[len - 8] + low) as i64;
        return Some(if negative { -n } else { n });
    }
    int(bytes.get(start..end)?)
}

/// A whole number of 64 bits.
#[cold]
pub(super) fn int(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok().filter(|t| !t.starts_with('+'))?.parse().ok()
}

/// A number of double precision, at a place in a text, with a decimal point of one's own.
#[inline]
pub(super) fn float_at(bytes: &[u8], start: usize, end: usize, point: u8) -> Option<f64> {
    let negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let len = end.wrapping_sub(first);
    if len.wrapping_sub(1) < 8
        && let Some(value) = word_at(bytes, first).and_then(|word| short_float(word, len, point))
    {
        return Some(if negative { -value } else { value });
    }
    float(bytes.get(start..end)?, point)
}

/// The number that the first `len` bytes of a word make, 1 to 8 of them, with a point or without.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "8 digits are exact")]
fn short_float(word: u64, len: usize, point: u8) -> Option<f64> {
    let differs = word ^ (u64::from(point) * ONES);
    // The highest bit of each byte that is a point.
    let points = !(((differs & !HIGH) + !HIGH) | differs) & HIGH & (u64::MAX >> (64 - 8 * len));
    if points == 0 {
        return Some(digits(word, len)? as f64);
    }
    let at = points.trailing_zeros() as usize / 8;
    if len == 1 {
        return None;
    }
    // What is behind the point goes one byte forward, over it. A second point is no digit.
    let before = word & ((1 << (8 * at)) - 1);
    let behind = (word >> (8 * at) >> 8) << (8 * at);
    Some(digits(before | behind, len - 1)? as f64 / FLOAT_POWERS[len - 1 - at])
}

/// A number of double precision.
pub(super) fn float(text: &[u8], point: u8) -> Option<f64> {
    exact_float(text, point).or_else(|| any_float(text, point))
}

/// A number with so few digits that it is exact, or one exact division away from what it is.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "EXACT_DIGITS are exact")]
fn exact_float(text: &[u8], point: u8) -> Option<f64> {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mut mantissa, mut count, mut behind, mut seen) = (0_u64, 0_u32, 0_usize, false);
    if magnitude.len() > EXACT_DIGITS as usize + 1 {
        return None;
    }
    for b in magnitude {
        let digit = b.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
            count += 1;
            behind += usize::from(seen);
        } else if *b == point && !seen {
            seen = true;
        } else {
            return None;
        }
    }
    if count == 0 || count > EXACT_DIGITS {
        return None;
    }
    let value = mantissa as f64 / FLOAT_POWERS[behind];
    Some(if negative { -value } else { value })
}

#[cold]
fn any_float(text: &[u8], point: u8) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: f64 = if point == b'.' {
        text.parse().ok()?
    } else if text.contains('.') {
        return None;
    } else {
        text.replacen(char::from(point), ".", 1).parse().ok()?
    };
    // A number that is written with digits is finite.
    (value.is_finite() || !text.bytes().any(|b| b.is_ascii_digit())).then_some(value)
}

/// What a decimal cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecimalError {
    /// It is no number, or written with an exponent.
    NotANumber,
    /// It has digits behind its last place.
    TooFine,
    /// It has too many digits in front of the point.
    TooLarge,
}

/// A number with `scale` digits behind the point and `precision` in all, as a count of its last place.
pub(super) fn decimal(text: &[u8], precision: u8, scale: i8, point: u8) -> Result<i128, DecimalError> {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let scale = u32::try_from(scale).unwrap_or(0);
    let (mut value, mut behind, mut seen, mut any) = (0_i128, 0, false, false);
    let mut error = None;
    for b in magnitude {
        if *b == point && !seen {
            seen = true;
            continue;
        }
        let digit = i128::from(b.wrapping_sub(b'0'));
        if digit > 9 {
            return Err(DecimalError::NotANumber);
        }
        any = true;
        if seen && behind == scale {
            if digit != 0 {
                error = error.or(Some(DecimalError::TooFine));
            }
            continue;
        }
        behind += u32::from(seen);
        match value.checked_mul(10).and_then(|v| v.checked_add(digit)) {
            Some(next) => value = next,
            None => error = Some(DecimalError::TooLarge),
        }
    }
    if !any {
        return Err(DecimalError::NotANumber);
    }
    if let Some(error) = error {
        return Err(error);
    }
    let value = value.checked_mul(10_i128.pow(scale - behind)).ok_or(DecimalError::TooLarge)?;
    if value >= 10_i128.pow(u32::from(precision.min(PRECISION_MAX))) {
        return Err(DecimalError::TooLarge);
    }
    Ok(if negative { -value } else { value })
}

/// `true` or `false`, in any case.
#[inline]
pub(super) fn bool(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn int_within(text: &str, behind: &str) -> Option<i64> {
        let whole = format!("9{text}{behind}");
        int_at(whole.as_bytes(), 1, 1 + text.len())
    }

    /// What a whole number is, said in another way.
    fn plain_int(text: &str) -> Option<i64> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn whole_numbers_are_read_at_every_length(n in any::<i64>(), shift in 0_u32..64, behind in "[,0-9]{0,12}") {
            let text = (n >> shift).to_string();
            prop_assert_eq!(int_within(&text, &behind), Some(n >> shift));
        }

        #[test]
        fn only_whole_numbers_are_whole_numbers(text in "[-+0-9:/. ]{0,20}|[0-9]{1,21}|-?[0-9]{1,7}\\PC", behind in "[,0-9]{0,12}") {
            prop_assert_eq!(int_within(&text, &behind), plain_int(&text));
        }

        #[test]
        fn floats_are_those_of_rust(behind in "[,.0-9]{0,12}", text in "-?[0-9.]{0,9}|-?[0-9]{0,18}\\.?[0-9]{0,18}|[-+]?[0-9.]{0,6}(e[-+]?[0-9]{1,3})?|nan|[-+]?inf|\\PC{0,4}") {
            let expected = text.parse::<f64>().ok().filter(|v| v.is_finite() || !text.bytes().any(|b| b.is_ascii_digit()));
            let found = float(text.as_bytes(), b'.');
            prop_assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{}", text);
            let within = format!("-{text}{behind}");
            let found = float_at(within.as_bytes(), 1, 1 + text.len(), b'.');
            prop_assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{}", within);
            let comma = float(text.replace('.', ",").as_bytes(), b',');
            if !text.contains(',') {
                prop_assert_eq!(comma.map(f64::to_bits), expected.map(f64::to_bits), "{}", text);
            }
        }

        #[test]
        fn decimals_are_exact(units in -99_999_999_i128..=99_999_999, zeros in "0{0,3}") {
            let sign = if units < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:03}{zeros}", units.abs() / 1000, units.abs() % 1000);
            prop_assert_eq!(decimal(text.as_bytes(), 8, 3, b'.'), Ok(units));
        }
    }

    #[test]
    fn floats_keep_to_their_point() {
        assert_eq!(float(b"1,5", b','), Some(1.5));
        assert_eq!(float(b"1.5", b','), None);
        assert_eq!(float(b"1,5", b'.'), None);
        assert_eq!(float(b"1,123456789012345678", b','), Some(1.123_456_789_012_345_7));
        assert_eq!(float(b"1,5,5", b','), None);
        assert_eq!(float(b"1e999", b'.'), None, "too large is not infinite");
        assert_eq!(float(b"-0", b'.').map(f64::to_bits), Some((-0.0_f64).to_bits()));
        assert_eq!(float(b"", b'.'), None);
        assert_eq!(float(b".", b'.'), None);
    }

    #[test]
    fn decimals_are_never_rounded() {
        let of = |text: &str| decimal(text.as_bytes(), 5, 2, b'.');
        assert_eq!(of("123.45"), Ok(12345));
        assert_eq!(of("-7"), Ok(-700));
        assert_eq!(of("+.5"), Ok(50));
        assert_eq!(of("1.500"), Ok(150));
        assert_eq!(of("1.505"), Err(DecimalError::TooFine));
        assert_eq!(of("1234.5"), Err(DecimalError::TooLarge));
        assert_eq!(of("000999.99"), Ok(99999));
        for text in ["", "-", ".", "1.2.3", "1e3", "12x", "1_000"] {
            assert_eq!(of(text), Err(DecimalError::NotANumber), "{text}");
        }
        assert_eq!(of(&"9".repeat(60)), Err(DecimalError::TooLarge));
        assert_eq!(decimal("9".repeat(38).as_bytes(), 38, 0, b'.'), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal(b"1,5", 5, 2, b','), Ok(150));
    }

    #[test]
    fn only_true_and_false_are_bools() {
        assert_eq!(bool(b"TRUE"), Some(true));
        assert_eq!(bool(b"False"), Some(false));
        assert_eq!(bool(b"t"), None);
        assert_eq!(bool(b"1"), None);
    }
}
