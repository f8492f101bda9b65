//! On real folders, with a clock that the test turns.

mod strays;

use super::*;
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::files::dir::Dir;
use crate::files::lease;
use crate::model::action::{Action, JobOrder, Work};
use crate::model::task::{ClaimBy, Duplicates};
use crate::model::view::ListedFile;
use crate::model::{OnInterrupt, RetryPolicy, Template};
use globset::Glob;
use nix::sys::stat::Mode;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

#[derive(Debug)]
struct NoAction;

impl Action for NoAction {
    fn name(&self) -> &'static str {
        "none"
    }
    fn outputs(&self) -> Vec<&Template> {
        Vec::new()
    }
    fn idempotent(&self) -> bool {
        true
    }
    fn work(self: Arc<Self>, _: JobOrder) -> Work {
        Work::Blocking(Box::new(|| Ok(Default::default())))
    }
}

fn glob(pattern: &str) -> GlobMatcher {
    Glob::new(pattern).unwrap().compile_matcher()
}

fn task(name: &str, dir: &Path, pattern: &str, recursive: bool, priority: i32) -> Arc<Task> {
    let watch = Watch {
        dir: dir.to_owned(),
        matchers: vec![glob(pattern)],
        patterns: vec![pattern.to_owned()],
        recursive,
        settle: Duration::from_secs(2),
        duplicates: Duplicates::Process,
        claim: ClaimBy::Rename,
        poll: false,
    };
    Arc::new(Task {
        name: name.into(),
        trigger: Trigger::Watch(watch),
        action: Arc::new(NoAction),
        priority,
        concurrency: 1,
        retry: RetryPolicy::default(),
        timeout: None,
        on_interrupt: OnInterrupt::Retry,
        processed: Template::literal("processed"),
        failed: Template::literal("failed"),
        when: Vec::new(),
        timezone: chrono_tz::UTC,
        config_hash: String::new(),
        line: 1,
    })
}

#[derive(Default)]
struct Queue {
    batches: Mutex<Vec<Vec<Landed>>>,
    strays: Mutex<Vec<Stray>>,
    refuses: AtomicBool,
}

impl Landing for Queue {
    fn land(&self, batch: Vec<Landed>) -> Result<LandedCount, LandError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(LandError { message: "the store is full".into() });
        }
        let new = batch.len() as u64;
        self.batches.lock().unwrap().push(batch);
        Ok(LandedCount { new, known: 0 })
    }

    fn strays(&self, batch: Vec<Stray>) -> Result<(), LandError> {
        self.strays.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Queue {
    fn paths(&self) -> Vec<PathBuf> {
        let batches = self.batches.lock().unwrap();
        let mut paths: Vec<_> = batches.iter().flatten().map(|l| l.path.clone()).collect();
        paths.sort();
        paths
    }
}

struct Bench {
    temp: tempfile::TempDir,
    root: Root,
    queue: Queue,
    mono: Arc<AtomicU64>,
    clock: ManualClock,
}

impl Bench {
    /// A watched folder `in` in a folder of its own; `*.csv` is taken.
    fn new(change: impl FnOnce(&mut WatchSpec)) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("in");
        fs::create_dir(&dir).unwrap();
        let ignore = [glob(".*"), glob("*.tmp")];
        let mut spec = specs(&[task("orders", &dir, "*.csv", false, 0)], &ignore, &[]).remove(0);
        change(&mut spec);
        let mono = Arc::new(AtomicU64::new(0));
        let clock = ManualClock::new(SystemClock.now());
        let ticks = Arc::clone(&mono);
        let timer = move || Duration::from_millis(ticks.load(Ordering::SeqCst));
        let root = Root::with_monotonic(spec, Arc::new(clock.clone()), Box::new(timer));
        Self { temp, root, queue: Queue::default(), mono, clock }
    }

    fn recursive(change: impl FnOnce(&mut WatchSpec)) -> Self {
        Self::new(|spec| {
            spec.tasks = vec![task("orders", &spec.dir, "*.csv", true, 0)];
            spec.recursive = true;
            change(spec);
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join("in").join(name)
    }

    fn advance(&self, seconds: u64) {
        self.mono.fetch_add(seconds * 1000, Ordering::SeqCst);
        self.clock.set(self.clock.now().plus(Duration::from_secs(seconds)));
    }

    fn first_scan(&mut self) -> ScanCount {
        self.root.first_scan(&self.queue).unwrap()
    }

    fn turn(&mut self) {
        self.root.turn(&self.queue);
    }

    /// Turns until something is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "waited in vain until {what}: {:?}", self.status());
            self.turn();
            self.root.control().wait(Duration::from_millis(30));
        }
    }

    /// Turns until everything that happened so far has been seen: events come in order, so a mark that is seen is
    /// the end of them.
    fn until_seen(&mut self, mark: &str) {
        fs::write(self.path(mark), "").unwrap();
        let name = crate::model::text::path(&self.path(mark));
        self.until("the mark is seen", |b| b.status().listed.files.iter().any(|f| f.path == name));
    }

    fn status(&self) -> RootStatus {
        self.root.control().status()
    }

    fn reason(&self, name: &str) -> Option<String> {
        let path = crate::model::text::path(&self.path(name));
        self.status().listed.files.into_iter().find(|f: &ListedFile| f.path == path).map(|f| f.reason)
    }

    fn scan_now(&mut self) -> ScanReport {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        self.root.control().scan_now(move |report| send.send(report).unwrap());
        self.turn();
        receive.try_recv().unwrap()
    }
}

