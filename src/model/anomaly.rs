//! Whether a run is unlike those before it: pure, by the median and the deviation of the task's last runs, without
//! the odd ones among them.
//!
//! A figure is unlike the others if it is far off by each of five measures: as a multiple of how much the figures vary,
//! as a ratio, as a number, from the very last runs alone, and from nearly every single run. The fourth is what lets a
//! task grow: a figure that is near those of the last runs is usual, however far it is from the older ones. The last is
//! for tasks that have two kinds of runs. Figures are compared by their logarithm, because a table with twice the rows
//! and one with half of them are equally unlike.

use super::figure;
use super::text::count;

/// A task with fewer runs than this has no usual figures yet.
pub const RUNS_MIN: usize = 8;
/// Most runs that are compared with; older ones are left out.
pub const RUNS_MAX: usize = 30;

/// Runs that are looked at alone, so that growth is no surprise.
const LAST: usize = 3;
/// Runs after which a run counts half as much.
const HALF_LIFE: f64 = 10.0;
/// This many runs with such a figure make it usual; of many runs, one in ten.
const SEEN: usize = 2;
/// Deviations that are far, with many runs; with few, the deviation itself is not well known.
const FAR: f64 = 5.0;
/// Added to [`FAR`] as this divided by the number of runs.
const FAR_FEW: f64 = 10.0;
/// The least deviation, as a logarithm: constant figures vary by this much.
const DEVIATION_MIN: f64 = 0.05;
/// Of a normal distribution, the standard deviation as a multiple of the median deviation.
const BY_MEDIAN: f64 = 1.4826;
/// The same as a part of the distance between the first and the last tenth.
const BY_TENTHS: f64 = 0.3902;

/// What is looked at of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Figure {
    /// Records read.
    Rows,
    /// Bytes of its inputs.
    BytesIn,
    /// Bytes of its outputs.
    BytesOut,
    /// From its first start to its end.
    Duration,
}

impl Figure {
    /// Every figure.
    pub const ALL: [Self; 4] = [Self::Rows, Self::BytesIn, Self::BytesOut, Self::Duration];

    /// Its name in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::BytesIn => "bytes in",
            Self::BytesOut => "bytes out",
            Self::Duration => "duration",
        }
    }

    /// A value of it, for people.
    #[must_use]
    pub fn shown(self, value: u64) -> String {
        match self {
            Self::Rows => count(value),
            Self::BytesIn | Self::BytesOut => figure::size(value),
            Self::Duration => figure::millis(value),
        }
    }

    /// The least ratio that is worth a word.
    const fn ratio(self) -> f64 {
        match self {
            Self::Rows | Self::BytesIn | Self::BytesOut => 1.5,
            // Machines have other things to do.
            Self::Duration => 2.0,
        }
    }

    /// The least difference that is worth a word: records, bytes, milliseconds.
    const fn difference(self) -> u64 {
        match self {
            Self::Rows => 10,
            Self::BytesIn | Self::BytesOut => 4096,
            Self::Duration => 5000,
        }
    }
}

/// The figures of a run, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunFigures {
    /// Records read.
    pub rows: Option<u64>,
    /// Bytes of its inputs.
    pub bytes_in: Option<u64>,
    /// Bytes of its outputs.
    pub bytes_out: Option<u64>,
    /// From its first start to its end, in milliseconds.
    pub duration_ms: Option<u64>,
}

impl RunFigures {
    /// One of them.
    #[must_use]
    pub const fn get(&self, figure: Figure) -> Option<u64> {
        match figure {
            Figure::Rows => self.rows,
            Figure::BytesIn => self.bytes_in,
            Figure::BytesOut => self.bytes_out,
            Figure::Duration => self.duration_ms,
        }
    }
}

/// A figure that is unlike those of the last runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Which one.
    pub figure: Figure,
    /// What it was this time.
    pub value: u64,
    /// What it usually is: eight of ten runs lie between this …
    pub low: u64,
    /// … and this.
    pub high: u64,
    /// Runs that it was compared with.
    pub runs: usize,
}

