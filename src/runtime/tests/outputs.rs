//! What an attempt gets from its desk, and what becomes of outputs whose names are taken.

use super::*;
use crate::model::action::{Desk, OUTPUT_BUSY, Report, SmallOutput, Stop};
use crate::model::ledger::{Decided, Verdict};
use crate::model::{Failure, OnExists, Vars};
use crate::runtime::desk::JobDesk;
use crate::runtime::outputs::SMALL_MAX;
use crate::runtime::placing::{Placing, place_group};
use crate::runtime::prepare::{self, Prepared};
use crate::runtime::sync::Batch;
use crate::runtime::worker::{self, End, Ended};
use std::io::Write;

/// The desk of a claimed job whose file was taken.
fn desk(site: &Site, claimed: &Claimed) -> (JobDesk, Box<take::Taken>) {
    let take::Take::Taken(taken) = site.take(claimed) else { panic!("not taken") };
    (JobDesk::new(Arc::clone(&site.shared), claimed.clone(), worker::live(&site.task())), taken)
}

/// Writes one output.
fn write(desk: &JobDesk, target: &Path, on_exists: OnExists, content: &str) -> Result<PathBuf, Failure> {
    let mut output = desk.outputs(target, &|_| Vec::new(), on_exists)?.remove(0);
    output.file.write_all(content.as_bytes()).unwrap();
    Ok(output.target)
}

/// What the end of an attempt comes to.
fn end(
    site: &Site,
    claimed: &Claimed,
    (desk, taken): (JobDesk, Box<take::Taken>),
    result: Result<(), Failure>,
) -> Prepared {
    let result = result.map(|()| Report::default());
    let end = End::Worked { result, stop: None, left: desk.clear(), taken: Some(taken) };
    let (claimed, at) = (claimed.clone(), site.shared.now());
    let mut batch = Batch::default();
    let vars = Vars { name: claimed.file.as_ref().unwrap().name.clone(), task: "a".into(), ..Vars::default() };
    let ended = Ended { claimed, task: site.task(), end, vars, at };
    let prepared = prepare::prepare(&site.shared, ended, &mut batch);
    batch.sync(false).unwrap();
    prepared
}

async fn place(site: &Site, prepared: Prepared) {
    let decided = site.shared.ledger.decide(vec![prepared.decision.clone()]).await.unwrap().decided;
    assert_eq!(decided, [Decided::Now(JobState::Placing)]);
    let Verdict::Place { moves, .. } = prepared.decision.verdict else { panic!("not placed") };
    let keep = Box::new((prepared.held, prepared.taken));
    place_group(&site.shared, vec![Placing::new(prepared.claimed.job, moves, prepared.claimed.file, keep)]).await;
}

async fn two_jobs(site: &Site) -> (Claimed, Claimed) {
    site.land("a", "1").await;
    site.land("b", "2").await;
    let mut jobs = site.claim().await;
    (jobs.remove(0), jobs.remove(0))
}

#[tokio::test]
async fn an_output_that_replaces_goes_over_a_file_in_one_step() {
    let site = Site::new(EXTRACT).await;
    let (first, second) = two_jobs(&site).await;
    let target = site.path("out/x.csv");
    fs::create_dir(site.path("out")).unwrap();
    fs::write(&target, "old").unwrap();

    let at_work = desk(&site, &first);
    assert_eq!(write(&at_work.0, &target, OnExists::Replace, "new").unwrap(), target);
    let other = desk(&site, &second);
    let busy = write(&other.0, &target, OnExists::Replace, "newer").unwrap_err();
    assert_eq!((busy.code.as_str(), busy.class.name()), (OUTPUT_BUSY, "transient"));
    let waits = end(&site, &second, other, Err(busy)).decision;
    assert!(!waits.charged && matches!(&waits.verdict, Verdict::Hold { reason, .. } if reason.contains("x.csv")));

    assert_eq!(fs::read(&target).unwrap(), b"old", "nothing is visible before the decision");
    let prepared = end(&site, &first, at_work, Ok(()));
    place(&site, prepared).await;
    assert_eq!(site.state(&first).await, JobState::Succeeded);
    assert_eq!(fs::read(&target).unwrap(), b"new");

    let after = desk(&site, &second);
    write(&after.0, &target, OnExists::Replace, "newer").unwrap();
    let prepared = end(&site, &second, after, Ok(()));
    place(&site, prepared).await;
    assert_eq!(fs::read(&target).unwrap(), b"newer");
    assert_eq!(fs::read_dir(site.path("out")).unwrap().count(), 1, "no temporary file is left");
}