#[test]
fn a_file_that_is_renamed_in_is_taken_at_once() {
    let mut b = Bench::new(|_| {});
    b.first_scan();
    fs::write(b.temp.path().join("x"), "a,b\n").unwrap();
    Dir::open(b.temp.path())
        .and_then(|d| d.rename_to(OsStr::new("x"), &d.sub(Path::new("in"))?, OsStr::new("a.csv")))
        .unwrap();
    b.until("it lands", |b| b.queue.paths() == [Path::new("a.csv")]);
    let landed = b.queue.batches.lock().unwrap()[0][0].clone();
    assert_eq!((&*landed.task, landed.root.as_path(), landed.facts.size), ("orders", &*b.path(""), 4));
}

#[test]
fn a_temporary_name_waits_for_its_rename() {
    let mut b = Bench::new(|_| {});
    b.first_scan();
    fs::write(b.path("a.csv.tmp"), "1").unwrap();
    b.until("it is listed", |b| b.reason("a.csv.tmp").as_deref() == Some("temporary name"));
    b.advance(100);
    b.turn();
    assert!(b.queue.paths().is_empty());
    let d = Dir::open(&b.path("")).unwrap();
    d.rename_to(OsStr::new("a.csv.tmp"), &d, OsStr::new("a.csv")).unwrap();
    b.until("it lands", |b| b.queue.paths() == [Path::new("a.csv")]);
    b.until("it is listed no more", |b| b.status().listed.count == 0);
}

#[test]
fn a_slow_writer_is_never_cut_short() {
    let mut b = Bench::new(|_| {});
    b.first_scan();
    let mut writer = File::create(b.path("a.csv")).unwrap();
    for part in 0..5 {
        writer.write_all(b"1,2,3\n").unwrap();
        b.until_seen(&format!("mark{part}"));
        b.advance(100);
        b.turn();
        assert_eq!(b.scan_now().settling, 1);
        assert!(b.queue.paths().is_empty(), "taken while it was open");
    }
    drop(writer);
    b.until_seen("closed");
    b.turn();
    assert!(b.queue.paths().is_empty(), "taken before it had settled");
    b.advance(2);
    b.turn();
    assert_eq!(b.queue.paths(), [Path::new("a.csv")]);
    assert_eq!(b.queue.batches.lock().unwrap()[0][0].facts.size, 30);
    assert_eq!(b.status().settling, 0);
}

#[test]
fn a_scan_does_not_take_what_is_open() {
    let mut b = Bench::new(|spec| spec.poll = true);
    let writer = File::create(b.path("a.csv")).unwrap();
    if lease::writer_open(&File::open(b.path("a.csv")).unwrap()).is_none() {
        return; // no leases on this file system: nothing tells
    }
    b.advance(1000);
    assert_eq!(b.first_scan(), ScanCount { folders: 1, files: 1, new: 0 });
    drop(writer);
    b.advance(2);
    b.turn();
    assert_eq!(b.queue.paths(), [Path::new("a.csv")]);
}

