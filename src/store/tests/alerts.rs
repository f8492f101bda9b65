//! Notices, what is open, what channels were told, and the outbox.

use super::audit::audit;
use super::*;
use crate::model::alert::outbox::{Mark, NewMessage, Outbox, Source, Standing, Told, ToldState, Trouble};
use crate::model::alert::{Message, MessageKind, Notice, Severity};
use crate::model::ledger::Keep;
use crate::store::OUTBOX_MAX;

fn standing(store: &Store) -> Standing {
    store.queries().standing(Millis(1000)).unwrap()
}

fn only(store: &Store) -> Trouble {
    let mut troubles = standing(store).troubles;
    assert_eq!(troubles.len(), 1);
    troubles.remove(0)
}

fn message(subject: &str, severity: Severity) -> Message {
    Message {
        severity,
        kind: MessageKind::First,
        subject: subject.into(),
        facts: Vec::new(),
        text: String::new(),
        html: None,
        log: Vec::new(),
        commands: Vec::new(),
        task: None,
        host: "box".into(),
        count: 1,
        at: Millis(5),
    }
}

fn new(key: &str, severity: Severity) -> NewMessage {
    NewMessage { channel: "ops".into(), key: key.into(), message: message(key, severity) }
}

/// What a channel knows of a trouble that it was told of.
fn told(trouble: &Trouble) -> Told {
    Told {
        channel: "ops".into(),
        source: trouble.source,
        id: trouble.id,
        born: trouble.born,
        state: ToldState::Told,
        episode: 1,
        seq: 1,
        since: Millis(7),
        first_at: Some(Millis(7)),
        told_at: Some(Millis(7)),
        told_total: trouble.total,
        over_total: 0,
    }
}

#[test]
fn a_cause_is_open_until_the_last_of_its_jobs_is_decided_again() {
    let (_dir, store) = store();
    land(&store, "a", 0..3);
    let jobs: Vec<JobId> = (0..3).map(|_| run_one(&store, "a", Outcome::Failed).job).collect();
    let cause = only(&store);
    assert_eq!((cause.open, cause.total, cause.is_open, cause.code.as_str()), (3, 3, true, "boom"));
    ok(store.put(vec![new("1", Severity::Error)], vec![told(&cause)], Millis(7)));
    for job in &jobs {
        assert!(retry(&store, *job));
    }
    let cause = only(&store);
    assert_eq!((cause.open, cause.is_open), (0, true), "nobody knows yet whether a retry helps");
    audit(&store);
    run_one(&store, "a", Outcome::Succeeded);
    run_one(&store, "a", Outcome::Failed);
    assert_eq!((only(&store).open, only(&store).total), (1, 4));
    run_one(&store, "a", Outcome::Skipped);
    assert!(only(&store).is_open);
    retry(&store, jobs[1]);
    run_one(&store, "a", Outcome::Succeeded);
    let cause = only(&store);
    assert_eq!((cause.open, cause.is_open), (0, false), "it is looked at because the channel was told");
    audit(&store);
    ok(store.put(Vec::new(), vec![Told { state: ToldState::Over, ..told(&cause) }], Millis(8)));
    assert!(standing(&store).troubles.is_empty());
}

#[test]
fn a_later_run_that_succeeds_ends_a_cause_without_files() {
    let (_dir, store) = store();
    let begin = |store: &Store| {
        let start = crate::model::ledger::Start {
            task: "a".into(),
            priority: 0,
            files: Vec::new(),
            count: 1,
            items: Vec::new(),
            label: b"by hand".to_vec(),
        };
        ok(store.start(start, operator(None)));
    };
    begin(&store);
    run_one(&store, "a", Outcome::Failed);
    assert!(only(&store).is_open);
    begin(&store);
    assert!(only(&store).is_open);
    run_one(&store, "a", Outcome::Succeeded);
    assert!(!only(&store).is_open, "the failed job stays failed, and nobody needs to care");
    begin(&store);
    run_one(&store, "a", Outcome::Failed);
    assert!(only(&store).is_open);
}

#[test]
fn ten_thousand_failures_are_one_cause() {
    let (_dir, store) = store();
    land(&store, "a", 0..10_000);
    loop {
        let jobs = try_claim(&store, "a", 500, u32::MAX, 20).jobs;
        if jobs.is_empty() {
            break;
        }
        let failed =
            |c: &Claimed| Decision::new(c.job, Fence::Attempt(1), bare(Outcome::Failed, Some(boom())), Millis(30));
        ok(store.decide(jobs.iter().map(failed).collect()));
    }
    let cause = only(&store);
    assert_eq!((cause.open, cause.total), (10_000, 10_000));
    let sample = store.queries().samples(&[cause.id]).unwrap().remove(&cause.id).unwrap();
    assert_eq!((sample.job, sample.failure), (JobId(10_000), Some(boom())));
}

fn notice(key: &str) -> Notice {
    Notice {
        task: Some("a".into()),
        kind: "overdue",
        key: key.into(),
        severity: Severity::Warning,
        text: "no run since yesterday".into(),
    }
}

