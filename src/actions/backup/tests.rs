//! Copies made with the desk for tests, and taken apart again.

use super::super::testing::{TestDesk, order};
use super::copies::{of_task, with};
use super::manifest::{BESIDE, EntryKind};
use super::place::OnThere;
use super::restore::{self, Source};
use super::*;
use crate::model::block::{Complaints, Entry as Key, Node, Value};
use crate::model::{Failure, Millis, Report, RunId};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

const DAY: i64 = 86_400_000;

/// A folder with files, and one for copies.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.path("in")).unwrap();
        place
    }

    fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    fn build(&self, keys: &[(&str, Value)]) -> Result<Arc<dyn Action>, String> {
        let text = |s: &str| Value::String(s.to_owned());
        let list = |v| Value::Array(vec![Node { span: 0..0, value: v }]);
        let mut all = vec![("paths", list(text("in"))), ("dir", text("backup"))];
        all.retain(|(key, _)| !keys.iter().any(|(k, _)| k == key));
        all.extend(keys.iter().cloned());
        let entries = all.into_iter().map(|(key, value)| Key {
            key: key.into(),
            key_span: 0..0,
            node: Node { span: 0..0, value },
        });
        let node = Node { span: 0..0, value: Value::Table(entries.collect()) };
        let sink = Complaints::default();
        let built = BackupKind.build(&mut Block::open("backup", &node, self.dir.path(), &sink));
        let told: Vec<_> = sink.into_sorted().into_iter().map(|c| c.message).collect();
        if told.is_empty() { Ok(built.unwrap()) } else { Err(told.join("\n")) }
    }

    /// Makes a copy, and places what the desk was given.
    fn back_up(&self, keys: &[(&str, Value)], day: i64) -> Result<Report, Failure> {
        let desk = Arc::new(TestDesk::new());
        let action = self.build(keys).unwrap();
        let mut order = order(&desk, None);
        (order.planned_at, order.run) = (Millis(1_790_000_000_000 + day * DAY - 100 * DAY), RunId(day));
        let report = super::super::testing::run(action, order)?;
        for target in desk.written() {
            let name = target.file_name().unwrap().to_str().unwrap();
            fs::write(&target, desk.bytes(name)).unwrap();
        }
        Ok(report)
    }

    fn copies(&self) -> Vec<PathBuf> {
        of_task(&self.path("backup"), "docs").unwrap().into_iter().map(|l| l.path).collect()
    }

    fn restore(&self, copy: &Path, to: &str) -> restore::Done {
        let source = Source::open(copy, &|_| Ok(())).unwrap();
        restore::run(&source, Some((&self.path(to), OnThere::Fail)), &|_| true, &|_| Ok(())).unwrap()
    }
}

fn flag(value: bool) -> Value {
    Value::Boolean(value)
}

fn table(keys: &[(&str, i64)]) -> Value {
    let entry = |(key, n): &(&str, i64)| Key {
        key: (*key).to_owned(),
        key_span: 0..0,
        node: Node { span: 0..0, value: Value::Integer(*n) },
    };
    Value::Table(keys.iter().map(entry).collect())
}

/// What is known of each path.
type Facts = BTreeMap<Vec<u8>, (u32, i64, i64, u64, Vec<u8>)>;

/// What is below a folder: kind, mode, time, number of names, content or target.
fn facts(root: &Path) -> Facts {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let content = if meta.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let names = if meta.is_dir() { 1 } else { meta.nlink() };
            let key = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            found.insert(key, (meta.mode(), meta.mtime(), meta.mtime_nsec(), names, content));
        }
    }
    found
}

