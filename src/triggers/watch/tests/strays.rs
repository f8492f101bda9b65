//! What is not taken: what is no file, what is ours, what may not be read, what no task wants.

use super::*;

#[test]
fn what_is_no_regular_file_is_listed_and_never_opened() {
    let mut b = Bench::new(|_| {});
    let secret = b.temp.path().join("secret");
    fs::write(&secret, "s").unwrap();
    symlink(&secret, b.path("link.csv")).unwrap();
    symlink("nowhere", b.path("dangling.csv")).unwrap();
    nix::unistd::mkfifo(&b.path("fifo.csv"), Mode::S_IRWXU).unwrap();
    fs::create_dir(b.path("dir.csv")).unwrap();
    fs::create_dir(b.path("other")).unwrap();
    let long = format!("{}.csv", "n".repeat(251));
    fs::write(b.path(&long), "1").unwrap();
    let odd = Path::new(OsStr::from_bytes(b"\xff\xfe \n.csv"));
    fs::write(b.path("").join(odd), "1").unwrap();
    fs::write(b.path("notes.txt"), "1").unwrap();
    b.advance(10);
    b.first_scan();
    let mut expected = [odd.to_owned(), PathBuf::from(long)];
    expected.sort();
    assert_eq!(b.queue.paths(), expected);
    for name in ["link.csv", "dangling.csv", "fifo.csv", "dir.csv"] {
        assert_eq!(b.reason(name).as_deref(), Some("not a regular file"), "{name}");
    }
    assert_eq!(b.reason("notes.txt").as_deref(), Some("no task matches"));
    assert_eq!(b.status().listed.count, 5);
    symlink(&secret, b.path("late.csv")).unwrap();
    b.until("the late link is listed", |b| b.reason("late.csv").is_some());
    b.advance(1000);
    b.turn();
    assert_eq!(b.queue.paths().len(), 2);
}

#[test]
fn our_own_folders_are_not_entered() {
    let mut b = Bench::recursive(|spec| {
        let dir = spec.dir.clone();
        spec.exclude = vec![dir.join("data"), dir.parent().unwrap().join("door")];
    });
    for name in [".shiftboss/work/7/a.csv", "data/a.csv", "real/a.csv", "ok/a.csv", ".hidden/a.csv"] {
        fs::create_dir_all(b.path(name).parent().unwrap()).unwrap();
        fs::write(b.path(name), "1").unwrap();
    }
    fs::write(b.path("ok/.sb-7-1-0.part"), "1").unwrap();
    symlink(b.path("real"), b.temp.path().join("door")).unwrap(); // the same folder by another path
    symlink(b.path("ok"), b.path("loop")).unwrap();
    let deep = "d/".repeat(DEPTH_MAX + 6);
    fs::create_dir_all(b.path(&deep)).unwrap();
    fs::write(b.path(&deep).join("deep.csv"), "1").unwrap();
    fs::write(b.path(&"d/".repeat(DEPTH_MAX)).join("edge.csv"), "1").unwrap();
    b.advance(10);
    b.first_scan();
    let edge = PathBuf::from("d/".repeat(DEPTH_MAX)).join("edge.csv");
    assert_eq!(b.queue.paths(), [edge, PathBuf::from("ok/a.csv")]);
    assert_eq!(b.reason("loop").as_deref(), Some("not a regular file"));
    assert_eq!(b.reason(".hidden").as_deref(), Some("temporary name"));
    assert_eq!(b.reason("d/".repeat(DEPTH_MAX + 1).trim_end_matches('/')).as_deref(), Some("too many folders deep"));
}

#[test]
fn a_file_that_may_not_be_opened_is_listed_and_not_waited_for() {
    let mut b = Bench::new(|spec| spec.poll = true);
    fs::write(b.path("a.csv"), "1").unwrap();
    b.first_scan();
    let path = Path::new("a.csv");
    let candidate = *b.root.settler.get(path).unwrap();
    b.root.failed(path, &io::Error::from_raw_os_error(libc::EACCES), &candidate);
    b.turn();
    assert_eq!(b.reason("a.csv").as_deref(), Some("permission denied"));
    assert_eq!(b.scan_now(), ScanReport { new: 0, settling: 0, complete: true });
    assert_eq!(b.reason("a.csv").as_deref(), Some("permission denied"), "a scan lists it again");
    b.advance(301);
    b.turn();
    assert_eq!((b.queue.paths().len(), b.status().listed.count), (1, 0));
}

#[test]
fn the_highest_priority_takes_a_file_and_strays_are_offered() {
    let mut b = Bench::new(|spec| {
        let dir = &spec.dir;
        spec.tasks = vec![task("all", dir, "*.csv", false, 0), task("first", dir, "orders-*.csv", false, 5)];
        spec.offer_strays = true;
    });
    for name in ["orders-1.csv", "x.csv", "notes.md"] {
        fs::write(b.path(name), "1").unwrap();
    }
    b.advance(10);
    b.first_scan();
    let by: BTreeMap<PathBuf, (TaskName, i32)> = b
        .queue
        .batches
        .lock()
        .unwrap()
        .iter()
        .flatten()
        .map(|l| (l.path.clone(), (l.task.clone(), l.priority)))
        .collect();
    assert_eq!(by[Path::new("orders-1.csv")], ("first".into(), 5));
    assert_eq!(by[Path::new("x.csv")], ("all".into(), 0));
    assert_eq!(b.queue.strays.lock().unwrap()[0].path, Path::new("notes.md"));
    assert_eq!(b.reason("notes.md").as_deref(), Some("no task matches"));
}
