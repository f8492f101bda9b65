//! A horizontal bar in eighths of a cell.

use super::Glyphs;

/// A bar of exactly `width` columns, `share` (0 to 1) of it full.
#[must_use]
pub fn bar(share: f64, width: usize, glyphs: &Glyphs) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * width as f64 * 8.0).round() as usize;
    let (full, part) = (eighths / 8, eighths % 8);
    let mut out: String = std::iter::repeat_n(glyphs.eighths[7], full).collect();
    if part > 0 {
        out.push(glyphs.eighths[part - 1]);
    }
    let used = full + usize::from(part > 0);
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    out
}

/// A share as `61%`, never more than 100.
#[must_use]
pub fn percent(share: f64) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    format!("{:.0}%", (share * 100.0).floor())
}

#[cfg(test)]
mod tests {
    use super::super::{ASCII, UNICODE};
    use super::*;

    #[test]
    fn bars_fill_from_the_left() {
        assert_eq!(bar(0.0, 4, &UNICODE), "    ");
        assert_eq!(bar(0.5, 4, &UNICODE), "██  ");
        assert_eq!(bar(0.61, 4, &UNICODE), "██▌ ");
        assert_eq!(bar(7.0, 4, &UNICODE), "████");
        assert_eq!(bar(f64::NAN, 2, &UNICODE), "  ");
        assert_eq!(bar(0.6, 10, &ASCII), "######    ");
    }

    #[test]
    fn unfinished_work_never_shows_a_full_hundred() {
        assert_eq!(percent(0.999), "99%");
        assert_eq!(percent(1.0), "100%");
    }
}
