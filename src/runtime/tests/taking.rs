//! S3: whose file is taken, whose is left, and what is said when there is none.

use super::*;
use crate::runtime::take::Take;
use std::os::unix::fs::MetadataExt;

fn gone(take: &Take) -> &str {
    match take {
        Take::Gone(code, _) => code,
        Take::Hold(reason, _) => reason,
        Take::Failed(failure) => &failure.code,
        Take::Taken(_) => "taken",
    }
}

#[tokio::test]
async fn a_claim_that_never_took_its_file_does_not_make_it_ours() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let first = site.claim_one().await;
    site.shared.ledger.put_back(vec![(first.job, first.attempt)]).await.unwrap();
    let second = site.claim_one().await;
    assert_eq!(second.attempt, 2);
    fs::rename(site.path("inbox/a.csv"), site.path("elsewhere")).unwrap();
    assert_eq!(gone(&site.take(&second)), "input_gone");
    fs::write(site.path("inbox/a.csv"), "another").unwrap();
    assert_eq!(gone(&site.take(&second)), "input_replaced");
    assert_eq!(fs::read(site.path("inbox/a.csv")).unwrap(), b"another");
    fs::remove_file(site.path("inbox/a.csv")).unwrap();
    fs::rename(site.path("elsewhere"), site.path("inbox/a.csv")).unwrap();
    assert_eq!(gone(&site.take(&second)), "taken", "it was moved and came back: the same file");
}

#[tokio::test]
async fn a_file_that_was_ours_and_is_nowhere_is_a_failure_and_a_new_one_of_its_name_is_spared() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let mut claimed = site.claim_one().await;
    assert_eq!(gone(&site.take(&claimed)), "taken");
    claimed.attempt = 2;
    fs::write(site.path("inbox/a.csv"), "the next one").unwrap(); // before the other goes: another inode
    fs::remove_file(site.path("inbox/.shiftboss/work/1/a.csv")).unwrap();
    assert_eq!(gone(&site.take(&claimed)), "input_vanished");
    assert_eq!(fs::read(site.path("inbox/a.csv")).unwrap(), b"the next one");
}

#[tokio::test]
async fn an_empty_mount_point_is_not_all_files_deleted() {
    let site = Site::new(EXTRACT).await;
    site.shared.roots.locked(&site.path("inbox"), true);
    site.land("a.csv", "1").await;
    let claimed = site.claim_one().await;
    fs::rename(site.path("inbox"), site.path("unmounted")).unwrap();
    fs::create_dir(site.path("inbox")).unwrap();
    assert!(matches!(site.take(&claimed), Take::Hold(why, _) if why.contains("perhaps not mounted")));
    fs::remove_dir_all(site.path("inbox")).unwrap();
    fs::rename(site.path("unmounted"), site.path("inbox")).unwrap();
    assert_eq!(gone(&site.take(&claimed)), "taken");
}

#[tokio::test]
async fn another_name_of_a_file_is_left_alone() {
    let site = Site::new(EXTRACT).await;
    fs::write(site.path("theirs"), "content").unwrap();
    site.land("b.csv", "x").await;
    let claimed = site.claim_one().await;
    fs::remove_file(site.path("inbox/b.csv")).unwrap();
    fs::hard_link(site.path("theirs"), site.path("inbox/b.csv")).unwrap();
    let mut file = claimed.file.clone().unwrap();
    let facts = Dir::open(&site.path("inbox")).unwrap().stat(OsStr::new("b.csv")).unwrap().unwrap().facts;
    file.facts = facts;
    let Take::Taken(taken) = take::take(&site.shared, &site.task(), &claimed, &file) else { panic!("not taken") };
    assert_ne!(taken.facts.ino, facts.ino, "worked on as a copy");
    assert!(!site.path("inbox/b.csv").exists());
    assert_eq!(fs::read(site.path("theirs")).unwrap(), b"content");
    assert_eq!(fs::metadata(site.path("theirs")).unwrap().nlink(), 1);
}

#[tokio::test]
async fn what_the_action_leaves_in_the_place_of_its_input_is_what_is_set_aside() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let claimed = site.claim_one().await;
    let Take::Taken(mut taken) = site.take(&claimed) else { panic!("not taken") };
    assert!(taken.check().is_ok());
    let path = taken.path();
    fs::write(site.path("edited"), "2").unwrap();
    fs::rename(site.path("edited"), &path).unwrap();
    assert_eq!(taken.check().unwrap_err().code, "input_changed");
    assert_eq!(taken.facts.ino, fs::metadata(&path).unwrap().ino());
    fs::remove_file(&path).unwrap();
    assert_eq!(taken.check().unwrap_err().code, "input_vanished");
    assert!(taken.lost);
}

#[tokio::test]
async fn a_link_pair_in_work_loses_its_old_name() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let claimed = site.claim_one().await;
    fs::create_dir_all(site.path("inbox/.shiftboss/work/1")).unwrap();
    fs::hard_link(site.path("inbox/a.csv"), site.path("inbox/.shiftboss/work/1/a.csv")).unwrap();
    assert_eq!(gone(&site.take(&claimed)), "taken");
    assert!(!site.path("inbox/a.csv").exists());
}

#[tokio::test]
async fn a_file_that_never_settles_is_looked_at_less_and_less_often() {
    let site = Site::new(EXTRACT).await;
    site.land("a.csv", "1").await;
    let mut claimed = site.claim_one().await;
    fs::write(site.path("inbox/a.csv"), "1 and more").unwrap();
    let mut waits = Vec::new();
    for attempt in [1, 2, 3, 100] {
        claimed.attempt = attempt;
        let Take::Hold(_, wait) = site.take(&claimed) else { panic!("taken") };
        waits.push(wait.as_secs());
    }
    assert_eq!(waits, [2, 4, 8, 300]);
}