#[test]
fn what_was_there_before_is_found() {
    let mut b = Bench::new(|_| {});
    fs::write(b.path("old.csv"), "1").unwrap();
    b.advance(10);
    assert_eq!(b.first_scan().new, 1);

    let mut b = Bench::new(|_| {});
    fs::write(b.path("young.csv"), "1").unwrap();
    assert_eq!(b.first_scan().new, 0);
    assert_eq!(b.status().settling_by_task.get("orders"), Some(&1));
    b.advance(3);
    b.turn();
    assert_eq!(b.queue.paths(), [Path::new("young.csv")]);
}

#[test]
fn new_folders_are_read_whatever_they_hold_already() {
    let mut b = Bench::recursive(|_| {});
    b.first_scan();
    let outside = b.temp.path().join("x");
    fs::create_dir_all(outside.join("1/2/3")).unwrap();
    for name in ["0.csv", "1/a.csv", "1/2/b.csv", "1/2/3/c.csv"] {
        fs::write(outside.join(name), name).unwrap();
    }
    b.advance(10);
    let d = Dir::open(b.temp.path()).unwrap();
    d.rename_to(OsStr::new("x"), &d.sub(Path::new("in")).unwrap(), OsStr::new("x")).unwrap();
    b.until("all land", |b| b.queue.paths().len() == 4);
    // And they are watched from now on.
    fs::write(b.path("x/1/2/3/d.tmp"), "1").unwrap();
    let deep = Dir::open(&b.path("x/1/2/3")).unwrap();
    deep.rename_to(OsStr::new("d.tmp"), &deep, OsStr::new("d.csv")).unwrap();
    b.until("the late one lands", |b| b.queue.paths().contains(&PathBuf::from("x/1/2/3/d.csv")));
    fs::create_dir_all(b.path("y/z")).unwrap();
    fs::write(b.path("y/z/e.csv"), "1").unwrap();
    b.until("one in folders made just now lands", |b| b.queue.paths().contains(&PathBuf::from("y/z/e.csv")));
}

#[test]
fn lost_events_are_made_up_for_by_a_scan() {
    let mut b = Bench::new(|spec| spec.poll = true); // no events at all
    b.first_scan();
    fs::write(b.path("a.csv"), "1").unwrap();
    b.advance(10);
    b.turn();
    assert!(b.queue.paths().is_empty());
    let event = notify::Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan);
    b.root.control().event(Ok(event));
    b.turn();
    assert_eq!(b.queue.paths(), [Path::new("a.csv")]);
    assert_eq!((b.status().overflowed, b.status().scans), (1, 2));
    fs::write(b.path("b.csv"), "1").unwrap();
    b.advance(31);
    b.turn();
    assert_eq!(b.queue.paths().len(), 2, "a blind root scans every 30 s");
}

#[test]
fn a_scan_is_bounded_and_offers_again_after_a_while() {
    let mut b = Bench::new(|spec| spec.poll = true);
    for n in 0..1200 {
        fs::write(b.path(&format!("{n}.csv")), "").unwrap();
    }
    b.advance(10);
    assert_eq!(b.first_scan(), ScanCount { folders: 1, files: 1200, new: 1200 });
    let sizes: Vec<_> = b.queue.batches.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [500, 500, 200]);
    assert_eq!(b.scan_now(), ScanReport { new: 0, settling: 0, complete: true });
    assert_eq!(b.scan_now().new, 1200, "what is still there after two scans is offered again");
}

#[test]
fn a_refused_batch_is_offered_again() {
    let mut b = Bench::new(|spec| spec.poll = true);
    fs::write(b.path("a.csv"), "1").unwrap();
    fs::write(b.path("b.csv"), "1").unwrap();
    b.advance(10);
    b.queue.refuses.store(true, Ordering::SeqCst);
    assert!(b.root.first_scan(&b.queue).is_err());
    assert!(b.status().problem.unwrap().contains("the store is full"));
    b.queue.refuses.store(false, Ordering::SeqCst);
    b.turn();
    assert!(b.queue.paths().is_empty(), "not at once");
    b.advance(5);
    b.turn();
    assert_eq!(b.queue.paths().len(), 2);
    assert_eq!(b.status().problem, None);
}

