//! Tables and properties of the kernel.

use super::*;
use crate::model::ledger::LaneHint;
use proptest::prelude::*;

fn spec(task: &str, concurrency: u32, priority: i32) -> LaneSpec {
    LaneSpec { task: task.into(), concurrency, priority, waits_for: WaitsFor::Workers }
}

fn kernel(workers: u32, lanes: Vec<LaneSpec>) -> Kernel {
    let mut k = Kernel::new(workers, Duration::from_secs(25));
    k.step(
        Input::Configured { connections: 8, unsettled: UNSETTLED_MAX, workers, drain: Duration::from_secs(25), lanes },
        Millis(0),
    );
    k
}

fn waiting(task: &str, queued: u64) -> Input {
    Input::Waiting(vec![LaneHint { task: task.into(), queued, next_due: None }])
}

fn claimed(task: &str, jobs: std::ops::Range<i64>, queued: u64) -> Input {
    let jobs = jobs.map(|n| Ready { job: JobId(n), attempt: 1 }).collect();
    Input::Claimed { task: task.into(), jobs, queued, next_due: None, again: None }
}

fn ended(job: i64, ms: u64) -> Input {
    Input::Ended { job: JobId(job), took: Duration::from_millis(ms) }
}

fn starts(effects: &[Effect]) -> Vec<i64> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::Start { ready, .. } => Some(ready.job.0),
            _ => None,
        })
        .collect()
}

#[test]
fn claims_no_more_than_workers_and_concurrency_allow() {
    let mut k = kernel(4, vec![spec("a", 2, 0)]);
    let effects = k.step(waiting("a", 100), Millis(0));
    assert_eq!(effects, [Effect::Claim { task: "a".into(), max: 2, running_limit: 2 }]);
    assert!(k.step(waiting("a", 100), Millis(0)).is_empty(), "one claim at a time");
    let effects = k.step(claimed("a", 1..3, 98), Millis(0));
    assert_eq!(starts(&effects), [1, 2]);
    assert_eq!(effects.len(), 2, "no claim while every slot is taken: {effects:?}");
}

#[test]
fn long_jobs_are_not_claimed_ahead_and_short_ones_are() {
    let mut k = kernel(2, vec![spec("a", 2, 0)]);
    k.step(waiting("a", 1000), Millis(0));
    k.step(claimed("a", 1..3, 998), Millis(0));
    let effects = k.step(ended(1, 5_000), Millis(0));
    assert_eq!(effects, [Effect::Claim { task: "a".into(), max: 1, running_limit: 3 }]);

    let mut k = kernel(2, vec![spec("a", 2, 0)]);
    k.step(waiting("a", 1000), Millis(0));
    k.step(claimed("a", 1..3, 998), Millis(0));
    let effects = k.step(ended(1, 0), Millis(0));
    assert!(matches!(effects[0], Effect::Claim { max: 258, .. }), "{effects:?}");
}

#[test]
fn higher_priority_goes_first_and_equals_take_turns() {
    let mut k = kernel(1, vec![spec("a", 1, 0), spec("b", 1, 0), spec("c", 1, 5)]);
    for task in ["a", "b", "c"] {
        k.step(Input::Waiting(vec![LaneHint { task: task.into(), queued: 0, next_due: None }]), Millis(0));
    }
    k.step(claimed("a", 1..3, 0), Millis(0));
    k.step(claimed("b", 11..13, 0), Millis(0));
    k.step(claimed("c", 21..22, 0), Millis(0));
    let mut order = vec![1];
    for _ in 0..4 {
        let last = *order.last().unwrap();
        order.extend(starts(&k.step(ended(last, 1000), Millis(0))));
    }
    assert_eq!(order, [1, 21, 11, 2, 12], "c has priority, then a and b take turns");
}

#[test]
fn a_pause_gives_back_what_has_not_started() {
    let mut k = kernel(1, vec![spec("a", 1, 0)]);
    k.step(waiting("a", 5), Millis(0));
    k.step(claimed("a", 1..4, 2), Millis(0));
    let effects = k.step(Input::Paused { task: Some("a".into()), paused: true }, Millis(0));
    let jobs = vec![Ready { job: JobId(2), attempt: 1 }, Ready { job: JobId(3), attempt: 1 }];
    assert_eq!(effects, [Effect::PutBack { jobs }]);
    assert!(k.step(ended(1, 1), Millis(0)).is_empty());
    assert!(k.why("a")[0].contains("paused"));
    let effects = k.step(Input::Paused { task: Some("a".into()), paused: false }, Millis(0));
    assert!(matches!(effects[0], Effect::Claim { .. }));
}

