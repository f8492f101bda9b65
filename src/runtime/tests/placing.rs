//! S7 to S9: what cannot be placed, what is lost, and names that somebody else took.

use super::*;
use crate::model::Outcome;
use crate::model::job::{Move, MoveKind};
use crate::model::ledger::{Decision, Fence, Verdict};
use crate::runtime::placing::{Placing, place_group};
use std::os::unix::fs::MetadataExt;

/// A decided job with its file in WORK, that goes to this place.
async fn decided(site: &Site, claimed: &Claimed, dst: &Path) -> Vec<Move> {
    assert!(matches!(site.take(claimed), take::Take::Taken(_)));
    let file = claimed.file.as_ref().unwrap();
    let src = file.work_dir(claimed.job).join(&file.name);
    let ino = fs::metadata(&src).unwrap().ino();
    let moves = vec![Move { seq: 0, kind: MoveKind::Original, src, dst: dst.to_owned(), ino }];
    decide(site, claimed, Outcome::Succeeded, &moves).await;
    moves
}

async fn decide(site: &Site, claimed: &Claimed, outcome: Outcome, moves: &[Move]) {
    let verdict =
        Verdict::Place { outcome, failure: None, moves: moves.to_vec(), original: None, record: None, reason: None };
    let decision = Decision::new(claimed.job, Fence::Attempt(claimed.attempt), verdict, site.shared.now());
    site.shared.ledger.decide(vec![decision]).await.unwrap();
}

fn fresh(claimed: &Claimed, moves: Vec<Move>) -> Placing {
    Placing::new(claimed.job, moves, claimed.file.clone(), Box::new(()))
}

#[tokio::test]
async fn a_job_that_cannot_be_placed_holds_up_nobody() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    site.land("b.csv", "2").await;
    let jobs = site.claim().await;
    fs::write(site.path("blocked"), "a file where a folder should be").unwrap();
    let first = decided(&site, &jobs[0], &site.path("blocked/a.csv")).await;
    let second = decided(&site, &jobs[1], &site.path("done/b.csv")).await;
    place_group(&site.shared, vec![fresh(&jobs[0], first), fresh(&jobs[1], second)]).await;
    assert_eq!(site.state(&jobs[1]).await, JobState::Succeeded);
    assert_eq!(site.state(&jobs[0]).await, JobState::Placing);
    assert_eq!(site.shared.stuck.count(), 1);
    assert!(site.shared.banners.lock().unwrap().contains_key("placing_stuck"));

    fs::remove_file(site.path("blocked")).unwrap();
    place_group(&site.shared, site.shared.stuck.take()).await;
    assert_eq!(site.state(&jobs[0]).await, JobState::Succeeded);
    assert_eq!(fs::read(site.path("blocked/a.csv")).unwrap(), b"1");
}

#[tokio::test]
async fn a_job_whose_file_is_lost_is_not_finished_as_if_all_were_well() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let job = site.claim_one().await;
    let moves = decided(&site, &job, &site.path("done/a.csv")).await;
    fs::rename(&moves[0].src, site.path("hidden")).unwrap();
    place_group(&site.shared, vec![fresh(&job, moves.clone())]).await;
    assert_eq!((site.state(&job).await, site.shared.stuck.count()), (JobState::Placing, 1));
    assert!(site.shared.banners.lock().unwrap().contains_key("lost_file"));

    fs::rename(site.path("hidden"), &moves[0].src).unwrap();
    place_group(&site.shared, site.shared.stuck.take()).await;
    assert_eq!(site.state(&job).await, JobState::Succeeded);
}

#[tokio::test]
async fn what_was_fetched_after_a_crash_does_not_hold_its_job() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let job = site.claim_one().await;
    let moves = decided(&site, &job, &site.path("done/a.csv")).await;
    // Placed, and fetched by whoever waited for it, before the supervisor died.
    fs::remove_file(&moves[0].src).unwrap();
    place_group(&site.shared, vec![Placing::left_behind(job.job, moves, job.file.clone())]).await;
    assert_eq!(site.state(&job).await, JobState::Succeeded);
    assert!(site.shared.banners.lock().unwrap().contains_key("lost_file"), "it is said all the same");
}

#[tokio::test]
async fn a_lost_original_is_never_replaced_by_another_file_of_its_name() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let job = site.claim_one().await;
    let mut moves = decided(&site, &job, &site.path("done/a.csv")).await;
    fs::remove_file(&moves[0].src).unwrap();
    fs::write(site.path("inbox/a.csv"), "landed since").unwrap();
    // The inode of the first file was given to the next.
    moves[0].ino = fs::metadata(site.path("inbox/a.csv")).unwrap().ino();
    let mut file = job.file.clone().unwrap();
    file.facts.ino = moves[0].ino;
    place_group(&site.shared, vec![Placing::left_behind(job.job, moves, Some(file))]).await;
    assert_eq!(fs::read(site.path("inbox/a.csv")).unwrap(), b"landed since");
    assert!(!site.path("done/a.csv").exists());
}

#[tokio::test]
async fn a_file_and_its_record_take_another_name_together() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let job = site.claim_one().await;
    assert!(matches!(site.take(&job), take::Take::Taken(_)));
    let src = site.path("inbox/.shiftboss/work/1/a.csv");
    fs::create_dir(site.path("failed")).unwrap();
    let temp = site.path("failed/.sb-1-1-1000001.part");
    fs::write(&temp, "record").unwrap();
    let ino = |path: &Path| fs::metadata(path).unwrap().ino();
    let record = site.path("failed/a.csv.error.json");
    let moves = vec![
        Move { seq: 0, kind: MoveKind::Place, ino: ino(&temp), src: temp, dst: record },
        Move { seq: 1, kind: MoveKind::Original, ino: ino(&src), src, dst: site.path("failed/a.csv") },
    ];
    decide(&site, &job, Outcome::Failed, &moves).await;
    fs::write(site.path("failed/a.csv"), "somebody else's").unwrap();
    place_group(&site.shared, vec![fresh(&job, moves)]).await;
    assert_eq!(site.state(&job).await, JobState::Failed);
    let read = |name: &str| fs::read_to_string(site.path("failed").join(name)).unwrap_or_default();
    assert_eq!([read("a.csv"), read("a-2.csv"), read("a-2.csv.error.json")], ["somebody else's", "1", "record"]);
    assert_eq!(fs::read_dir(site.path("failed")).unwrap().count(), 3);
}