#[tokio::test]
async fn an_output_that_must_be_new_is_looked_at_twice() {
    let site = Site::new(EXTRACT).await;
    let (first, second) = two_jobs(&site).await;
    let target = site.path("out/x.csv");

    let at_work = desk(&site, &first);
    write(&at_work.0, &target, OnExists::Fail, "mine").unwrap();
    fs::write(&target, "theirs").unwrap();
    let prepared = end(&site, &first, at_work, Ok(()));
    let Verdict::Place { failure: Some(failure), .. } = &prepared.decision.verdict else { panic!("it succeeded") };
    assert_eq!((failure.code.as_str(), failure.class.name()), ("output_exists", "permanent"));
    assert!(failure.message.ends_with(target.to_str().unwrap()), "{}", failure.message);
    assert_eq!(prepared.drop.len(), 1, "its output goes");
    drop(prepared);

    let other = desk(&site, &second);
    assert_eq!(write(&other.0, &target, OnExists::Fail, "").unwrap_err().code, "output_exists");
    assert_eq!(fs::read(&target).unwrap(), b"theirs");
}

#[tokio::test]
async fn one_job_has_one_output_of_a_name() {
    let site = Site::new(EXTRACT).await;
    let (first, _) = two_jobs(&site).await;
    let (desk, _taken) = desk(&site, &first);
    let target = site.path("out/x.csv");
    write(&desk, &target, OnExists::Fail, "").unwrap();
    assert_eq!(write(&desk, &target, OnExists::Replace, "").unwrap_err().code, "output_twice");
    assert_eq!(write(&desk, &target, OnExists::Suffix, "").unwrap(), site.path("out/x-2.csv"));
    fs::create_dir(site.path("out/folder")).unwrap();
    let folder = write(&desk, &site.path("out/folder"), OnExists::Replace, "").unwrap_err();
    assert_eq!((folder.code.as_str(), folder.class.name()), ("output_exists", "permanent"));
}

fn small(target: &Path, on_exists: OnExists, content: &str) -> SmallOutput {
    SmallOutput { target: target.to_owned(), on_exists, content: content.into() }
}

#[tokio::test]
async fn a_small_output_is_placed_like_any_other() {
    let site = Site::new(EXTRACT).await;
    let (first, second) = two_jobs(&site).await;
    let target = site.path("out/x.json");
    let (one, two) = (desk(&site, &first), desk(&site, &second));
    one.0.small_output(small(&target, OnExists::Suffix, "one")).unwrap();
    two.0.small_output(small(&target, OnExists::Suffix, "two")).unwrap();
    assert!(!site.path("out").exists(), "it is no file before the attempt has ended");
    let (one, two) = (end(&site, &first, one, Ok(())), end(&site, &second, two, Ok(())));
    assert!(!target.exists(), "nothing is visible before the decision");
    assert_eq!(one.decision.outputs[0].size, 3);
    assert_eq!(two.decision.outputs[0].path, site.path("out/x-2.json"), "the name of the first is held for it");
    place(&site, one).await;
    place(&site, two).await;
    assert_eq!(fs::read(&target).unwrap(), b"one");
    assert_eq!(fs::read(site.path("out/x-2.json")).unwrap(), b"two");
    assert_eq!(fs::read_dir(site.path("out")).unwrap().count(), 2, "no temporary file is left");
}

