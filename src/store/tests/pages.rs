//! What is read: pages and cursors, filters, counts, changes since a revision, the history of a file.

use super::*;
use crate::model::filter::{Term, Test};
use crate::model::ledger::OutputRecord;
use crate::model::ports::JobsQuery;
use crate::model::view::JobsPage;
use crate::model::{Filter, JobId};

const NOW: Millis = Millis(100_000);

fn page(store: &Store, text: &str, after: Option<String>, limit: Option<u32>) -> JobsPage {
    let query = JobsQuery { filter: Filter::parse(text).unwrap(), after, limit, since_rev: None };
    store.queries().jobs(&query, NOW).unwrap()
}

fn ids(page: &JobsPage) -> Vec<i64> {
    page.jobs.iter().map(|j| j.id.0).collect()
}

/// The numbers of all jobs that match, read in pages of every size.
#[track_caller]
fn matching(store: &Store, text: &str) -> Vec<i64> {
    let all = page(store, text, None, None);
    assert_eq!((all.matching, all.more, all.next), (all.jobs.len() as u64, false, None), "{text}");
    let all: Vec<i64> = all.jobs.iter().map(|j| j.id.0).collect();
    for limit in 1..=all.len() as u32 + 1 {
        let mut read = Vec::new();
        let mut after = None;
        loop {
            let one = page(store, text, after.take(), Some(limit));
            assert!(one.jobs.len() <= limit as usize);
            read.extend(ids(&one));
            after = one.next;
            if after.is_none() {
                break;
            }
            assert_eq!(one.jobs.len(), limit as usize, "a page before the last one is full");
        }
        assert_eq!(read, all, "{text}, {limit} at a time");
    }
    all
}

/// 1, 2 failed; 3 succeeded; 4 running; 5 placing; 6 waits after a failure, 7 for a permission; 8, 9 queued (9 of `b`); 10, 11 skipped, cancelled; 12, 13 follow 1.
fn sample() -> (TempDir, Store) {
    let (dir, store) = store();
    land(&store, "a", 1..9);
    land(&store, "b", 9..10);
    let mut jobs: Vec<Claimed> = try_claim(&store, "a", 7, 7, 20).jobs;
    let retry = Verdict::Retry { failure: Failure::transient("busy", "say \"please\""), at: Millis(900) };
    end(&store, &jobs[5], retry);
    end(&store, &jobs[6], Verdict::Hold { reason: "no permission".into(), at: Millis(900) });
    for (i, outcome, code) in [(0, Outcome::Failed, "boom"), (1, Outcome::Failed, "bang"), (2, Outcome::Succeeded, "")]
    {
        let failure = (outcome == Outcome::Failed).then(|| Failure::permanent(code, format!("{code} in class 7")));
        end(&store, &jobs[i], placing(jobs[i].job, outcome, failure));
    }
    end(&store, &jobs[4], placing(jobs[4].job, Outcome::Succeeded, None));
    // Configured without followers for a moment, to keep the numbers small.
    ok(store.configure(vec![task("a", None), task("b", None)], Millis(0)));
    ok(store.finish(vec![jobs[0].job, jobs[1].job, jobs[2].job], Millis(40)));
    ok(store.configure(tasks(), Millis(0)));
    land(&store, "a", 20..22);
    for (n, outcome) in [(10, Outcome::Skipped), (11, Outcome::Cancelled)] {
        ok(store.configure(vec![task("a", None), task("b", None)], Millis(0)));
        let job = JobId(n);
        decide(&store, job, Fence::Rev(facts(&store, job).rev), placing(job, outcome, None));
        finish(&store, job);
    }
    ok(store.configure(tasks(), Millis(0)));
    jobs.clear();
    audit::audit(&store);
    (dir, store)
}

#[test]
fn pages_go_by_rank_and_then_newest_first() {
    let (_dir, store) = sample();
    assert_eq!(matching(&store, ""), [2, 1, 5, 4, 7, 6, 9, 8, 11, 10, 3]);
}

