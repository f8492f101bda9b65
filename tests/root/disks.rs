//! Disks that are full, read-only, or not the same.

use crate::mounts;
use crate::need_root;
use crate::support::{BAD, GOOD, ORDERS, Site, until};

fn banner(site: &Site, code: &str) -> bool {
    site.json("status")["banners"].as_array().unwrap().iter().any(|b| b["code"] == code)
}

#[test]
fn a_full_data_folder_stops_acknowledging_and_loses_nothing() {
    need_root();
    let site = Site::new(ORDERS);
    let Some(disk) = mounts::tmpfs(&site, "data", "8m") else { return };
    let supervisor = site.start();
    site.land("inbox/before.csv", GOOD);
    site.land("inbox/bad.csv", BAD);
    site.job_in("before.csv", "succeeded");
    let failed = site.job_in("bad.csv", "failed")["id"].as_i64().unwrap();

    let ballast = disk.fill();
    for n in 0..20 {
        site.land(&format!("inbox/full-{n}.csv"), GOOD);
    }
    // What is said to be done is on the disk: so nothing is, and that is said.
    let mut acknowledged = 0;
    let refused = until("a refusal", || {
        let answer = site.run_args(["skip", &failed.to_string(), "--reason", "x", "--json"]);
        if answer.code == 0 {
            acknowledged += 1;
        }
        (answer.code == 1).then_some(answer)
    });
    assert!(acknowledged == 0 || site.job("bad.csv").unwrap()["state"] == "skipped", "{refused:?}");
    until("the banner", || banner(&site, "store_paused").then_some(()));
    assert!(site.run("jobs").code == 0, "looking is still possible");
    let done = site.json("status")["counts"]["succeeded"].as_u64().unwrap();
    assert!(done < 21, "not everything can have been written down");

    std::fs::remove_file(ballast).unwrap();
    until("all of them", || (site.json("status")["counts"]["succeeded"] == 21).then_some(()));
    until("the banner to go", || (!banner(&site, "store_paused")).then_some(()));
    assert_eq!(site.tree("processed").len(), 21);
    assert_eq!(site.tree("inbox"), [""; 0]);
    drop(supervisor);
    let idle = site.run("run --until-idle --wait 0s --json").expect(0);
    assert_eq!(idle.json()["succeeded"], 0, "nothing was done twice");
}

#[test]
fn a_full_disk_for_outputs_holds_jobs_and_does_not_fail_them() {
    need_root();
    let site = Site::new(ORDERS);
    let Some(disk) = mounts::tmpfs(&site, "out", "1m") else { return };
    let ballast = disk.fill();
    let _supervisor = site.start();
    site.land("inbox/a.csv", GOOD);
    let waiting = site.job_in("a.csv", "waiting");
    assert!(waiting.to_string().to_lowercase().contains("space"), "{waiting}");
    assert_eq!(site.tree("out"), ["out/ballast"], "nothing half-written is left");
    std::fs::remove_file(ballast).unwrap();
    site.run(&format!("retry {}", waiting["id"])).expect(0);
    let done = site.job_in("a.csv", "succeeded");
    assert_eq!(done["spent"], 1, "{done}");
    assert_eq!(site.tree("out"), ["out/a.csv.json", "out/a.csv.normalised.csv"]);
}

#[test]
fn other_file_systems_are_crossed_by_a_verified_copy() {
    need_root();
    let site = Site::new(ORDERS);
    let Some(_processed) = mounts::tmpfs(&site, "processed", "4m") else { return };
    let Some(_failed) = mounts::tmpfs(&site, "failed", "4m") else { return };
    let _supervisor = site.start();
    site.land("inbox/good.csv", GOOD);
    site.land("inbox/bad.csv", BAD);
    site.job_in("good.csv", "succeeded");
    let failed = site.job_in("bad.csv", "failed");
    assert_eq!(site.tree("processed"), ["processed/orders/good.csv"]);
    assert_eq!(site.tree("failed"), ["failed/orders/bad.csv", "failed/orders/bad.csv.error.json"]);
    assert_eq!(std::fs::read_to_string(site.path("processed/orders/good.csv")).unwrap(), GOOD);
    assert_eq!(site.tree("inbox"), [""; 0]);
    let work = std::fs::read_dir(site.path("inbox/.shiftboss/work")).unwrap().count();
    assert_eq!(work, 0, "nothing is left where it was worked on");

    // Back from there, mended.
    std::fs::write(site.path("failed/orders/bad.csv"), GOOD).unwrap();
    site.run(&format!("retry {}", failed["id"])).expect(0);
    site.job_in("bad.csv", "succeeded");
    assert_eq!(site.tree("processed"), ["processed/orders/bad.csv", "processed/orders/good.csv"]);
    assert_eq!(site.tree("failed"), [""; 0]);
}

#[test]
fn a_read_only_inbox_is_refused_at_the_start_with_the_reason() {
    need_root();
    let site = Site::new(ORDERS);
    let Some(disk) = mounts::itself(&site, "inbox") else { return };
    std::fs::write(site.path("inbox/a.csv"), GOOD).unwrap();
    disk.again("ro,bind");
    let refused = site.run("run --until-idle").expect(1);
    assert!(refused.err.to_lowercase().contains("read-only") && refused.err.contains("inbox"), "{refused:?}");
    disk.again("rw,bind");
    site.run("run --until-idle").expect(0);
    assert_eq!(site.job("a.csv").unwrap()["state"], "succeeded");
}