#[test]
fn a_notice_is_raised_and_cleared() {
    let (_dir, store) = store();
    ok(store.raise(notice(""), Millis(5)));
    ok(store.raise(notice(""), Millis(9)));
    let open = only(&store);
    assert_eq!((open.source, open.total, open.born, open.last_at), (Source::Notice, 2, Millis(5), Millis(9)));
    assert_eq!((open.severity, open.task.as_deref()), (Severity::Warning, Some("a")));
    assert!(ok(store.clear(Some("a".into()), "overdue".into(), String::new(), Millis(10))));
    assert!(!ok(store.clear(Some("a".into()), "overdue".into(), String::new(), Millis(10))));
    assert!(standing(&store).troubles.is_empty());
    ok(store.raise(notice(""), Millis(20)));
    assert_eq!(only(&store).total, 3);
}

#[test]
fn a_message_and_what_is_known_are_one_commit_and_survive() {
    let (dir, store) = store();
    ok(store.raise(notice(""), Millis(5)));
    let row = told(&only(&store));
    let first = vec![new("k", Severity::Error), new("k", Severity::Error), new("l", Severity::Warning)];
    assert_eq!(ok(store.put(first, vec![row.clone()], Millis(7))), 2, "a key is taken once");
    let (_image, store) = crashed(store, &dir);
    assert_eq!(standing(&store).told, [row]);
    assert_eq!(standing(&store).made.len(), 2);
    let waiting = store.queries().waiting("ops", Millis(100), 10).unwrap();
    let subjects: Vec<&str> = waiting.iter().map(|w| w.message.subject.as_str()).collect();
    assert_eq!(subjects, ["k", "l"]);
    let later = Mark::Later { at: Millis(500), error: "busy".into() };
    ok(store.mark(waiting[0].id, later, Millis(100)));
    ok(store.mark(waiting[1].id, Mark::Sent, Millis(100)));
    assert!(store.queries().waiting("ops", Millis(100), 10).unwrap().is_empty());
    assert_eq!(store.queries().next_try("ops").unwrap(), Some(Millis(500)));
    let row = store.queries().channel("ops", Millis(100)).unwrap();
    assert_eq!((row.waiting, row.sent, row.error.as_deref()), (1, 1, Some("busy")));
    let again = store.queries().waiting("ops", Millis(500), 10).unwrap();
    assert_eq!((again[0].id, again[0].tries), (waiting[0].id, 1));
    ok(store.mark(waiting[0].id, Mark::GivenUp { error: "no such user".into() }, Millis(600)));
    let states: Vec<String> = store.queries().messages().unwrap().into_iter().map(|m| m.state).collect();
    assert_eq!(states, ["sent", "given_up"]);
    ok(store.mark(waiting[0].id, Mark::Sent, Millis(700)));
    assert_eq!(store.queries().messages().unwrap()[1].state, "given_up", "it does not wait any more");
}

#[test]
fn a_full_outbox_gives_up_the_lightest_first() {
    let (_dir, store) = store();
    ok(store.put(vec![new("grave", Severity::Error), new("light", Severity::Recovered)], Vec::new(), Millis(7)));
    let many = |from: usize, to: usize| (from..to).map(|n| new(&n.to_string(), Severity::Error)).collect::<Vec<_>>();
    ok(store.put(many(0, OUTBOX_MAX - 2), Vec::new(), Millis(8)));
    assert_eq!(store.queries().channel("ops", Millis(9)).unwrap().waiting, OUTBOX_MAX as u64);
    ok(store.put(vec![new("one more", Severity::Error)], Vec::new(), Millis(9)));
    let waiting = store.queries().waiting("ops", Millis(10), u32::MAX).unwrap();
    assert_eq!(waiting.len(), OUTBOX_MAX);
    assert!(waiting.iter().any(|w| w.message.subject == "grave"));
    assert!(!waiting.iter().any(|w| w.message.subject == "light"));
}

#[test]
fn a_channel_that_is_gone_leaves_nothing_that_waits() {
    let (_dir, store) = store();
    ok(store.raise(notice(""), Millis(5)));
    let row = told(&only(&store));
    ok(store.put(vec![new("k", Severity::Error)], vec![row], Millis(7)));
    assert_eq!(ok(store.keep_channels(vec!["ops".into()], Millis(8))), 0);
    assert_eq!(ok(store.keep_channels(vec!["other".into()], Millis(8))), 1);
    assert!(standing(&store).told.is_empty());
    assert_eq!(store.queries().messages().unwrap()[0].state, "given_up");
}

#[test]
fn what_is_over_is_pruned_with_what_was_told_of_it() {
    let (_dir, store) = store();
    land(&store, "a", 0..1);
    let job = run_one(&store, "a", Outcome::Failed).job;
    let cause = only(&store);
    let over = Told { state: ToldState::Over, ..told(&cause) };
    ok(store.put(vec![new("k", Severity::Error)], vec![over], Millis(7)));
    retry(&store, job);
    run_one(&store, "a", Outcome::Succeeded);
    let far = Millis(1 << 50);
    ok(store.prune(Keep { succeeded_before: far, succeeded_max: 0, failed_before: far, failed_max: 0 }));
    assert!(standing(&store).told.is_empty());
    assert_eq!(store.queries().messages().unwrap().len(), 1, "what waits is never pruned");
}
