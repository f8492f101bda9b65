//! Sizes as people write them: a whole number and a unit. A size without a unit is refused: nobody knows which was meant.

const UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// Bytes of a size with its unit; whole numbers only. `None`: it is not such a size, or too large to count.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// A size in the largest unit that holds it without a fraction.
pub(super) fn format_size(bytes: u64) -> String {
    let fits = |factor: u64| bytes >= factor && bytes.is_multiple_of(factor);
    let (unit, factor) = UNITS.into_iter().rev().filter(|(_, f)| fits(*f)).max_by_key(|(_, f)| *f).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("10MB"), Some(10_000_000));
        assert_eq!(parse_size("1 GiB"), Some(1 << 30));
        assert_eq!(
            (parse_size("10"), parse_size("MB"), parse_size("99999999TiB"), parse_size("-1B")),
            (None, None, None, None)
        );
        assert_eq!(
            (format_size(0), format_size(4096), format_size(10_000_000)),
            ("0B".into(), "4KiB".into(), "10MB".into())
        );
    }
}
