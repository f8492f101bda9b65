//! Days and times as text: `2026-11-21`, `2026-11-21T09:00:00`, with 3, 6 or 9 digits of a fraction where it is not
//! zero.
//!
//! Every value can be written, also those that no calendar library knows: a year outside 0 to 9999 has a sign and at
//! least four digits, as ISO 8601 asks for.

use super::pen::{PIECE, Pen};
use arrow_schema::TimeUnit;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Room that a date or a time needs.
pub(super) const TIME: usize = 2 * PIECE;

/// The text of a day, kept for the next row: times come in order more often than not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    number: i64,
    text: [u8; PIECE],
    len: usize,
}

impl Default for Day {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Day {
    /// The day with this number since 1970-01-01.
    fn of(number: i64) -> Self {
        let (year, month, day) = civil(number);
        let mut text = [0; PIECE];
        let mut len = 0;
        let mut push = |byte: u8| {
            text[len] = byte;
            len += 1;
        };
        let mut digits = 4;
        if !(0..=9999).contains(&year) {
            push(if year < 0 { b'-' } else { b'+' });
            while year.unsigned_abs() / 10_u64.pow(digits) > 0 {
                digits += 1;
            }
        }
        for place in (0..digits).rev() {
            push(digit(year.unsigned_abs() / 10_u64.pow(place)));
        }
        for part in [month, day] {
            push(b'-');
            push(digit(part / 10));
            push(digit(part));
        }
        Self { number, text, len }
    }

    /// Writes a day. Needs room for [`TIME`].
    #[inline]
    #[must_use]
    pub(super) fn write(&mut self, number: i64, at: usize, pen: &mut Pen<'_>) -> usize {
        if self.number != number {
            *self = Self::of(number);
        }
        pen.put(at, &self.text, self.len)
    }

