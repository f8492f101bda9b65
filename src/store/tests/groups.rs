//! Group commit: one commit for whatever waits, each operation on its own in it, nothing acknowledged that is not on
//! the disk, and a memory that always says what the disk says.

use super::audit::{audit, number};
use super::*;
use crate::store::Class;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Keeps the writer busy until told, so that what is sent meanwhile becomes one group.
fn hold(store: &Store) -> (Reply<()>, SyncSender<()>) {
    let (begun_tx, begun): (_, Receiver<()>) = sync_channel(1);
    let (go, wait_for): (_, Receiver<()>) = sync_channel(1);
    let held = sent(store.run(Class::Operator, move |_| {
        begun_tx.send(()).unwrap();
        wait_for.recv().unwrap();
        Ok(())
    }));
    begun.recv().unwrap();
    (held, go)
}

/// The operation, on its way to the writer.
fn sent<T>(mut reply: Reply<T>) -> Reply<T> {
    assert!(reply.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    reply
}

fn pragma(store: &Store, sql: &'static str) -> i64 {
    ok(store.run(Class::Operator, move |t| {
        let mut stmt = t.sql(sql)?;
        let mut rows = stmt.query([])?;
        Ok(rows.next()?.map_or(0, |r| r.get(0).unwrap_or(0)))
    }))
}

#[test]
fn what_waits_is_one_commit_and_each_operation_stands_alone() {
    let (_dir, store) = store();
    let (held, go) = hold(&store);
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for n in 0..60 {
        good.push(sent(store.land(vec![landed("a", n)], Millis(1))));
        if n % 20 == 0 {
            // It wrote before it failed.
            bad.push(sent(store.run(Class::Insert, move |t| {
                t.land(&[landed("a", 500 + n), landed("nobody", 1)], Millis(1)).map(|_| ())
            })));
            bad.push(sent(store.run(Class::Insert, move |t| {
                t.land(&[landed("a", 600 + n)], Millis(1))?;
                panic!("a planner that panics");
            })));
        }
    }
    go.send(()).unwrap();
    ok(held);
    for reply in good {
        assert_eq!(ok(reply).new, 1);
        assert_eq!(number(&store, "SELECT count(*) FROM job"), 60, "the first answer comes after the one commit");
        assert_eq!(store.rev(), number(&store, "SELECT value FROM meta WHERE key = 'rev'"));
    }
    for reply in bad {
        assert!(matches!(wait(reply), Err(StoreError::Fault(_))));
    }
    audit(&store);
    assert_eq!(try_claim(&store, "a", 100, 100, 1).jobs.len(), 60);
}

#[test]
fn a_group_goes_by_importance() {
    let (_dir, store) = store();
    let (held, go) = hold(&store);
    let order = Arc::new(Mutex::new(Vec::new()));
    let classes = [Class::Retention, Class::Insert, Class::Claim, Class::Finish, Class::Operator, Class::Claim];
    let replies: Vec<_> = classes
        .into_iter()
        .map(|class| {
            let order = Arc::clone(&order);
            sent(store.run(class, move |_| {
                order.lock().unwrap().push(class);
                Ok(())
            }))
        })
        .collect();
    go.send(()).unwrap();
    ok(held);
    replies.into_iter().for_each(ok);
    let mut sorted = classes.to_vec();
    sorted.sort();
    assert_eq!(*order.lock().unwrap(), sorted);
}

#[test]
fn a_group_that_cannot_be_written_acknowledges_nothing_and_leaves_no_trace() {
    let (_dir, store) = store();
    land(&store, "a", 0..3);
    let c = claim(&store, "a");
    let before = store.rev();
    let (held, go) = hold(&store);
    let new_task = vec![task("a", None), task("new", None)];
    let mut doomed = vec![
        sent(store.run(Class::Operator, move |t| t.configure(&new_task).map(|_| ()))),
        sent(store.run(Class::Operator, |t| t.recover("host-b", "boot-9", Millis(5)).map(|_| ()))),
    ];
    let job = c.job;
    doomed.push(sent(store.run(Class::Finish, move |t| {
        let d = Decision::new(job, Fence::Attempt(1), placing(job, Outcome::Failed, Some(boom())), Millis(1));
        t.decide(&[d])?;
        t.finish(&[job], Millis(2)).map(|_| ())
    })));
    doomed.push(sent(store.run(Class::Insert, |t| t.land(&[landed("new", 1), landed("a", 9)], Millis(1)).map(|_| ()))));
    doomed.push(sent(store.run(Class::Retention, |_| Err(StoreError::Paused("no space".into())))));
    go.send(()).unwrap();
    ok(held);
    for reply in doomed {
        assert!(matches!(wait(reply), Err(StoreError::Paused(_))));
    }
    assert_eq!(store.rev(), before);
    audit(&store);
    let unknown = wait(store.land(vec![landed("new", 1)], Millis(1)));
    assert!(matches!(unknown, Err(StoreError::Fault(_))), "the task is not known, in memory or on disk");
    assert_eq!(end(&store, &c, placing(c.job, Outcome::Succeeded, None)), Decided::Now(JobState::Placing));
    assert_eq!(finish(&store, c.job), Some(JobState::Succeeded));
    assert_eq!(queued(&store, "a"), 2);
    audit(&store);
}

#[test]
fn a_full_disk_pauses_the_store_and_space_heals_it() {
    let (_dir, store) = store();
    land(&store, "a", 0..10);
    let pages = pragma(&store, "PRAGMA page_count");
    // The database may grow by ten pages and no more.
    let limit: &'static str = Box::leak(format!("PRAGMA max_page_count = {}", pages + 10).into_boxed_str());
    pragma(&store, limit);
    let mut acknowledged = 10;
    let mut refused = 0;
    for n in 100..2000 {
        match wait(store.land(vec![landed("a", n)], Millis(1))) {
            Ok(landing) => acknowledged += landing.new as i64,
            Err(StoreError::Paused(_)) => refused += 1,
            Err(e) => panic!("{e}"),
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "it never filled up");
    assert_eq!(number(&store, "SELECT count(*) FROM job"), acknowledged);
    audit(&store);
    pragma(&store, "PRAGMA max_page_count = 1073741823");
    land(&store, "a", 5000..5010);
    assert_eq!(number(&store, "SELECT count(*) FROM job"), acknowledged + 10);
    assert_eq!(queued(&store, "a"), acknowledged as u64 + 10);
    audit(&store);
}

#[test]
fn a_lock_held_by_another_program_is_waited_for() {
    let (dir, store) = store();
    let other = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut reply = sent(store.land(vec![landed("a", 7)], Millis(1)));
    assert!(reply.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ok(reply).new, 1);
}

#[test]
fn an_operation_nobody_waits_for_is_done_all_the_same() {
    let (_dir, store) = store();
    let (held, go) = hold(&store);
    drop(sent(store.land(vec![landed("a", 1)], Millis(1))));
    drop(store.land(vec![landed("a", 2)], Millis(1)));
    go.send(()).unwrap();
    ok(held);
    // After everything that waited, also within its group.
    ok(store.run(Class::Retention, |_| Ok(())));
    assert_eq!(queued(&store, "a"), 1, "what was sent is done; what was never asked for is not");
}

#[test]
fn a_closed_store_says_so_and_its_last_commit_stands() {
    let (dir, store) = store();
    let (held, go) = hold(&store);
    let landed_last = sent(store.land(vec![landed("a", 1)], Millis(1)));
    go.send(()).unwrap();
    store.close();
    ok(held);
    assert_eq!(ok(landed_last).new, 1);
    assert_eq!(wait(store.land(vec![landed("a", 2)], Millis(1))), Err(StoreError::Closed));
    store.close();
    let clean = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let clean: i64 = clean.query_row("SELECT value FROM meta WHERE key = 'clean'", [], |r| r.get(0)).unwrap();
    assert_eq!(clean, 1);
}

#[test]
fn the_last_handle_may_be_dropped_by_an_operation() {
    let (dir, store) = store();
    let (held, go) = hold(&store);
    let last = store.clone();
    drop(sent(store.run(Class::Retention, move |_| {
        drop(last);
        Ok(())
    })));
    drop(store);
    drop(held);
    go.send(()).unwrap();
    let path = dir.path().join("store.db");
    let conn = rusqlite::Connection::open(path).unwrap();
    let deadline = std::time::Instant::now() + ms(20_000);
    while conn.query_row("SELECT value FROM meta WHERE key = 'clean'", [], |r| r.get::<_, i64>(0)).unwrap() == 0 {
        assert!(std::time::Instant::now() < deadline, "the writer did not end");
        std::thread::yield_now();
    }
}
