//! The start after a crash, and the locks that come before it.

use super::*;
use crate::runtime::recover::recover;
use crate::runtime::watching::Watching;

#[tokio::test]
async fn what_was_only_claimed_ahead_was_not_interrupted() {
    let site = Site::new(COMMAND).await;
    for name in ["a", "b", "c"] {
        site.land(name, name).await;
    }
    for _ in 0..4 {
        assert_eq!(site.claim().await.len(), 3);
        recover(&site.shared).await.unwrap();
    }
    let jobs = site.claim().await;
    assert_eq!(jobs.len(), 3, "none failed: no policy, no deaths");
    assert!(jobs.iter().all(|c| c.spent == 1));
}

#[tokio::test]
async fn a_command_that_was_cut_off_fails_with_its_file() {
    let site = Site::new(COMMAND).await;
    site.land("a", "1").await;
    let job = site.claim_one().await;
    assert!(matches!(site.take(&job), take::Take::Taken(_)));
    let site = site.again().await;
    recover(&site.shared).await.unwrap();
    assert_eq!(site.state(&job).await, JobState::Failed);
    assert_eq!(fs::read(site.path("failed/a/a")).unwrap(), b"1");
}

#[tokio::test]
async fn a_file_that_belongs_to_nobody_lands_again_and_that_of_a_job_in_trouble_does_not() {
    let site = Site::new(EXTRACT).await;
    site.land("mine", "1").await;
    let job = site.claim_one().await;
    assert!(matches!(site.take(&job), take::Take::Taken(_)));
    fs::create_dir_all(site.path("inbox/.shiftboss/work/99")).unwrap();
    fs::write(site.path("inbox/.shiftboss/work/99/orphan"), "2").unwrap();
    // The outcome could not be written down: it failed where it was.
    let failure = crate::model::Failure::permanent("outcome_unwritable", "the disk is full");
    let verdict = crate::runtime::prepare::in_place(crate::model::Outcome::Failed, failure);
    let fence = crate::model::ledger::Fence::Attempt(job.attempt);
    let decision = crate::model::ledger::Decision::new(job.job, fence, verdict, site.shared.now());
    site.shared.ledger.decide(vec![decision]).await.unwrap();
    let site = site.again().await;
    assert_eq!(recover(&site.shared).await.unwrap().adopted, 1);
    assert_eq!(fs::read(site.path("inbox/orphan")).unwrap(), b"2");
    assert_eq!(fs::read(site.path("inbox/.shiftboss/work/1/mine")).unwrap(), b"1", "its retry finds it");
}

#[tokio::test]
async fn jobs_of_a_folder_that_is_not_mounted_outlive_a_start() {
    let site = Site::new(EXTRACT).await;
    site.land("a", "1").await;
    fs::rename(site.path("inbox"), site.path("unmounted")).unwrap();
    let site = site.again().await;
    Watching::default().lock(&site.shared, &site.shared.config.load()).unwrap();
    assert_eq!(recover(&site.shared).await.unwrap().gone, 0);
    let job = site.claim_one().await;
    assert!(matches!(site.take(&job), take::Take::Hold(..)), "nor are they withdrawn later");
}

#[tokio::test]
async fn a_file_that_went_away_is_told_from_one_that_may_not_be_looked_at() {
    let site = Site::new(EXTRACT).await;
    site.land("a", "1").await;
    site.land("b", "1").await;
    fs::remove_file(site.path("inbox/b")).unwrap();
    let site = site.again().await;
    assert_eq!(recover(&site.shared).await.unwrap().gone, 1);
    assert_eq!(site.claim_one().await.label, site.path("inbox/a").into_os_string().into_encoded_bytes());
}

#[tokio::test]
async fn one_folder_under_two_names_is_refused() {
    let site = Site::new(EXTRACT).await;
    std::os::unix::fs::symlink(site.path("inbox"), site.path("link")).unwrap();
    let text = "[tasks.a]\nwatch = { dir = \"inbox\", match = [\"*\"] }\nextract = {}\n\
                [tasks.b]\nwatch = { dir = \"link\", match = [\"*\"] }\nextract = {}\n";
    fs::write(site.path("config.toml"), text).unwrap();
    let config = crate::config::load(&site.path("config.toml"), KINDS).unwrap();
    let refused = Watching::default().lock(&site.shared, &config).unwrap_err();
    assert!(refused.message.starts_with("two watched folders are one"), "{refused}");
}
