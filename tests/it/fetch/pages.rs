//! Answers that come in pages: every item once, in order, whatever way the next page is found by.

use super::{ONCE, call, start, task, web};
use crate::support::Site;
use crate::support::web::{PAGE, items};
use std::collections::BTreeSet;

/// Checks that a file has every item of so many pages, one a line, in order.
#[track_caller]
pub(super) fn assert_whole(site: &Site, file: &str, pages: u64) {
    let text = std::fs::read_to_string(site.path(file)).unwrap();
    assert_eq!(text, items(pages), "{file}");
}

#[test]
fn every_way_to_the_next_page_finds_all_items() {
    let web = web();
    let ways = [
        ("link", "{ link = true }", ""),
        ("cursor", "{ cursor = \"/next\", param = \"cursor\" }", ", items = \"/data\""),
        ("url", "{ cursor = \"/next\" }", ", items = \"/data\""),
        ("number", "{ number = \"page\", start = 1 }", ""),
        ("offset", "{ offset = \"offset\", limit = { param = \"limit_items\", size = 10 } }", ""),
    ];
    let tasks: String = ways
        .map(|(by, pages, items)| {
            let url = web.url(&format!("/{by}?pages=7&by={by}"));
            let fetch =
                format!("url = \"{url}\", pages = {pages}, write = \"ndjson\"{items}, output = \"out/{by}.ndjson\"");
            task(by, &fetch, ONCE)
        })
        .concat();
    let (site, _supervisor) = start(&tasks);
    for (by, ..) in ways {
        let job = call(&site, by);
        assert_eq!(job["state"], "succeeded", "{by}: {job:#}");
        assert_whole(&site, &format!("out/{by}.ndjson"), 7);
        assert_eq!(job["rows"].as_u64(), Some(7 * PAGE), "{by}");
        let log = web.seen(&format!("/{by}"));
        // A number or an offset ends at an empty page.
        let ends_empty = matches!(by, "number" | "offset");
        assert_eq!(log.len(), if ends_empty { 8 } else { 7 }, "{by}");
        assert_eq!(job["requests"].as_u64(), Some(log.len() as u64), "{by}");
        let queries: BTreeSet<&str> = log.iter().map(|s| s.query.as_str()).collect();
        assert_eq!(queries.len(), log.len(), "{by}: no page is asked for twice");
    }
}

#[test]
fn items_become_a_table_that_a_transform_can_take() {
    let web = web();
    let url = web.url("/list?pages=3&by=link");
    let tasks = task(
        "list",
        &format!("url = \"{url}\", pages = {{ link = true }}, write = \"csv\", output = \"raw/list.csv\""),
        "",
    ) + "[tasks.clean]\nafter = \"list\"\n\
         transform = { sql = \"SELECT id * 2 AS twice, name FROM input WHERE id < 3\", output = \"out/clean.csv\" }\n";
    let (site, _supervisor) = start(&tasks);
    call(&site, "list");
    let table = std::fs::read_to_string(site.path("raw/list.csv")).unwrap();
    assert_eq!(table.lines().next(), Some("id,name"));
    assert_eq!(table.lines().count() as u64, 1 + 3 * PAGE);
    let clean = super::wait("the transform", || std::fs::read_to_string(site.path("out/clean.csv")).ok());
    assert_eq!(clean, "twice,name\n0,item 0\n2,item 1\n4,item 2\n");
}

#[test]
fn more_pages_than_allowed_fail_and_leave_nothing() {
    let web = web();
    let url = web.url("/list?pages=50&by=link");
    let fetch = format!("url = \"{url}\", pages = {{ link = true, max = 5 }}, write = \"ndjson\"");
    let (site, _supervisor) = start(&task("list", &fetch, ONCE));
    let job = call(&site, "list");
    assert_eq!((&job["state"], &job["error"]["class"]), (&"failed".into(), &"permanent".into()), "{job:#}");
    assert_eq!(web.requests(), 5);
    assert_eq!(site.tree("out"), [""; 0]);
}

#[test]
fn a_page_that_comes_late_is_tried_again_and_no_item_is_there_twice() {
    let web = web();
    // Page 4 is shut for everybody who asks for it too early.
    let url = web.url("/list?pages=6&by=number&gate=page:4");
    let fetch = format!(
        "url = \"{url}\", pages = {{ number = \"page\", start = 1 }}, write = \"ndjson\", output = \"out/list.ndjson\", \
         deadlines = {{ first_byte = \"300ms\" }}"
    );
    let (site, _supervisor) =
        start(&task("list", &fetch, "retry = { attempts = 50, backoff = \"20ms\", max = \"50ms\" }"));
    let id = super::trigger(&site, "list");
    super::wait("two tries of page 4", || {
        let tries = web.log().iter().filter(|s| s.param("page") == Some("4")).count();
        (tries >= 2).then(|| web.open())
    });
    assert_eq!(super::settled(&site, id).ok, 1);
    assert_whole(&site, "out/list.ndjson", 6);
}