#[test]
fn filters_find_what_they_say() {
    let (_dir, store) = sample();
    for (text, wanted) in [
        ("state:failed", vec![2, 1]),
        ("state:running", vec![4]),
        ("state:placing", vec![5]),
        ("state:waiting", vec![7, 6]),
        ("state:retry", vec![6]),
        ("state:queued", vec![9, 8]),
        ("state:succeeded", vec![3]),
        ("state:skipped", vec![10]),
        ("state:cancelled", vec![11]),
        ("!state:failed", vec![5, 4, 7, 6, 9, 8, 11, 10, 3]),
        ("state:failed state:queued", vec![]),
        ("!state:retry state:waiting", vec![7]),
        ("task:b", vec![9]),
        ("task:b state:queued", vec![9]),
        ("task:b task:a", vec![]),
        ("task:nobody", vec![]),
        ("!task:nobody state:failed", vec![2, 1]),
        ("!task:a", vec![9]),
        ("code:boom", vec![1]),
        ("!code:boom state:failed", vec![2]),
        ("INBOX/A-2.csv", vec![2]),
        ("a_2", vec![]),
        ("%", vec![]),
        ("\"class 7\"", vec![2, 1]),
        ("bang", vec![2]),
        ("\"say \\\"please\\\"\"", vec![6]),
        ("permanent", vec![]),
        ("host:x", vec![]),
        ("age>1m", vec![2, 1, 5, 4, 7, 6, 9, 8, 11, 10, 3]),
        ("age>2m", vec![]),
    ] {
        assert_eq!(matching(&store, text), wanted, "{text}");
    }
}

#[test]
fn a_bad_error_by_hand_spoils_no_page() {
    let (dir, store) = sample();
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute("UPDATE attempt SET error = '{not json' WHERE job = 1", []).unwrap();
    assert_eq!(matching(&store, "bang"), [2]);
    assert_eq!(page(&store, "state:failed", None, None).jobs[1].error, None);
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    let (_dir, store) = sample();
    for text in ["", "x", "1", "1.", ".1", "1.x", "5.1", "-1.1", "-9223372036854775808.1", "99999999999999999999.1"] {
        let query = JobsQuery { after: Some(text.into()), ..JobsQuery::default() };
        let Err(StoreError::Fault(why)) = store.queries().jobs(&query, NOW) else { panic!("{text} was taken") };
        assert!(why.starts_with("not a cursor"), "{why}");
    }
}

#[test]
fn a_page_goes_on_where_the_last_one_ended_whatever_changed() {
    let (_dir, store) = sample();
    let first = page(&store, "", None, Some(3));
    assert_eq!(ids(&first), [2, 1, 5]);
    finish(&store, JobId(5));
    land(&store, "b", 30..33);
    assert_eq!(ids(&page(&store, "", first.next, Some(2))), [4, 7]);
}