#[test]
fn a_refused_file_that_never_settled_is_found_again() {
    let mut b = Bench::recursive(|_| {});
    b.first_scan();
    fs::create_dir(b.temp.path().join("x")).unwrap();
    fs::write(b.temp.path().join("x/a.csv"), "1").unwrap();
    b.advance(10);
    b.queue.refuses.store(true, Ordering::SeqCst);
    let d = Dir::open(b.temp.path()).unwrap();
    d.rename_to(OsStr::new("x"), &d.sub(Path::new("in")).unwrap(), OsStr::new("x")).unwrap();
    b.until("the queue refuses it", |b| b.status().problem.is_some());
    b.queue.refuses.store(false, Ordering::SeqCst);
    b.advance(6);
    b.turn();
    assert_eq!(b.queue.paths(), [Path::new("x/a.csv")]);
}

#[test]
fn a_folder_that_goes_away_is_waited_for() {
    let mut b = Bench::new(|_| {});
    b.first_scan();
    let d = Dir::open(b.temp.path()).unwrap();
    d.rename_to(OsStr::new("in"), &d, OsStr::new("away")).unwrap();
    b.until("it is missed", |b| b.status().missing);
    assert!(b.status().problem.unwrap().contains("is not there"));
    assert_eq!(b.scan_now(), ScanReport { new: 0, settling: 0, complete: false });
    fs::create_dir(b.path("")).unwrap();
    fs::write(b.path("a.csv"), "1").unwrap();
    b.advance(5);
    b.turn();
    assert!(!b.status().missing && b.status().problem.is_none());
    fs::write(b.path("x.tmp"), "1").unwrap();
    let d = Dir::open(&b.path("")).unwrap();
    d.rename_to(OsStr::new("x.tmp"), &d, OsStr::new("x.csv")).unwrap();
    b.until("the new folder is watched", |b| b.queue.paths().contains(&PathBuf::from("x.csv")));
    b.advance(10);
    b.until("what lay in it is found", |b| b.queue.paths().contains(&PathBuf::from("a.csv")));
}

#[test]
fn tasks_of_one_folder_share_its_root() {
    let (a, inner) = (Path::new("/w/a"), Path::new("/w/a/inner"));
    let tasks =
        [task("one", a, "*.csv", false, 0), task("two", inner, "*.csv", false, 0), task("three", a, "*.txt", true, 0)];
    let got = specs(&tasks, &[], &[PathBuf::from("/w/a/data"), PathBuf::from("/w/other"), PathBuf::from("/w/a")]);
    assert_eq!(got.len(), 2);
    assert_eq!((got[0].dir.as_path(), got[0].tasks.len(), got[0].recursive), (a, 2, true));
    assert_eq!(got[0].exclude, [Path::new("/w/a/data"), inner]);
    assert!(got[1].exclude.is_empty());
    assert_eq!(taker(&got[0].tasks, Path::new("x.csv")), Some(0));
    assert_eq!(taker(&got[0].tasks, Path::new("sub/x.csv")), None, "the first does not look below its folder");
    assert_eq!(taker(&got[0].tasks, Path::new("sub/x.txt")), Some(1));
}

#[test]
fn a_running_root_answers_and_stops() {
    let b = Bench::new(|_| {});
    fs::write(b.path("a.csv"), "1").unwrap();
    b.advance(10);
    let control = b.root.control();
    let (root, queue) = (b.root, &b.queue);
    std::thread::scope(|scope| {
        let runner = scope.spawn(move || root.run(queue));
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        control.scan_now(move |report| send.send(report).unwrap());
        let report = receive.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(report.complete && report.settling == 0);
        control.stop();
        runner.join().unwrap();
    });
    assert_eq!(b.queue.paths(), [Path::new("a.csv")]);
}
