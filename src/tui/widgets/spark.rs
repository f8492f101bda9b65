//! A line of small columns: how a number went.

use super::Glyphs;

/// The last `width` values of a series, scaled to its largest one; zero is blank. Shorter series start at the right.
#[must_use]
pub fn spark(series: &[u64], width: usize, glyphs: &Glyphs) -> String {
    let shown = &series[series.len().saturating_sub(width)..];
    let top = shown.iter().copied().max().unwrap_or(0);
    let mut out = " ".repeat(width - shown.len());
    out.extend(shown.iter().map(|v| level(*v, top, glyphs)));
    out
}

/// One value as a column, on a scale from zero to `top`.
#[must_use]
pub fn level(value: u64, top: u64, glyphs: &Glyphs) -> char {
    if value == 0 || top == 0 {
        return ' ';
    }
    let last = glyphs.levels.len() - 1;
    let step = u128::from(value.min(top)) * last as u128 / u128::from(top);
    glyphs.levels[usize::try_from(step).unwrap_or(last).min(last)]
}

#[cfg(test)]
mod tests {
    use super::super::UNICODE;
    use super::*;

    #[test]
    fn the_largest_value_is_full() {
        assert_eq!(spark(&[0, 1, 4, 8], 6, &UNICODE), "   ▁▄█");
        assert_eq!(spark(&[9, 9, 0, 1], 2, &UNICODE), " █");
        assert_eq!(spark(&[u64::MAX, 1], 2, &UNICODE), "█▁");
        assert_eq!(spark(&[], 3, &UNICODE), "   ");
    }
}