#[tokio::test]
async fn a_small_output_whose_name_is_taken_fails_waits_or_replaces() {
    let site = Site::new(EXTRACT).await;
    let (first, second) = two_jobs(&site).await;
    let target = site.path("out/x.json");
    fs::create_dir(site.path("out")).unwrap();
    fs::write(&target, "theirs").unwrap();

    let at_work = desk(&site, &first);
    at_work.0.small_output(small(&target, OnExists::Fail, "mine")).unwrap();
    let failed = end(&site, &first, at_work, Ok(()));
    let Verdict::Place { failure: Some(failure), .. } = &failed.decision.verdict else { panic!("it succeeded") };
    assert_eq!((failure.code.as_str(), failure.class.name()), ("output_exists", "permanent"));
    drop(failed);

    let at_work = desk(&site, &first);
    write(&at_work.0, &target, OnExists::Replace, "new").unwrap();
    let other = desk(&site, &second);
    other.0.small_output(small(&target, OnExists::Replace, "newer")).unwrap();
    let waits = end(&site, &second, other, Ok(())).decision;
    assert!(!waits.charged && matches!(&waits.verdict, Verdict::Hold { reason, .. } if reason.contains("x.json")));
    let prepared = end(&site, &first, at_work, Ok(()));
    place(&site, prepared).await;

    let after = desk(&site, &second);
    after.0.small_output(small(&target, OnExists::Replace, "newer")).unwrap();
    let prepared = end(&site, &second, after, Ok(()));
    place(&site, prepared).await;
    assert_eq!(fs::read(&target).unwrap(), b"newer");
    assert_eq!(fs::read_dir(site.path("out")).unwrap().count(), 1, "no temporary file is left");
}

#[tokio::test]
async fn a_small_output_of_a_failed_attempt_never_becomes_a_file() {
    let site = Site::new(EXTRACT).await;
    let (first, _) = two_jobs(&site).await;
    let target = site.path("out/x.json");
    let at_work = desk(&site, &first);
    at_work.0.small_output(small(&target, OnExists::Suffix, "mine")).unwrap();
    drop(end(&site, &first, at_work, Err(Failure::permanent("http_status", "answered 404"))));
    assert!(!site.path("out").exists());
}

#[tokio::test]
async fn what_is_not_small_or_not_alone_is_given_back() {
    let site = Site::new(EXTRACT).await;
    let (first, _) = two_jobs(&site).await;
    let (desk, _taken) = desk(&site, &first);
    let target = site.path("out/x.json");
    let large = small(&target, OnExists::Suffix, &"x".repeat(SMALL_MAX + 1));
    assert_eq!(desk.small_output(large).unwrap_err().content.len(), SMALL_MAX + 1);
    desk.small_output(small(&target, OnExists::Suffix, &"x".repeat(SMALL_MAX))).unwrap();
    assert!(desk.small_output(small(&target, OnExists::Suffix, "x")).is_err());
}

#[tokio::test]
async fn memory_is_lent_once_and_waited_for_until_a_stop() {
    let site = Site::new(EXTRACT).await;
    let (first, second) = two_jobs(&site).await;
    let total = site.shared.config.load().memory;
    let (one, _) = desk(&site, &first);
    let grant = one.memory(u64::MAX).unwrap();
    assert_eq!((grant.bytes(), one.memory(1).unwrap_err().code.as_str()), (total, "internal"));

    let live = worker::live(&site.task());
    let other = JobDesk::new(Arc::clone(&site.shared), second.clone(), Arc::clone(&live));
    live.stop.stop(Stop::Cancel);
    assert_eq!(other.memory(1).unwrap_err().code, "stopped");
    drop(grant);
    assert_eq!(other.memory(1).unwrap().bytes(), 1, "a share that was not had is no share that is held");
    assert_eq!(one.memory(2).unwrap().bytes(), 2);
    assert_eq!(site.shared.memory.in_use(), (0, total));
}
