//! How files are called: the next name when one is taken, error records, and temporary files.
//!
//! Guarantees: every name made here fits a file system (255 bytes), also with the ending of its error record; names
//! are bytes and are never cut inside a UTF-8 character; temporary names are made of numbers alone, so that no name
//! from outside can break them.

use crate::model::JobId;
use crate::model::template::split_name;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Longest name of a file, in bytes.
pub const NAME_MAX: usize = 255;
/// What the record of a failed file adds to its name.
pub const RECORD: &str = ".error.json";
/// How the names of our temporary files begin.
pub const TEMP_PREFIX: &str = ".sb-";
/// How they end.
pub const TEMP_SUFFIX: &str = ".part";

/// The names to try for a file, best first: `NAME`, `STEM-2.EXT`, `STEM-3.EXT`, … without end. A name that would not
/// fit with its error record is cut and carries `~JOB` before the extension.
pub fn candidates(name: &OsStr, job: JobId) -> impl Iterator<Item = OsString> + use<> {
    let name = name.to_owned();
    (1_u64..).map(move |n| candidate(&name, job, n))
}

/// The name of the record beside a failed file.
#[must_use]
pub fn error_record_name(name: &OsStr) -> OsString {
    let mut out = name.to_owned();
    out.push(RECORD);
    out
}

/// Name of the `n`th temporary file of an attempt.
#[must_use]
pub fn temp_name(job: JobId, attempt: i64, n: u32) -> OsString {
    OsString::from(format!("{TEMP_PREFIX}{job}-{attempt}-{n}{TEMP_SUFFIX}"))
}

/// Job, attempt and number of a temporary file of ours; none for any other name.
#[must_use]
pub fn parse_temp_name(name: &OsStr) -> Option<(JobId, i64, u32)> {
    let inner = name.to_str()?.strip_prefix(TEMP_PREFIX)?.strip_suffix(TEMP_SUFFIX)?;
    let mut parts = inner.split('-');
    let job = JobId(number(parts.next()?)?);
    let attempt = number(parts.next()?)?;
    let n = u32::try_from(number(parts.next()?)?).ok()?;
    // Written back, it must be the same name: `+1` and `01` parse but are not ours.
    (parts.next().is_none() && temp_name(job, attempt, n) == name).then_some((job, attempt, n))
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|n| *n >= 0)
}

fn candidate(name: &OsStr, job: JobId, n: u64) -> OsString {
    let room = NAME_MAX - RECORD.len();
    let (stem, ext) = split_name(name);
    let mut tail = Vec::new();
    if stem.len() < name.len() {
        tail.push(b'.');
        tail.extend_from_slice(ext.as_bytes());
    }
    let suffix = if n == 1 { String::new() } else { format!("-{n}") };
    if stem.len() + suffix.len() + tail.len() <= room {
        return join(stem.as_bytes(), &suffix, &tail);
    }
    let suffix = format!("{suffix}~{job}");
    // An extension that leaves no room for a stem is none: it is cut like the rest of the name.
    if suffix.len() + tail.len() >= room {
        return join(cut(name.as_bytes(), room - suffix.len()), &suffix, b"");
    }
    join(cut(stem.as_bytes(), room - suffix.len() - tail.len()), &suffix, &tail)
}

fn join(stem: &[u8], suffix: &str, tail: &[u8]) -> OsString {
    OsString::from_vec([stem, suffix.as_bytes(), tail].concat())
}

/// At most `max` bytes, not ending inside a UTF-8 character. Bytes that are no UTF-8 are cut anywhere.
fn cut(raw: &[u8], max: usize) -> &[u8] {
    if raw.len() <= max {
        return raw;
    }
    let is_inner = |b: u8| b & 0xc0 == 0x80;
    let mut end = max;
    while end > 0 && max - end < 4 && is_inner(raw[end]) {
        end -= 1;
    }
    if end == 0 || is_inner(raw[end]) { &raw[..max] } else { &raw[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(name: &str, n: usize) -> Vec<String> {
        candidates(OsStr::new(name), JobId(7)).take(n).map(|c| c.into_string().unwrap()).collect()
    }

    #[test]
    fn the_next_name_counts_before_the_last_dot() {
        assert_eq!(first("orders.csv", 3), ["orders.csv", "orders-2.csv", "orders-3.csv"]);
        assert_eq!(first("a.tar.gz", 2), ["a.tar.gz", "a.tar-2.gz"]);
        assert_eq!(first("README", 2), ["README", "README-2"]);
        assert_eq!(first(".profile", 2), [".profile", ".profile-2"]);
        assert_eq!(first("odd.", 2), ["odd.", "odd-2."]);
    }

    #[test]
    fn a_long_name_is_cut_and_carries_its_job() {
        let long = format!("{}.csv", "a".repeat(251));
        let got = first(&long, 2);
        assert_eq!(got[0], format!("{}~7.csv", "a".repeat(238)));
        assert_eq!(got[1], format!("{}-2~7.csv", "a".repeat(236)));
        // 244 bytes are room enough for the first name, not for the second.
        let edge = format!("{}.csv", "a".repeat(240));
        assert_eq!(first(&edge, 2), [edge.clone(), format!("{}-2~7.csv", "a".repeat(236))]);
        // A Korean character has three bytes; none is split.
        let korean = format!("{}.csv", "가".repeat(83));
        assert_eq!(first(&korean, 1)[0], format!("{}~7.csv", "가".repeat(79)));
        let all_extension = format!("a.{}", "e".repeat(253));
        assert_eq!(first(&all_extension, 1)[0], format!("a.{}~7", "e".repeat(240)));
    }

    #[test]
    fn temporary_names_are_read_back() {
        let name = temp_name(JobId(12), 3, 0);
        assert_eq!(name, ".sb-12-3-0.part");
        assert_eq!(parse_temp_name(&name), Some((JobId(12), 3, 0)));
        for other in [".sb-12-3.part", ".sb-12-3-0-1.part", ".sb-012-3-0.part", ".sb--1-3-0.part", "a.part", ".sb-x"] {
            assert_eq!(parse_temp_name(OsStr::new(other)), None, "{other}");
        }
        assert_eq!(error_record_name(OsStr::new("a.csv")), "a.csv.error.json");
    }

    proptest! {
        #[test]
        fn every_name_fits_and_all_differ(raw in prop::collection::vec(1_u8..=255, 1..=255), job in 0..i64::MAX) {
            let name = OsString::from_vec(raw);
            let got: Vec<_> = candidates(&name, JobId(job)).take(12).collect();
            for (i, c) in got.iter().enumerate() {
                prop_assert!(error_record_name(c).len() <= NAME_MAX);
                prop_assert!(!got[..i].contains(c));
            }
        }
    }
}
