//! No warning on noise, one on a real change.

use super::*;
use proptest::prelude::*;

/// A generator of random numbers that is the same everywhere.
struct Rng(u64);

impl Rng {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

fn rows(values: &[u64]) -> Vec<RunFigures> {
    values.iter().map(|v| RunFigures { rows: Some(*v), ..RunFigures::default() }).collect()
}

fn judge(past: &[u64], new: u64) -> Option<String> {
    let found = unlike(&rows(past), &RunFigures { rows: Some(new), ..RunFigures::default() });
    found.first().map(Anomaly::sentence)
}

#[test]
fn the_sentence_names_the_figure_and_what_was_usual() {
    let past: Vec<u64> = (0..20).map(|n| 9800 + n % 7 * 100).collect();
    assert_eq!(judge(&past, 12).as_deref(), Some("rows: 12, usually 9,800 to 10,300 over the last 20 runs"));
    assert_eq!(judge(&[500; 9], 5000).as_deref(), Some("rows: 5,000, usually 500 over the last 9 runs"));
    let slow = Anomaly { figure: Figure::Duration, value: 134_000, low: 9000, high: 12_400, runs: 8 };
    assert_eq!(slow.sentence(), "duration: 2m 14s, usually 9.0 s to 12.4 s over the last 8 runs");
}

#[test]
fn nothing_is_said_before_there_are_enough_runs() {
    assert_eq!(judge(&[1000; RUNS_MIN - 1], 1), None);
    assert!(judge(&[1000; RUNS_MIN], 1).is_some());
    let without = vec![RunFigures::default(); 30];
    assert!(unlike(&without, &RunFigures { rows: Some(9), ..RunFigures::default() }).is_empty());
}

#[test]
fn constant_figures_may_vary_a_little_and_no_more() {
    assert_eq!(judge(&[10_000; 20], 10_000), None);
    assert_eq!(judge(&[10_000; 20], 11_000), None);
    assert!(judge(&[10_000; 20], 30_000).is_some() && judge(&[10_000; 20], 3000).is_some());
    assert_eq!(judge(&[0; 20], 0), None);
    assert_eq!(judge(&[0; 20], 7), None, "too few to matter");
    assert!(judge(&[0; 20], 700).is_some());
    assert_eq!(judge(&[4; 20], 12), None, "three times as much of nearly nothing");
    assert!(judge(&[10_000; 20], 0).is_some());
}

#[test]
fn a_short_jitter_is_no_news() {
    let quick = vec![RunFigures { duration_ms: Some(40), ..RunFigures::default() }; 20];
    assert!(unlike(&quick, &RunFigures { duration_ms: Some(900), ..RunFigures::default() }).is_empty());
    assert_eq!(unlike(&quick, &RunFigures { duration_ms: Some(60_000), ..RunFigures::default() }).len(), 1);
}

#[test]
fn growth_is_no_surprise() {
    let mut past: Vec<u64> = vec![1000];
    for _ in 0..60 {
        let grown = past[0] + past[0] / 5;
        assert_eq!(judge(&past, grown), None, "a fifth more each time: {past:?}");
        past.insert(0, grown);
    }
    let steady: Vec<u64> = (1..=30).rev().map(|n| n * 1000).collect();
    assert_eq!(judge(&steady, 31_000), None);
    assert!(judge(&[1000, 990, 1010, 5000, 1000, 1005, 995, 1000, 1002, 998], 4900).is_some(), "one odd run before");
    let twice = [4900, 5000, 1000, 1005, 995, 1000, 1002, 998, 990, 1010];
    assert_eq!(judge(&twice, 5100), None, "the third time it is usual");
    let long = [&[4900, 5000][..], &[1000; 28]].concat();
    assert_eq!(judge(&long, 5100), None, "also after many runs");
    assert!(judge(&long[1..], 5100).is_some(), "the second time it is not");
}

/// Runs out of `runs` that are told to be unlike the others although all are of one distribution.
fn false_alarms(runs: u32, past: usize, mut draw: impl FnMut(&mut Rng) -> f64) -> u32 {
    let mut rng = Rng(past as u64);
    let mut values = || (draw(&mut rng).max(0.0) * 100_000.0) as u64;
    let mut found = 0;
    for _ in 0..runs {
        let history: Vec<u64> = (0..past).map(|_| values()).collect();
        found += u32::from(judge(&history, values()).is_some());
    }
    found
}

#[test]
fn noise_of_one_distribution_is_told_less_than_once_in_five_hundred_runs() {
    const RUNS: u32 = 20_000;
    for past in [RUNS_MIN, 12, 30] {
        for (what, found) in [
            ("normal, a fifth", false_alarms(RUNS, past, |r| 1.0 + 0.2 * r.normal())),
            ("log-normal, narrow", false_alarms(RUNS, past, |r| (0.2 * r.normal()).exp())),
            ("log-normal, wide", false_alarms(RUNS, past, |r| (0.8 * r.normal()).exp())),
            ("uniform", false_alarms(RUNS, past, |r| 0.2 + r.unit())),
        ] {
            assert!(found <= RUNS / 500, "{what}, {past} runs: {found} of {RUNS}");
        }
    }
}

#[test]
fn a_task_with_two_kinds_of_runs_has_two_usual_figures() {
    const RUNS: u32 = 20_000;
    let found = false_alarms(RUNS, RUNS_MAX, |r| if r.unit() < 0.3 { 4.0 } else { 1.0 + 0.01 * r.unit() });
    assert!(found <= RUNS / 500, "{found} of {RUNS}");
}

proptest! {
    #[test]
    fn a_factor_of_three_is_found_among_figures_that_vary_by_a_tenth(
        usual in 1000_u64..1_000_000_000, seeds in proptest::collection::vec(0.9_f64..1.1, RUNS_MIN..=60),
    ) {
        let past: Vec<u64> = seeds.iter().map(|s| (usual as f64 * s) as u64).collect();
        prop_assert!(judge(&past, usual * 33 / 10).is_some());
        prop_assert!(judge(&past, usual * 10 / 33).is_some());
        prop_assert!(judge(&past, usual).is_none());
    }

    #[test]
    fn no_figures_are_too_odd(past in proptest::collection::vec(any::<u64>(), 0..40), new: u64) {
        if let Some(sentence) = judge(&past, new) {
            prop_assert!(sentence.starts_with("rows: "));
        }
    }
}
