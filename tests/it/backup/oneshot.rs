//! `shiftboss restore`: what it lists, restores and refuses, and with which exit codes.

use super::task;
use crate::support::Site;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// A site with one copy of a few files.
fn site(backup: &str) -> (Site, String) {
    let site = Site::new(&task(backup));
    std::fs::create_dir_all(site.path("in/주문/empty")).unwrap();
    std::fs::write(site.path("in/주문/1.csv"), "id\n1\n").unwrap();
    std::fs::write(site.path("in/notes.txt"), "notes\n").unwrap();
    std::fs::set_permissions(site.path("in/notes.txt"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("notes.txt", site.path("in/link")).unwrap();
    site.run("trigger nightly").expect(0);
    site.run("run --until-idle").expect(0);
    let copy = copies(&site).pop().expect("a copy");
    (site, copy.to_str().unwrap().to_owned())
}

fn copies(site: &Site) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(site.path("backup")).unwrap().map(|e| e.unwrap().path());
    let mut copies: Vec<_> = entries.filter(|p| !p.to_str().unwrap().ends_with(".manifest.ndjson")).collect();
    copies.sort();
    copies
}

#[test]
fn a_copy_is_listed_verified_and_restored() {
    for backup in ["", "form = \"tree\""] {
        let (site, copy) = site(backup);
        let listed = site.run_args(["restore", &copy, "--list", "--json"]).expect(0).json();
        let paths: Vec<_> = listed.as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["in", "in/link", "in/notes.txt", "in/주문", "in/주문/1.csv", "in/주문/empty"]);
        let text = site.run_args(["restore", &copy, "--list"]).expect(0).out;
        assert!(text.contains("in/link -> notes.txt") && text.contains("0640"), "{text}");
        let verified = site.run_args(["restore", &copy, "--verify", "--json"]).expect(0).json();
        assert_eq!((verified["restored"].as_u64(), verified["failed"].as_u64()), (Some(6), Some(0)), "{verified}");

        let restored = site.run_args(["restore", &copy, "--to", "again"]).expect(0);
        assert!(restored.out.contains("6 restored"), "{restored:?}");
        assert_eq!(std::fs::read(site.path("again/in/주문/1.csv")).unwrap(), b"id\n1\n");
        let mode = |path: &str| site.path(path).symlink_metadata().unwrap().permissions().mode();
        assert_eq!(mode("again/in/notes.txt"), mode("in/notes.txt"));
        assert_eq!(std::fs::read_link(site.path("again/in/link")).unwrap(), PathBuf::from("notes.txt"));
        assert!(site.path("again/in/주문/empty").is_dir());
        // Without --to beside the caller, and never over what is there.
        site.run_args(["restore", &copy]).expect(0);
        let refused = site.run_args(["restore", &copy]).expect(1);
        assert!(refused.out.contains("it is there already"), "{refused:?}");
        std::fs::write(site.path("again/in/notes.txt"), "mine").unwrap();
        let kept = site.run_args(["restore", &copy, "--to", "again", "--on-exists", "skip", "--json"]).expect(0).json();
        assert_eq!(kept["kept"], 3, "{kept}");
        assert_eq!(std::fs::read(site.path("again/in/notes.txt")).unwrap(), b"mine");
        site.run_args(["restore", &copy, "--to", "again", "--on-exists", "replace"]).expect(0);
        assert_eq!(std::fs::read(site.path("again/in/notes.txt")).unwrap(), b"notes\n");
    }
}

#[test]
fn a_part_is_restored_by_its_path_or_a_pattern() {
    let (site, copy) = site("");
    site.run_args(["restore", &copy, "in/주문/", "--to", "folder"]).expect(0);
    assert_eq!(site.tree("folder"), ["folder/in/주문/1.csv"]);
    site.run_args(["restore", &format!("{copy}.manifest.ndjson"), "**/*.txt", "--to", "pattern"]).expect(0);
    assert_eq!(site.tree("pattern"), ["pattern/in/notes.txt"]);
    let none = site.run_args(["restore", &copy, "nowhere", "--to", "none", "--json"]).expect(1).json();
    assert_eq!(none["error"]["code"], "no_entry", "{none}");
    let some =
        site.run_args(["restore", &copy, "in/notes.txt", "in/nowhere", "--to", "none", "--json"]).expect(1).json();
    assert!(some["error"]["message"].as_str().unwrap().contains("in/nowhere"), "{some}");
    assert!(!site.path("none").exists());
    site.run_args(["restore", &copy, "[", "--to", "none"]).expect(2);
    site.run_args(["restore", &copy, "--list", "--verify"]).expect(2);
}

#[test]
fn a_damaged_copy_is_told_with_its_files() {
    let (site, copy) = site("");
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&copy, bytes).unwrap();
    let damaged = site.run_args(["restore", &copy, "--verify", "--json"]).expect(1).json();
    assert!(damaged["failed"].as_u64().unwrap() > 0, "{damaged}");
    let foreign = site.path("foreign.tar.zst");
    std::fs::write(&foreign, "no archive").unwrap();
    site.run_args(["restore".as_ref(), foreign.as_os_str()]).expect(1);
    let missing = site.run("restore missing.tar.zst").expect(1);
    assert!(missing.out.contains("missing.tar.zst"), "{missing:?}");
}

#[test]
fn the_database_goes_along() {
    let (site, copy) = site("database = true, test_restore = true");
    site.run_args(["restore", &copy, "shiftboss.db", "--to", "again"]).expect(0);
    let db = rusqlite::Connection::open(site.path("again/shiftboss.db")).unwrap();
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let jobs: i64 = db.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!((verdict.as_str(), jobs), ("ok", 1), "the job that made it was at work");
    // It is one that the program goes on with.
    drop(db);
    let mode = site.path("again/shiftboss.db").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "it is nobody else's to read");
    std::fs::create_dir(site.path("other")).unwrap();
    let config = std::fs::read_to_string(site.path("config.toml")).unwrap().replace("\"data\"", "\"other\"");
    std::fs::copy(site.path("again/shiftboss.db"), site.path("other/shiftboss.db")).unwrap();
    std::fs::write(site.path("other.toml"), config).unwrap();
    let jobs = site.run("jobs --json -c other.toml").expect(0).json();
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
}

#[test]
fn a_job_says_what_it_copied() {
    let (site, _) = site("");
    let job = site.jobs().remove(0);
    assert_eq!((job["state"].as_str(), job["action"].as_str()), (Some("succeeded"), Some("backup")), "{job}");
    assert_eq!(job["outputs"].as_array().unwrap().len(), 2, "{job}");
    assert_eq!(std::fs::read_dir(site.path("data/scratch")).unwrap().count(), 0, "nothing is left of the work");
    let log = site.run("logs --task nightly").expect(0).out;
    assert!(log.contains("2 files") && log.contains("read back"), "{log}");
}
