//! What can be typed behind `report`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;
use std::time::Duration;

/// `report`
#[derive(Clone, Debug, clap::Args)]
pub struct Report {
    /// The time before now that it is about, for example 7d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = period)]
    pub period: Duration,
    /// Its form [default: text; with --json: json]
    #[arg(long, value_name = "text|html|json", value_parser = formats())]
    pub format: Option<String>,
    /// Write it into this file, which must not be there, in place of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Shortest and longest period, in seconds.
const SECONDS: std::ops::RangeInclusive<u64> = 60..=366 * 24 * 3600;

fn period(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).ok().filter(|d| SECONDS.contains(&d.as_secs()));
    length.ok_or_else(|| "write a time from 1m to 366d, for example 24h".to_owned())
}

fn formats() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(["text", "html", "json"])
}