#[test]
fn changes_since_a_revision_are_those_alone() {
    let (_dir, store) = sample();
    let since = |rev, text: &str, limit| {
        let filter = Filter::parse(text).unwrap();
        let query = JobsQuery { filter, since_rev: Some(rev), limit, ..JobsQuery::default() };
        store.queries().jobs(&query, NOW).unwrap()
    };
    let before = page(&store, "", None, None).rev;
    assert!(since(before, "", None).jobs.is_empty());
    finish(&store, JobId(5));
    land(&store, "b", 30..31);
    ok(store.due(Millis(900)));
    let changed = since(before, "", None);
    let new = changed.jobs[0].id.0;
    // 5 succeeded, and its run started two others; 6 and 7 are queued.
    assert_eq!(ids(&changed), [new, new - 1, new - 2, new - 3, 7, 6, 5]);
    assert_eq!(ids(&since(before, "state:succeeded", None)), [5]);
    let mut paged = Vec::new();
    let mut query = JobsQuery { since_rev: Some(before), limit: Some(2), ..JobsQuery::default() };
    loop {
        let one = store.queries().jobs(&query, NOW).unwrap();
        paged.extend(ids(&one));
        query.after = one.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(paged, ids(&changed));
    for far in [-1, i64::MIN, before - 20_000] {
        assert_eq!(ids(&since(far, "", None)), ids(&page(&store, "", None, None)), "all changed since then");
    }
    assert!(since(i64::MAX, "", None).jobs.is_empty());
}

#[test]
fn a_file_has_a_history_under_every_name_it_had() {
    let (_dir, store) = store();
    land(&store, "a", 1..2);
    let job = run_one(&store, "a", Outcome::Failed).job;
    assert!(retry(&store, job));
    let c = loop {
        let c = claim(&store, "a");
        if c.job == job {
            break c;
        }
    };
    let mut d = Decision::new(job, Fence::Attempt(c.attempt), placing(job, Outcome::Succeeded, None), Millis(1));
    d.outputs = vec![OutputRecord { path: "/srv/out/a-1.json".into(), ino: 8, size: 9, mtime_ns: 1 }];
    ok(store.decide(vec![d]));
    finish(&store, job);
    for path in
        ["/srv/inbox/a-1.csv".into(), failed_path(job), "/srv/out/a-1.json".into(), "/srv/processed/1.csv".into()]
    {
        let found = store.queries().file(&path, NOW).unwrap();
        assert_eq!(ids(&found), [job.0], "{}", path.display());
        assert_eq!(found.jobs[0].outputs, ["/srv/out/a-1.json"]);
    }
    assert!(store.queries().file(Path::new("/srv/inbox/a-2.csv"), NOW).unwrap().jobs.is_empty());
    land(&store, "a", 1..2);
    assert_eq!(store.queries().file(Path::new("/srv/inbox/a-1.csv"), NOW).unwrap().jobs.len(), 2);
}

#[test]
fn a_job_tells_its_whole_story() {
    let (_dir, store) = sample();
    let d = store.queries().job(JobId(1), NOW).unwrap().unwrap();
    assert_eq!((d.job.state, d.job.attempt, d.job.spent, d.job.max_attempts), (JobState::Failed, 1, 1, 3));
    assert_eq!(d.job.error.as_ref().unwrap().code, "boom");
    assert_eq!(d.attempts.len(), 1);
    assert_eq!((d.attempts[0].outcome.as_deref(), d.attempts[0].charged), (Some("failed"), true));
    assert_eq!((d.cause.as_ref().unwrap().open, d.cause.unwrap().total), (1, 1));
    let roles: Vec<_> = d.files.iter().map(|f| (f.role.as_str(), f.path.as_str())).collect();
    assert_eq!(
        roles,
        [("in", "/srv/inbox/a-1.csv"), ("failed", "/srv/failed/1.csv"), ("record", "/srv/failed/1.csv.error.json")]
    );
    assert_eq!(store.queries().job(JobId(999), NOW).unwrap(), None);
    let held = store.queries().job(JobId(7), NOW).unwrap().unwrap().job;
    assert_eq!((held.held.as_deref(), held.is_retry()), (Some("no permission"), false));
    assert_eq!(store.queries().run_of(JobId(3)).unwrap().map(|r| r.0), Some(3));
}

#[test]
fn the_overview_is_the_sum_of_its_tasks() {
    let (_dir, store) = sample();
    let o = store.queries().overview().unwrap();
    assert_eq!(
        (o.counts.failed, o.counts.waiting, o.counts.retry, o.counts.queued, o.counts.total()),
        (2, 2, 1, 2, 11)
    );
    assert_eq!(o.tasks.iter().map(|t| t.counts.total()).sum::<u64>(), 11);
    assert_eq!(o.oldest_queued, Some(Millis(10)));
    assert_eq!((store.queries().queued().unwrap(), store.queries().due_before(Millis(900)).unwrap()), (2, 2));
    ok(store.configure(vec![task("b", None)], Millis(0)));
    let o = store.queries().overview().unwrap();
    assert_eq!((o.tasks[0].name.as_str(), o.tasks[0].removed, o.tasks[1].removed), ("b", false, true));
    assert_eq!(o.counts.total(), 11, "jobs of a task that is gone are still there");
}

#[test]
fn sizes_that_cannot_be_are_cut_and_read_back() {
    let (_dir, store) = store();
    land(&store, "a", 1..2);
    let c = claim(&store, "a");
    let mut d = Decision::new(c.job, Fence::Attempt(1), placing(c.job, Outcome::Succeeded, None), Millis(1));
    let huge = |n: u64| OutputRecord {
        path: format!("/srv/out/{n}").into(),
        ino: u64::MAX,
        size: u64::MAX - n,
        mtime_ns: i64::MIN,
    };
    (d.rows, d.bytes_in, d.outputs) = (Some(u64::MAX), Some(u64::MAX), vec![huge(0), huge(1)]);
    ok(store.decide(vec![d]));
    assert_eq!(finish(&store, c.job), Some(JobState::Succeeded));
    let job = store.queries().job(c.job, NOW).unwrap().unwrap().job;
    assert_eq!((job.rows, job.bytes_out), (Some(i64::MAX as u64), Some(i64::MAX as u64)));
}

#[test]
fn a_count_beyond_its_bound_says_so() {
    let (_dir, store) = store();
    let many: Vec<_> = (0..JobsPage::COUNT_MAX + 5).map(|n| landed("a", n)).collect();
    ok(store.land(many, Millis(1)));
    let counted = |text: &str| {
        let p = page(&store, text, None, Some(1));
        (p.matching, p.more)
    };
    assert_eq!(counted("csv"), (JobsPage::COUNT_MAX, true));
    assert_eq!(counted("task:a"), (JobsPage::COUNT_MAX + 5, false), "from the kept counts");
    let term = Term { negated: true, test: Test::Task("b".into()) };
    let query = JobsQuery { filter: Filter { terms: vec![term] }, limit: Some(1), ..JobsQuery::default() };
    assert!(store.queries().jobs(&query, NOW).unwrap().more);
}