#[test]
fn a_drain_waits_then_stops_then_leaves() {
    let mut k = kernel(2, vec![spec("a", 2, 0)]);
    k.step(waiting("a", 5), Millis(0));
    k.step(claimed("a", 1..3, 3), Millis(0));
    let effects = k.step(Input::Drain, Millis(1000));
    assert_eq!(effects, [Effect::Wake { at: Millis(26_000) }]);
    assert!(k.step(ended(1, 1), Millis(2000)).is_empty(), "nothing new is claimed");
    assert!(k.step(Input::Settled { count: 1 }, Millis(2000)).is_empty());
    let effects = k.step(Input::Timer, Millis(26_000));
    let stop = Effect::Stop { job: JobId(2), why: Stop::Drain };
    assert_eq!(effects, [stop, Effect::Wake { at: Millis(41_000) }]);
    k.step(ended(2, 1), Millis(26_001));
    assert_eq!(k.step(Input::Settled { count: 1 }, Millis(26_002)), [Effect::Leave]);
}

#[test]
fn a_job_that_does_not_stop_holds_up_a_drain_only_for_so_long() {
    let mut k = kernel(2, vec![spec("a", 2, 0)]);
    k.step(waiting("a", 1), Millis(0));
    k.step(claimed("a", 1..2, 0), Millis(0));
    k.step(Input::Drain, Millis(0));
    k.step(Input::Timer, Millis(25_000));
    let effects = k.step(Input::Timer, Millis(40_000));
    assert_eq!(effects, [Effect::Hurry, Effect::Stop { job: JobId(1), why: Stop::Drain }]);
}

#[test]
fn a_cancel_reaches_a_claimed_job_and_no_other() {
    let mut k = kernel(1, vec![spec("a", 1, 0)]);
    k.step(waiting("a", 5), Millis(0));
    k.step(claimed("a", 1..5, 0), Millis(0));
    let effects = k.step(Input::Cancel { job: JobId(3) }, Millis(0));
    assert_eq!(effects, [Effect::Start { ready: Ready { job: JobId(3), attempt: 1 }, cancelled: true }]);
    let effects = k.step(Input::Paused { task: Some("a".into()), paused: true }, Millis(0));
    assert!(matches!(&effects[..], [Effect::PutBack { jobs }] if jobs.len() == 2), "{effects:?}");
    k.step(Input::Paused { task: Some("a".into()), paused: false }, Millis(0));
    k.step(claimed("a", 2..3, 0), Millis(0));
    k.step(ended(3, 1), Millis(0));
    let effects = k.step(ended(1, 1), Millis(0));
    assert_eq!(effects, [Effect::Start { ready: Ready { job: JobId(2), attempt: 1 }, cancelled: false }]);
}

#[test]
fn a_lane_that_claims_ahead_does_not_starve_the_others() {
    let mut k = kernel(1, vec![spec("few", 1, 0), spec("many", 1, 0)]);
    k.step(waiting("many", 10_000), Millis(0));
    k.step(claimed("many", 1..2, 9_999), Millis(0));
    k.step(ended(1, 0), Millis(0));
    k.step(claimed("many", 2..200, 9_000), Millis(0));
    let effects = k.step(waiting("few", 3), Millis(0));
    assert_eq!(effects, [Effect::Claim { task: "few".into(), max: 1, running_limit: 2 }]);
    k.step(claimed("few", 1000..1001, 2), Millis(0));
    assert_eq!(starts(&k.step(ended(2, 0), Millis(0))), [1000], "it has waited longest");
}

#[test]
fn a_claim_that_got_nothing_is_not_repeated_at_once() {
    let mut k = kernel(1, vec![spec("a", 1, 0)]);
    k.step(waiting("a", 5), Millis(0));
    assert_eq!(k.step(claimed("a", 0..0, 5), Millis(0)), [Effect::Wake { at: Millis(100) }]);
    assert!(matches!(k.step(Input::Timer, Millis(100))[..], [Effect::Claim { .. }]), "nothing happened for a while");
    k.step(claimed("a", 0..0, 5), Millis(100));
    assert!(matches!(k.step(waiting("a", 5), Millis(101))[..], [Effect::Claim { .. }]), "something happened");
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut k = kernel(2, vec![spec("a", 2, 0)]);
    k.step(waiting("a", 1), Millis(0));
    k.step(claimed("a", 1..2, 0), Millis(0));
    k.step(Input::Drain, Millis(0));
    assert_eq!(k.step(Input::Hurry, Millis(1)), [Effect::Stop { job: JobId(1), why: Stop::Drain }]);
}

