//! What every ledger must do at a start: say what was left behind, and count deaths.

use super::conformance::conformance;
use super::*;
use crate::model::ledger::Leftovers;

const HOUR: i64 = 3_600_000;

fn recover(l: &dyn Ledger, now: i64) -> Leftovers {
    ok(l.recover("host-a".into(), "boot-1".into(), Millis(now)))
}

conformance! {
    fn a_start_lists_what_was_left(l) {
        land(l, "a", 0..4);
        let running = claim(l, "a");
        let placed = claim(l, "a");
        end(l, &placed, placing(placed.job, Outcome::Failed, Some(boom())));
        let cancelled = claim(l, "a");
        let action = action(l, "cancel");
        ok(l.mark_cancel(action, vec![cancelled.job]));
        let left = recover(l, 100);
        assert_eq!(left.queued, 1);
        let jobs: Vec<_> = left.running.iter().map(|r| (r.claimed.job, r.claimed.attempt, r.deaths, r.cancel_action)).collect();
        assert_eq!(jobs, [(running.job, 1, 1, None), (cancelled.job, 1, 1, Some(action))]);
        assert_eq!(left.running[0].target_dirs, [PathBuf::from("/srv/out"), "/srv/failed".into()]);
        assert_eq!(left.running[0].claimed.file.as_ref().unwrap().path, Path::new("a-0.csv"));
        let [p] = left.placing.as_slice() else { panic!("{:?}", left.placing) };
        assert_eq!((p.job, p.attempt, p.outcome), (placed.job, 1, Outcome::Failed));
        assert_eq!(p.moves.iter().map(|m| m.seq).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(p.moves[1].dst, PathBuf::from(format!("/srv/failed/{}.csv.error.json", p.job)));
        for r in left.running {
            let verdict = if r.cancel_action.is_some() { bare(Outcome::Cancelled, None) } else { Verdict::Requeue { failure: boom() } };
            assert!(matches!(end(l, &r.claimed, verdict), Decided::Now(_)));
        }
        finish(l, placed.job);
        let left = recover(l, 200);
        assert_eq!((left.queued, left.running.len(), left.placing.len()), (5, 0, 0), "with three that follow");
    }

    fn deaths_within_a_day_are_counted_and_a_requeue_does_not_hide_them(l) {
        land(l, "a", 1..2);
        for deaths in 1..=3 {
            let c = claim(l, "a");
            assert_eq!(c.attempt, i64::from(deaths));
            let left = recover(l, i64::from(deaths) * HOUR);
            assert_eq!(left.running[0].deaths, deaths);
            assert_eq!(recover(l, i64::from(deaths) * HOUR + 1).running[0].deaths, deaths, "a start that died is not the job's death");
            assert_eq!(end(l, &c, Verdict::Requeue { failure: boom() }), Decided::Now(JobState::Queued));
        }
        let c = claim(l, "a");
        assert_eq!((c.attempt, c.spent), (4, 1), "deaths are not charged");
        let left = recover(l, 26 * HOUR);
        assert_eq!(left.running[0].deaths, 2, "those of the last day and this one");
        end(l, &c, Verdict::Requeue { failure: boom() });
    }

    fn a_drain_is_not_a_death(l) {
        land(l, "a", 1..2);
        for _ in 0..3 {
            let c = claim(l, "a");
            end(l, &c, Verdict::Requeue { failure: boom() });
        }
        let c = claim(l, "a");
        assert_eq!(recover(l, 100).running[0].deaths, 1);
        ok(l.put_back(vec![(c.job, c.attempt)]));
    }

    fn live_files_come_a_page_at_a_time_in_one_order(l) {
        land(l, "a", 0..9);
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let c = claim(l, "a");
            end(l, &c, Verdict::Retry { failure: boom(), at: Millis(900) });
            waiting.push(c.job);
        }
        let running = claim(l, "a").job;
        let over = run_one(l, "a", Outcome::Succeeded).job;
        let mut seen = Vec::new();
        let mut after = JobId(0);
        loop {
            let page = ok(l.live_files(after, 2));
            let Some(last) = page.last() else { break };
            after = last.job;
            assert!(page.len() <= 2);
            seen.extend(page.into_iter().map(|f| (f.job, f.state == JobState::Waiting)));
        }
        assert_eq!(seen.len(), 7);
        assert!(seen.is_sorted());
        assert!(seen.iter().all(|(job, waits)| *job != running && *job != over && *waits == waiting.contains(job)));
    }
}

#[test]
fn starts_within_one_boot_share_a_row() {
    let (_dir, store) = store();
    for _ in 0..3 {
        recover(&store, 1);
    }
    assert_eq!(audit::number(&store, "SELECT count(*) FROM node"), 1);
    ok(store.recover("host-a".into(), "boot-2".into(), Millis(2)));
    assert_eq!(audit::number(&store, "SELECT count(*) FROM node"), 2);
}

#[test]
fn a_crash_is_shown_as_an_interruption() {
    let (_dir, store) = store();
    land(&store, "a", 1..2);
    let c = claim(&store, "a");
    recover(&store, 100);
    end(&store, &c, Verdict::Requeue { failure: boom() });
    let shown = store.queries().job(c.job, Millis(200)).unwrap().unwrap();
    let a = &shown.attempts[0];
    assert_eq!((a.outcome.as_deref(), a.charged, a.node.as_str()), (Some("interrupted"), false, "host-a"));
    assert!(shown.job.maybe_repeated);
}
