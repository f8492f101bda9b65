//! A table that is written to while it is read. The supervisor is held in the middle of the work, the file is changed
//! where it lies, as a writer does that kept its descriptor, and the supervisor goes on.

use super::super::support::{Site, Supervisor, freeze, thaw, until};
use super::{processed, table};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

/// Rows of the table: seconds of work.
const ROWS: u64 = if cfg!(debug_assertions) { 400_000 } else { 4_000_000 };

fn site(retry: &str) -> Site {
    Site::new(&format!(
        "[tasks.orders]\nwatch = {{ dir = \"inbox\", match = [\"*.csv\"], settle = \"10ms\" }}\nretry = {{ {retry} }}\n\
         transform = {{ sql = \"{}\", output = \"out/{{stem}}.csv\" }}\n",
        super::SQL
    ))
}

/// Changes the one table of a site in the middle of its transform.
fn change(site: &Site, supervisor: &Supervisor, how: impl FnOnce(&File)) {
    let is_temp = |path: &String| path.contains(".sb-");
    until("the output to begin", || site.tree("out").iter().any(is_temp).then_some(()));
    freeze(supervisor.child());
    let out = site.tree("out");
    assert!(out.len() == 1 && out.iter().all(is_temp), "it is still at work: {out:?}");
    let claimed = site.path("inbox/.shiftboss/work/1/t.csv");
    how(&OpenOptions::new().write(true).open(claimed).unwrap());
    thaw(supervisor.child());
}

/// Puts another digit over the last one before this end of a line.
fn overwrite(file: &File, end: u64) {
    file.write_all_at(b"0", end - 2).unwrap();
}

#[test]
fn a_table_that_changes_while_it_is_read_fails_and_leaves_no_output() {
    let before = table(ROWS);
    let len = before.len() as u64;
    type Change = (&'static str, fn(&File, u64));
    let cases: [Change; 4] = [
        ("append", |file, len| file.write_all_at(b"0,0\n", len).unwrap()),
        ("truncate", |file, len| file.set_len(len / 2).unwrap()),
        ("overwrite what was not read yet", |file, len| overwrite(file, len)),
        ("overwrite what was read", |file, _| overwrite(file, "id,value\n1,916\n".len() as u64)),
    ];
    for (what, how) in cases {
        let site = site("attempts = 1");
        let supervisor = site.start();
        site.land("inbox/t.csv", &before);
        change(&site, &supervisor, |file| how(file, len));
        let job = site.job_in("t.csv", "failed");
        assert_eq!(job["error"]["code"], "input_changed", "{what}: {job:#}");
        assert_eq!(site.tree("out"), [""; 0], "{what}");
        assert_eq!(site.tree("processed"), [""; 0], "{what}");
        assert_eq!(site.tree("failed"), ["failed/orders/t.csv", "failed/orders/t.csv.error.json"], "{what}");
        // What lies there is what its writer made of it, to the last byte.
        std::fs::write(site.path("expected"), &before).unwrap();
        how(&OpenOptions::new().write(true).open(site.path("expected")).unwrap(), len);
        let read = |below: &str| std::fs::read(site.path(below)).unwrap();
        assert!(read("failed/orders/t.csv") == read("expected"), "{what}: the content is kept");
    }
}

#[test]
fn a_table_that_grew_while_it_was_read_is_read_again_as_a_whole() {
    let more = 1000;
    let (whole, len) = (table(ROWS + more), table(ROWS).len());
    let site = site("attempts = 2, backoff = \"0s\"");
    let supervisor = site.start();
    site.land("inbox/t.csv", &whole[..len]);
    change(&site, &supervisor, |file| file.write_all_at(&whole.as_bytes()[len..], len as u64).unwrap());
    let job = site.job_in("t.csv", "succeeded");
    assert_eq!((job["attempt"].as_i64(), job["rows"].as_u64()), (Some(2), Some(ROWS + more)), "{job:#}");
    assert_eq!(site.tree("out"), ["out/t.csv"]);
    assert!(std::fs::read_to_string(site.path("out/t.csv")).unwrap() == processed(ROWS + more));
    assert!(std::fs::read_to_string(site.path("processed/orders/t.csv")).unwrap() == whole);
    let shown = site.json(&format!("show {}", job["id"])).to_string();
    assert!(shown.contains("input_changed"), "the first attempt says why: {shown}");
}