#[test]
fn one_timer_serves_all_lanes() {
    let mut k = kernel(2, vec![spec("a", 2, 0), spec("b", 2, 0)]);
    let hint = |task: &str, due: i64| LaneHint { task: task.into(), queued: 0, next_due: Some(Millis(due)) };
    assert_eq!(
        k.step(Input::Waiting(vec![hint("a", 500), hint("b", 300)]), Millis(0)),
        [Effect::Wake { at: Millis(300) }]
    );
    assert!(k.step(Input::Waiting(vec![hint("a", 500)]), Millis(1)).is_empty(), "armed already");
    assert_eq!(k.step(Input::Timer, Millis(300)), [Effect::PromoteDue, Effect::Wake { at: Millis(500) }]);
}

#[test]
fn words_about_a_queue_may_arrive_in_any_order() {
    let mut k = kernel(1, vec![spec("a", 1, 0)]);
    let word = |queued, due: Option<i64>| {
        Input::Waiting(vec![LaneHint { task: "a".into(), queued, next_due: due.map(Millis) }])
    };
    k.step(word(1, None), Millis(0));
    assert!(k.step(word(3, Some(500)), Millis(0)).contains(&Effect::Wake { at: Millis(500) }));
    // The claim was answered before the three landed, and its answer is late.
    k.step(claimed("a", 1..2, 0), Millis(0));
    k.step(ended(1, 1000), Millis(0));
    let again = k.step(word(0, None), Millis(0));
    assert!(again.is_empty(), "the claim for them is under way: {again:?}");
    let effects = k.step(claimed("a", 2..3, 0), Millis(0));
    assert_eq!(starts(&effects), [2]);
    k.step(ended(2, 1000), Millis(0));
    assert_eq!(k.step(Input::Settled { count: 2 }, Millis(0)), [], "the last answer said that nothing is left");
    assert_eq!(k.step(Input::Timer, Millis(500)), [Effect::PromoteDue], "an old word did not hide what is due");
}

#[test]
fn nothing_is_claimed_while_the_store_is_paused_or_the_disk_is_behind() {
    let mut k = kernel(2, vec![spec("a", 2, 0)]);
    k.step(Input::Store { ok: false }, Millis(0));
    assert!(k.step(waiting("a", 5), Millis(0)).is_empty());
    assert!(!k.step(Input::Store { ok: true }, Millis(0)).is_empty());
}

/// What a random run may do to the kernel.
#[derive(Clone, Debug)]
enum Act {
    Land(usize, u64),
    Answer,
    End(usize, u64),
    Settle,
    Pause(usize, bool),
    Fail,
    Store(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..3usize, 1..50u64).prop_map(|(t, n)| Act::Land(t, n)),
        Just(Act::Answer),
        (0..8usize, 0..100u64).prop_map(|(i, ms)| Act::End(i, ms)),
        Just(Act::Settle),
        (0..3usize, any::<bool>()).prop_map(|(t, on)| Act::Pause(t, on)),
        Just(Act::Fail),
        any::<bool>().prop_map(Act::Store),
    ]
}

#[test]
fn a_lane_without_a_worker_claims_nothing_ahead() {
    let mut k = kernel(1, vec![spec("quick", 1, 0), spec("slow", 1, 0)]);
    k.step(waiting("quick", 1), Millis(0));
    k.step(claimed("quick", 1..2, 0), Millis(0));
    k.step(ended(1, 1), Millis(0));
    k.step(Input::Settled { count: 1 }, Millis(0));
    k.step(waiting("slow", 1), Millis(0));
    k.step(claimed("slow", 2..3, 0), Millis(0));
    let effects = k.step(waiting("quick", 3), Millis(0));
    assert!(effects.iter().all(|e| !matches!(e, Effect::Claim { .. })), "{effects:?}");
    let effects = k.step(ended(2, 60_000), Millis(60_000));
    assert!(effects.iter().any(|e| matches!(e, Effect::Claim { .. })), "{effects:?}");
}