fn write(path: &Path, content: &[u8], seconds: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    let at = UNIX_EPOCH + Duration::new(seconds, 123_456_789);
    fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

/// Some bytes that hardly pack.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn furnish(place: &Place) {
    let below = |name: &str| place.path("in").join(name);
    write(&below("보고서 2026.txt"), "안녕\n".as_bytes(), 1_700_000_000);
    write(&place.path("in").join(OsStr::from_bytes(b"\xff\xfe raw\n")), b"raw", 1_600_000_000);
    write(&below(&format!("long/{}/{}", "가".repeat(60), "x".repeat(200))), b"deep", 1_500_000_000);
    write(&below("empty.dat"), b"", 1);
    write(&below("large.bin"), &noise(9_000_000, 7), 1_767_225_600);
    write(&below("cache/old.tmp"), b"left out", 5);
    fs::hard_link(below("large.bin"), below("other name.bin")).unwrap();
    symlink("보고서 2026.txt", below("link")).unwrap();
    symlink("/nowhere/../at//all/", below("dangling")).unwrap();
    symlink("..", below("up")).unwrap();
    fs::create_dir(below("nothing")).unwrap();
    for (name, mode) in [("empty.dat", 0o640), ("nothing", 0o750), ("long", 0o711), ("large.bin", 0o4755)] {
        fs::set_permissions(below(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    nix::unistd::mkfifo(&below("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for name in ["long", "nothing"] {
        let folder = fs::File::open(below(name)).unwrap();
        folder.set_modified(UNIX_EPOCH + Duration::new(1_111_111_111, 999_999_999)).unwrap();
    }
}

/// The same without what is not copied.
fn expected(place: &Place) -> Facts {
    fs::remove_file(place.path("in/pipe")).unwrap();
    fs::remove_file(place.path("in/cache/old.tmp")).unwrap();
    // These two have lost their time by that, and have it from the copy otherwise.
    let mut all = facts(&place.path("in"));
    all.remove(&b"cache"[..]);
    all
}

#[test]
fn what_is_restored_is_what_was_there() {
    for form in ["tar.zst", "tree"] {
        let place = Place::new();
        furnish(&place);
        let tmp = Value::Array(vec![Node { span: 0..0, value: Value::String("*.tmp".into()) }]);
        let keys = [("form", Value::String(form.into())), ("exclude", tmp), ("test_restore", flag(true))];
        let report = place.back_up(&keys, 1).unwrap();
        let note = report.note.unwrap();
        assert!(
            note.contains("5 files") && note.contains("1 special left out") && note.contains("read back"),
            "{note}"
        );
        let [copy] = <[PathBuf; 1]>::try_from(place.copies()).unwrap();
        let done = place.restore(&copy, "out");
        assert_eq!((done.failed, done.problems.len()), (0, 0), "{done:?}");
        let mut found = facts(&place.path("out/in"));
        found.remove(&b"cache"[..]).unwrap();
        let wanted = expected(&place);
        assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{form}");
        for (path, facts) in &wanted {
            assert!(found[path] == *facts, "{form}: {}", crate::model::text::bytes(path));
        }
        assert_eq!(wanted[&b"large.bin"[..]].3, 2, "a file with two names");
        let verified = Source::open(&copy, &|_| Ok(())).unwrap().verify(&|_| Ok(())).unwrap();
        assert_eq!(verified.failed, 0, "{verified:?}");
    }
}

#[test]
fn any_number_of_threads_makes_the_same_bytes() {
    let place = Place::new();
    furnish(&place);
    let mut made = Vec::new();
    for workers in [1, 2, 5] {
        let desk = Arc::new(TestDesk::new());
        desk.workers.store(workers, std::sync::atomic::Ordering::SeqCst);
        super::super::testing::run(place.build(&[]).unwrap(), order(&desk, None)).unwrap();
        made.push(desk.bytes("docs-20260101T000000Z.tar.zst"));
    }
    assert!(made[0] == made[1] && made[1] == made[2]);
}

#[test]
fn a_stop_ends_the_work() {
    let place = Place::new();
    furnish(&place);
    let desk = Arc::new(TestDesk::new());
    desk.patience.store(20, std::sync::atomic::Ordering::SeqCst);
    let failure = super::super::testing::run(place.build(&[]).unwrap(), order(&desk, None)).unwrap_err();
    assert_eq!(failure.code, "stopped", "{failure:?}");
}

#[test]
fn a_flipped_byte_anywhere_is_found() {
    let place = Place::new();
    write(&place.path("in/a.txt"), &noise(3000, 3), 7);
    write(&place.path("in/b.txt"), b"some text, some text, some text", 7);
    symlink("a.txt", place.path("in/l")).unwrap();
    place.back_up(&[], 1).unwrap();
    let copy = place.copies().remove(0);
    for path in [copy.clone(), with(&copy, BESIDE)] {
        let whole = fs::read(&path).unwrap();
        let strategy = (0..whole.len(), 1_u8..=255);
        let mut runner = proptest::test_runner::TestRunner::default();
        let found = runner.run(&strategy, |(at, with)| {
            let mut damaged = whole.clone();
            damaged[at] ^= with;
            fs::write(&path, &damaged).unwrap();
            let verified = Source::open(&copy, &|_| Ok(())).and_then(|s| s.verify(&|_| Ok(())));
            let is_found = verified.map_or(true, |done| done.failed > 0);
            // A damaged manifest is also found where copies are counted.
            let lying = of_task(&place.path("backup"), "docs").unwrap();
            proptest::prop_assert!(path == copy || lying.iter().all(|l| !l.copy.good));
            proptest::prop_assert!(is_found, "byte {at} of {} ^ {with}", path.display());
            Ok(())
        });
        fs::write(&path, &whole).unwrap();
        found.unwrap();
    }
    // An archive without the manifest beside it is sealed by itself.
    fs::remove_file(with(&copy, BESIDE)).unwrap();
    assert_eq!(place.restore(&copy, "out").failed, 0);
}

#[test]
fn a_copy_holds_only_what_is_new_and_restores_through_the_chain() {
    let place = Place::new();
    let keys = [("incremental", flag(true))];
    for n in 0..5 {
        write(&place.path(format!("in/{n}.bin")), &noise(50_000 + n, n as u64), 100);
    }
    place.back_up(&keys, 1).unwrap();
    // One changes, one is touched, one is moved, one is new.
    write(&place.path("in/0.bin"), &noise(50_000, 77), 100);
    write(&place.path("in/1.bin"), &noise(50_001, 1), 900);
    fs::hard_link(place.path("in/2.bin"), place.path("in/moved.bin")).unwrap();
    fs::remove_file(place.path("in/2.bin")).unwrap();
    let report = place.back_up(&keys, 2).unwrap();
    assert!(report.note.as_ref().unwrap().contains("1 stored anew"), "{report:?}");
    write(&place.path("in/new.bin"), b"new", 100);
    let report = place.back_up(&keys, 3).unwrap();
    assert!(report.note.as_ref().unwrap().contains("1 stored anew"), "{report:?}");
    let wanted = facts(&place.path("in"));
    let copies = place.copies();
    assert_eq!(copies.len(), 3);
    assert!(fs::metadata(&copies[0]).unwrap().len() < 10_000);
    assert_eq!(place.restore(&copies[0], "out").failed, 0);
    assert_eq!(facts(&place.path("out/in")), wanted);
    // The rule would take both; what the newest one needs stays, and so does the newest proven one behind it.
    let keep = [("incremental", flag(true)), ("keep", table(&[("min", 1)]))];
    place.back_up(&keep, 4).unwrap();
    assert_eq!(place.copies().len(), 4, "each of them holds something that is needed");
    // Without the archive that holds its bytes a copy is no good one.
    fs::remove_file(copies.last().unwrap()).unwrap();
    assert!(of_task(&place.path("backup"), "docs").unwrap().iter().all(|l| !l.copy.good));
    let source = Source::open(&copies[0], &|_| Ok(())).unwrap();
    assert!(source.verify(&|_| Ok(())).unwrap().failed > 0);
}

#[test]
fn old_copies_go_when_a_newer_one_is_proven() {
    let place = Place::new();
    write(&place.path("in/a"), b"a", 1);
    let keep = [("keep", Value::String("2d".into()))];
    for day in 1..=6 {
        place.back_up(&keep, day).unwrap();
    }
    let days: Vec<_> = of_task(&place.path("backup"), "docs").unwrap().iter().map(|l| l.head.run).collect();
    assert_eq!(days, [6, 5, 4, 3], "the sixth run counts from the fifth copy");
    // A copy whose archive was cut is not good, and is not what stands in for others.
    let newest = place.copies().remove(0);
    fs::File::options().write(true).open(&newest).unwrap().set_len(10).unwrap();
    assert!(!of_task(&place.path("backup"), "docs").unwrap()[0].copy.good);
    let names = fs::read_dir(place.path("backup")).unwrap().count();
    assert_eq!(names, 8, "an archive and a manifest for each");
}

#[test]
fn a_damaged_copy_is_found_by_the_restore_test() {
    let place = Place::new();
    write(&place.path("in/a"), &noise(20_000, 5), 1);
    place.back_up(&[], 1).unwrap();
    let copy = place.copies().remove(0);
    let mut bytes = fs::read(&copy).unwrap();
    bytes[10_000] ^= 1;
    fs::write(&copy, bytes).unwrap();
    let failure = place.back_up(&[("test_restore", flag(true))], 2).unwrap_err();
    assert_eq!(failure.code, "restore_test", "{failure:?}");
    let copies = of_task(&place.path("backup"), "docs").unwrap();
    assert!(copies.iter().all(|l| !l.copy.good), "it is marked");
    place.back_up(&[("test_restore", flag(true))], 3).unwrap();
}

#[test]
fn what_cannot_be_read_fails_the_copy_or_is_named() {
    let place = Place::new();
    write(&place.path("in/a"), b"a", 1);
    let paths = |names: &[&str]| {
        Value::Array(names.iter().map(|n| Node { span: 0..0, value: Value::String((*n).into()) }).collect())
    };
    let keys = [("paths", paths(&["in", "missing"]))];
    let failure = place.back_up(&keys, 1).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.file.as_deref()), ("unreadable", Some("missing")), "{failure:?}");
    assert!(place.copies().is_empty());
    let keys = [keys[0].clone(), ("on_unreadable", Value::String("skip".into()))];
    let report = place.back_up(&keys, 1).unwrap();
    assert_eq!(report.rejected, 1);
    assert!(report.rejects[0].message.contains("missing"), "{report:?}");
}

#[test]
fn nothing_is_restored_outside_its_folder_or_over_a_file() {
    let place = Place::new();
    write(&place.path("in/sub/a.txt"), b"a", 1);
    place.back_up(&[], 1).unwrap();
    let copy = place.copies().remove(0);
    let mut source = Source::open(&copy, &|_| Ok(())).unwrap();
    let out = place.path("out");
    for bad in ["../evil", "/evil", "a/../../evil", "a//b", ""] {
        let file = source.entries.iter_mut().find(|e| e.kind == EntryKind::File).unwrap();
        file.path = bad.into();
        let done = restore::run(&source, Some((&out, OnThere::Replace)), &|_| true, &|_| Ok(())).unwrap();
        assert_eq!(done.failed, 1, "{bad}: {done:?}");
    }
    assert!(!place.path("evil").exists());
    // A link on the way leads nowhere.
    let source = Source::open(&copy, &|_| Ok(())).unwrap();
    let trap = place.path("trap");
    fs::create_dir_all(trap.join("in")).unwrap();
    symlink(place.path("in"), trap.join("in/sub")).unwrap();
    for on_there in [OnThere::Skip, OnThere::Replace] {
        let done = restore::run(&source, Some((&trap, on_there)), &|_| true, &|_| Ok(())).unwrap();
        assert!(done.failed > 0, "{done:?}");
    }
    // A file that is there stops everything, stays, or is replaced.
    let there = place.path("there");
    write(&there.join("in/sub/a.txt"), b"mine", 1);
    let run = |on_there| restore::run(&source, Some((&there, on_there)), &|_| true, &|_| Ok(()));
    assert!(run(OnThere::Fail).is_err());
    assert_eq!(run(OnThere::Skip).unwrap().kept, 1);
    assert_eq!(fs::read(there.join("in/sub/a.txt")).unwrap(), b"mine");
    assert_eq!(run(OnThere::Replace).unwrap().failed, 0);
    assert_eq!(fs::read(there.join("in/sub/a.txt")).unwrap(), b"a");
    let names: Vec<OsString> = fs::read_dir(there.join("in/sub")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["a.txt"], "no temporary name is left");
}

#[test]
fn a_part_is_restored_without_the_rest() {
    let place = Place::new();
    furnish(&place);
    place.back_up(&[], 1).unwrap();
    let source = Source::open(&place.copies()[0], &|_| Ok(())).unwrap();
    // The second name of a file, without the first one.
    let wants = |e: &manifest::Entry| e.path == b"in/other name.bin" || e.path == b"in/link";
    let done = restore::run(&source, Some((&place.path("out"), OnThere::Fail)), &wants, &|_| Ok(())).unwrap();
    assert_eq!((done.restored, done.failed), (2, 0), "{done:?}");
    assert!(fs::read(place.path("out/in/other name.bin")).unwrap() == noise(9_000_000, 7));
    assert_eq!(fs::read_dir(place.path("out/in")).unwrap().count(), 2);
}

#[test]
fn settings_that_do_not_fit_are_told() {
    let place = Place::new();
    let text = |s: &str| Value::String(s.to_owned());
    let list = |names: &[&str]| Value::Array(names.iter().map(|n| Node { span: 0..0, value: text(n) }).collect());
    for (keys, told) in [
        (vec![("paths", list(&["in", "in/sub"]))], "one path holds the other"),
        (vec![("paths", list(&[]))], "nothing to copy"),
        (vec![("exclude", list(&["a[b"]))], "is not a pattern"),
        (vec![("form", text("tree")), ("incremental", flag(true))], "never incremental"),
        (vec![("form", text("tree")), ("level", Value::Integer(5))], "not packed"),
        (vec![("verify", flag(false)), ("keep", text("7d"))], "no old copy would ever go"),
        (vec![("keep", table(&[]))], "`keep` is empty: only the newest copy would stay"),
        (vec![("keep", text("long"))], "`keep` is not a duration"),
        (vec![("keep", table(&[("yearly", 2)]))], "unknown key: yearly"),
        (vec![("level", Value::Integer(99))], "`level` must be between"),
        (vec![("on_exists", text("replace"))], "`on_exists` must be"),
        (vec![("database", flag(true)), ("paths", list(&["shiftboss.db"]))], "own database"),
    ] {
        let problems = place.build(&keys).unwrap_err();
        assert!(problems.contains(told), "{told}: {problems}");
    }
    assert!(
        place
            .build(&[("keep", table(&[("days", 7), ("daily", 7), ("weekly", 4), ("monthly", 12), ("min", 2)]))])
            .is_ok()
    );
}