    /// Writes a point in time. Needs room for [`TIME`].
    #[inline]
    #[must_use]
    pub(super) fn write_time(&mut self, value: i64, unit: TimeUnit, at: usize, pen: &mut Pen<'_>) -> usize {
        let (a_second, nanos) = match unit {
            TimeUnit::Second => (1, 1_000_000_000),
            TimeUnit::Millisecond => (1_000, 1_000_000),
            TimeUnit::Microsecond => (1_000_000, 1_000),
            TimeUnit::Nanosecond => (1_000_000_000, 1),
        };
        let (seconds, fraction) = (value.div_euclid(a_second), value.rem_euclid(a_second) * nanos);
        let at = self.write(seconds.div_euclid(DAY), at, pen);
        let second = seconds.rem_euclid(DAY).unsigned_abs();
        let mut piece = *b"T00:00:00";
        for (i, part) in [(1, second / 3600), (4, second / 60 % 60), (7, second % 60)] {
            piece[i] = digit(part / 10);
            piece[i + 1] = digit(part);
        }
        let at = pen.put(at, &piece, piece.len());
        if fraction == 0 { at } else { write_fraction(fraction.unsigned_abs(), at, pen) }
    }
}

/// Writes nanoseconds as 3, 6 or 9 digits.
fn write_fraction(nanos: u64, at: usize, pen: &mut Pen<'_>) -> usize {
    let mut piece = *b".000000000";
    let mut rest = nanos;
    for byte in piece[1..].iter_mut().rev() {
        *byte = digit(rest);
        rest /= 10;
    }
    let len = match nanos {
        n if n % 1_000_000 == 0 => 4,
        n if n % 1_000 == 0 => 7,
        _ => 10,
    };
    pen.put(at, &piece, len)
}

/// The last digit of a number.
const fn digit(n: u64) -> u8 {
    b'0' + (n % 10) as u8
}

/// Year, month and day of a day number, by the calendar of today in all times.
///
/// Years begin in March here, so that the day that some years lack is the last one of a year, and eras of 400 years are
/// all alike.
fn civil(number: i64) -> (i64, u64, u64) {
    // i64::MIN days are no value of any type: the shift cannot overflow for seconds or smaller units.
    let days = number.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097).unsigned_abs();
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era.cast_signed() + late, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Array, Date32Array, PrimitiveArray, TimestampMicrosecondArray, types};
    use arrow_cast::display::{ArrayFormatter, FormatOptions};
    use proptest::prelude::*;

    /// What `write` writes.
    fn text(write: impl FnOnce(usize, &mut Pen<'_>) -> usize) -> String {
        let mut out = Vec::new();
        let (mut pen, at) = Pen::new(&mut out);
        pen.room(at, TIME);
        let at = write(at, &mut pen);
        pen.finish(at);
        String::from_utf8(out).unwrap()
    }

    fn time(value: i64, unit: TimeUnit) -> String {
        text(|at, pen| Day::default().write_time(value, unit, at, pen))
    }

    fn arrows(array: &dyn Array) -> Option<String> {
        let options = FormatOptions::new().with_display_error(false);
        ArrayFormatter::try_new(array, &options).unwrap().value(0).try_to_string().ok()
    }

    #[test]
    fn days_of_all_years() {
        let mut day = Day::default();
        for number in (-800_000..3_000_000).step_by(37).chain([-1, 0, 1, 59, 60, 11_016, 20_778]) {
            let want = arrows(&Date32Array::from(vec![number])).unwrap();
            assert_eq!(text(|at, pen| day.write(number.into(), at, pen)), want, "{number}");
        }
        assert_eq!(text(|at, pen| day.write(20_778, at, pen)), "2026-11-21");
    }

    #[test]
    fn fractions_have_three_six_or_nine_digits() {
        let second = 20_778 * DAY + 9 * 3600;
        let micro = second * 1_000_000;
        assert_eq!(time(micro, TimeUnit::Microsecond), "2026-11-21T09:00:00");
        assert_eq!(time(micro + 250_000, TimeUnit::Microsecond), "2026-11-21T09:00:00.250");
        assert_eq!(time(micro + 1, TimeUnit::Microsecond), "2026-11-21T09:00:00.000001");
        assert_eq!(time(micro * 1_000 + 1, TimeUnit::Nanosecond), "2026-11-21T09:00:00.000000001");
        assert_eq!(time(second, TimeUnit::Second), "2026-11-21T09:00:00");
        assert_eq!(time(-1, TimeUnit::Millisecond), "1969-12-31T23:59:59.999");
    }

    #[test]
    fn no_value_is_too_large() {
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            for value in [i64::MIN, i64::MIN + 1, i64::MAX] {
                let text = time(value, unit);
                assert!(text.contains('T') && text.len() <= 2 * PIECE, "{text}");
            }
        }
        assert_eq!(time(i64::MAX, TimeUnit::Second), "+292277026596-12-04T15:30:07");
        assert_eq!(time(i64::MAX, TimeUnit::Microsecond), "+294247-01-10T04:00:54.775807");
    }

    /// Compares with arrow where it knows the value.
    fn check<T: types::ArrowTimestampType>(value: i64) {
        if let Some(want) = arrows(&PrimitiveArray::<T>::from_iter_values([value])) {
            assert_eq!(time(value, T::UNIT), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn times_are_written_as_arrow_writes_them(value: i64, shift in 0_u32..40) {
            let value = value >> shift;
            check::<types::TimestampSecondType>(value);
            check::<types::TimestampMillisecondType>(value);
            check::<types::TimestampMicrosecondType>(value);
            check::<types::TimestampNanosecondType>(value);
        }
    }

    #[test]
    fn a_day_that_is_kept_is_not_taken_for_another() {
        let values = [0, DAY - 1, DAY, 2 * DAY, -1, 0].map(|s| s * 1_000_000);
        let mut day = Day::default();
        for value in values {
            let want = arrows(&TimestampMicrosecondArray::from(vec![value])).unwrap();
            assert_eq!(text(|at, pen| day.write_time(value, TimeUnit::Microsecond, at, pen)), want);
        }
    }
}