impl Anomaly {
    /// `rows: 12, usually 9,800 to 10,400 over the last 20 runs`
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { figure, value, low, high, runs } = *self;
        let (low, high) = (figure.shown(low), figure.shown(high));
        let usual = if low == high { low } else { format!("{low} to {high}") };
        format!("{}: {}, usually {usual} over the last {runs} runs", figure.name(), figure.shown(value))
    }
}

/// What of a run is unlike the task's last runs. `history`: the newest first, without the run itself.
#[must_use]
pub fn unlike(history: &[RunFigures], new: &RunFigures) -> Vec<Anomaly> {
    let compare = |figure: Figure| {
        let past: Vec<u64> = history.iter().filter_map(|run| run.get(figure)).take(RUNS_MAX).collect();
        compare(figure, &past, new.get(figure)?)
    };
    Figure::ALL.into_iter().filter_map(compare).collect()
}

/// Compares a figure with those of the past, the newest first.
fn compare(figure: Figure, past: &[u64], value: u64) -> Option<Anomaly> {
    if past.len() < RUNS_MIN {
        return None;
    }
    let new = log(value);
    let logs: Vec<f64> = past.iter().map(|v| log(*v)).collect();
    let weights: Vec<f64> = (0..logs.len()).map(weight).collect();
    let usual = median(&logs, &weights);
    let off: Vec<f64> = logs.iter().map(|v| (v - usual).abs()).collect();
    let mut sorted = past.to_vec();
    sorted.sort_unstable();
    let tenth = sorted.len() / 10;
    let (low, high) = (*sorted.get(tenth)?, *sorted.get(sorted.len() - 1 - tenth)?);
    // The median deviation of few runs is often small by chance.
    let deviation = (BY_MEDIAN * median(&off, &weights)).max(BY_TENTHS * (log(high) - log(low))).max(DEVIATION_MIN);
    #[expect(clippy::cast_precision_loss, reason = "at most some tens")]
    let far = FAR + FAR_FEW / past.len() as f64;

    let last: Vec<f64> = logs.iter().take(LAST).copied().collect();
    let last = median(&last, &[1.0; LAST]);
    let ratio = figure.ratio().ln();
    let is_far = (new - usual).abs() > far * deviation;
    let is_worth_a_word = (new - usual).abs() > ratio && value.abs_diff(unlog(usual)) >= figure.difference();
    let is_new = (new - last).abs() > ratio && value.abs_diff(unlog(last)) >= figure.difference();
    let seen = logs.iter().filter(|past| (new - **past).abs() <= ratio).count();
    let is_seldom = seen < SEEN.max(logs.len() / 10);
    if !(is_far && is_worth_a_word && is_new && is_seldom) {
        return None;
    }
    Some(Anomaly { figure, value, low, high, runs: past.len() })
}

/// One is added, so that zero has a logarithm.
#[expect(clippy::cast_precision_loss, reason = "a ratio is looked at, not the last digit")]
fn log(value: u64) -> f64 {
    (value as f64).ln_1p()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it came from such a number")]
fn unlog(value: f64) -> u64 {
    value.exp_m1().round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "at most some tens")]
fn weight(age: usize) -> f64 {
    (-(age as f64) / HALF_LIFE).exp2()
}

/// The value that has half of the weight on either side.
fn median(values: &[f64], weights: &[f64]) -> f64 {
    let mut pairs: Vec<(f64, f64)> = values.iter().copied().zip(weights.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = pairs.iter().map(|(_, w)| w).sum::<f64>() / 2.0;
    let mut below = 0.0;
    let found = pairs.iter().find(|(_, w)| {
        below += w;
        below >= half
    });
    found.map_or(0.0, |(value, _)| *value)
}

#[cfg(test)]
mod tests;