#[test]
fn nothing_starts_while_too_many_wait_for_the_disk() {
    let mut k = Kernel::new(4, Duration::from_secs(25));
    let lanes = vec![spec("a", 4, 0)];
    k.step(
        Input::Configured { connections: 1, unsettled: 2, workers: 4, drain: Duration::from_secs(25), lanes },
        Millis(0),
    );
    k.step(waiting("a", 9), Millis(0));
    assert_eq!(starts(&k.step(claimed("a", 1..5, 5), Millis(0))), [1, 2, 3, 4]);
    k.step(ended(1, 5), Millis(0));
    k.step(claimed("a", 5..7, 3), Millis(0));
    let effects = k.step(ended(2, 5), Millis(0));
    assert!(effects.iter().all(|e| !matches!(e, Effect::Start { .. } | Effect::Claim { .. })), "{effects:?}");
    assert_eq!(k.why("a"), ["2 finished jobs wait for the disk"]);
    assert!(!starts(&k.step(Input::Settled { count: 2 }, Millis(0))).is_empty());
}

proptest! {
    /// Whatever happens: the limits hold, no job starts twice, what was put back or claimed adds up, and once nothing
    /// holds the lanes every job that landed has run.
    #[test]
    fn limits_hold_and_nothing_is_forgotten(acts in proptest::collection::vec(act(), 1..120)) {
        const NAMES: [&str; 3] = ["a", "b", "c"];
        let limits = [1u32, 2, 3];
        let workers = 3u32;
        let mut k = kernel(workers, (0..3).map(|i| spec(NAMES[i], limits[i], i as i32)).collect());
        let mut queue: [Vec<i64>; 3] = Default::default();
        let mut asked: [u32; 3] = [0; 3];
        let mut running: Vec<(i64, usize)> = Vec::new();
        let mut unsettled = 0u32;
        let mut next = 1i64;
        let mut finished = 0usize;
        let mut landed = 0usize;
        let mut drive = acts;
        let tail = (0..3).map(|t| Act::Pause(t, false)).chain([Act::Store(true)]);
        drive.extend(tail);
        for _ in 0..4000 { drive.extend([Act::Answer, Act::End(0, 1), Act::Settle]); }
        for act in drive {
            let input = match act {
                Act::Land(t, n) => {
                    for _ in 0..n { queue[t].push(next); next += 1; }
                    landed += n as usize;
                    waiting(NAMES[t], queue[t].len() as u64)
                }
                Act::Answer => {
                    let Some(t) = (0..3).find(|&t| asked[t] > 0) else { continue };
                    let n = (asked[t] as usize).min(queue[t].len());
                    asked[t] = 0;
                    let jobs = queue[t].drain(..n).map(|j| Ready { job: JobId(j), attempt: 1 }).collect();
                    Input::Claimed { task: NAMES[t].into(), jobs, queued: queue[t].len() as u64, next_due: None, again: None }
                }
                Act::End(i, ms) => {
                    if running.is_empty() { continue }
                    let (job, _) = running.remove(i % running.len());
                    unsettled += 1;
                    finished += 1;
                    ended(job, ms)
                }
                Act::Settle => {
                    let n = std::mem::take(&mut unsettled);
                    if n == 0 { continue }
                    Input::Settled { count: n }
                }
                Act::Pause(t, on) => Input::Paused { task: Some(NAMES[t].into()), paused: on },
                Act::Fail => {
                    let Some(t) = (0..3).find(|&t| asked[t] > 0) else { continue };
                    asked[t] = 0;
                    Input::ClaimFailed { task: NAMES[t].into() }
                }
                Act::Store(ok) => Input::Store { ok },
            };
            for effect in k.step(input, Millis(0)) {
                match effect {
                    Effect::Claim { task, max, .. } => {
                        let t = NAMES.iter().position(|n| *n == &*task).unwrap();
                        prop_assert_eq!(asked[t], 0, "a second claim for {}", task);
                        asked[t] = max;
                    }
                    Effect::Start { ready, .. } => {
                        prop_assert!(running.iter().all(|(j, _)| *j != ready.job.0), "started twice");
                        let t = (0..3).find(|t| k.executing.get(&ready.job).is_some_and(|n| &**n == NAMES[*t])).unwrap();
                        running.push((ready.job.0, t));
                        prop_assert!(running.len() <= workers as usize);
                        prop_assert!(running.iter().filter(|(_, x)| *x == t).count() <= limits[t] as usize);
                    }
                    Effect::PutBack { jobs } => {
                        for ready in jobs {
                            let t = (0..3).find(|&t| k.lanes[NAMES[t]].paused).unwrap();
                            queue[t].insert(0, ready.job.0);
                        }
                        for (t, q) in queue.iter().enumerate() {
                            k.lanes.get_mut(NAMES[t]).unwrap().queued = q.len() as u64;
                        }
                    }
                    other => prop_assert!(false, "unexpected {:?}", other),
                }
            }
        }
        prop_assert_eq!(finished, landed, "every job that landed has run");
    }
}
