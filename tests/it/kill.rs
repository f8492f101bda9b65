//! The supervisor is killed at random moments while files land, again and again, and started again at once. In the end
//! every file is in one place, once, whole, with what belongs to it.
//!
//! The small run is part of every `cargo test`. The large one:
//!
//! ```text
//! KILLS=300 FILES=3000 SEED=1 cargo test --release --test it kill -- --nocapture
//! ```
//!
//! The seed decides what lands, where, how and in which order, and the moments of the kills; what the program was doing
//! at these moments is up to the machine.

use super::proof::{World, audit, base, hash, until};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// The four folders: plain, with folders below, by copy, and for a program.
const ROOTS: [&str; 4] = ["plain", "deep", "copied", "program"];
const TASKS: &str = r#"
[tasks.plain]
watch = { dir = "plain", match = ["*"], settle = "50ms" }
extract = { output = "out/plain/{name}.json" }

[tasks.deep]
watch = { dir = "deep", match = ["*"], settle = "50ms", recursive = true }
extract = { output = "out/deep/{name}.json" }

[tasks.copied]
watch = { dir = "copied", match = ["*"], settle = "50ms", claim = "copy" }
extract = { output = "out/copied/{name}.json" }

[tasks.program]
watch = { dir = "program", match = ["*"], settle = "50ms" }
command = { program = "cp", args = ["{input}", "{output}"], output = "out/program/{name}.copy", idempotent = true }
"#;
/// Threads that write in place, slowly.
const SLOW_WRITERS: usize = 3;

/// A generator of numbers that look random (splitmix64).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What a file is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Table,
    BadTable,
    Empty,
    Bytes,
}

/// A file to be handed in.
#[derive(Debug)]
struct Item {
    kind: Kind,
    seed: u64,
    size: usize,
    folder: PathBuf,
    name: OsString,
    slow: bool,
}

impl Item {
    fn new(rng: &mut Rng, n: usize, largest: usize) -> Self {
        let kind = match rng.below(20) {
            0 => Kind::Empty,
            1..=3 => Kind::BadTable,
            4 => Kind::Bytes,
            5..=11 => Kind::Table,
            _ => Kind::Text,
        };
        // As many between 1 and 2 KiB as between 1 and 2 MiB.
        let bits = largest.ilog2();
        let scale = 1_u64 << rng.below(u64::from(bits) + 1);
        let size = usize::try_from(scale + rng.below(scale)).unwrap().min(largest);
        let root = ROOTS[usize::try_from(rng.below(4)).unwrap()];
        let below = ["", "a", "a/b", "ㄱ"][usize::try_from(rng.below(4)).unwrap()];
        let folder = if root == "deep" { Path::new(root).join(below) } else { root.into() };
        let ending = match kind {
            Kind::Text => "txt",
            Kind::Table | Kind::BadTable => "csv",
            Kind::Bytes => "bin",
            Kind::Empty => ["txt", "csv"][usize::try_from(rng.below(2)).unwrap()],
        };
        let name = match rng.below(10) {
            0 => format!("보고서-{n}.{ending}").into(),
            1 => OsString::from_vec([b"\xff\xfe-", format!("{n}.{ending}").as_bytes()].concat()),
            2 => padded(&format!("{n}-"), "x", ending),
            3 => padded(&format!("{n}-"), "글", ending),
            // One that comes again and again.
            4 => format!("daily.{ending}").into(),
            _ => format!("file {n}.{ending}").into(),
        };
        Self { kind, seed: rng.next(), size, folder, name, slow: rng.below(3) == 0 }
    }

    /// What is in it: another content for every seed, so that each can be told from all others.
    fn content(&self) -> Vec<u8> {
        let mut rng = Rng(self.seed);
        let mut out = Vec::with_capacity(self.size + 64);
        match self.kind {
            Kind::Empty => {}
            Kind::Text => {
                out.extend(format!("{:x}\n", self.seed).bytes());
                while out.len() < self.size {
                    out.extend(format!("{:x} some words\n", rng.next()).bytes());
                }
            }
            Kind::Table | Kind::BadTable => {
                out.extend(format!("id,value\n1,{:x}\n", self.seed).bytes());
                while out.len() < self.size {
                    out.extend(format!("{},\"{:x}\"\n", out.len(), rng.next()).bytes());
                }
                if self.kind == Kind::BadTable {
                    out.extend(b"alone\n");
                }
            }
            Kind::Bytes => {
                out.extend([0, 1, 2, 0]);
                while out.len() < self.size.max(16) {
                    out.extend(rng.next().to_le_bytes());
                }
            }
        }
        out
    }
}

/// A name of 255 bytes.
fn padded(start: &str, fill: &str, ending: &str) -> OsString {
    let room = 255 - start.len() - ending.len() - 1;
    let mut name = format!("{start}{}", fill.repeat(room / fill.len()));
    name.push_str(&"x".repeat(255 - name.len() - ending.len() - 1));
    format!("{name}.{ending}").into()
}

/// What one run is like.
struct Plan {
    kills: usize,
    files: usize,
    seed: u64,
    /// Largest file, in bytes.
    largest: usize,
    /// The disk is audited after every so many kills.
    audit_every: usize,
    base: PathBuf,
}

/// Feeds files into a world as the kills go on, so that some land at every moment of the run.
struct Feeder<'a> {
    world: &'a Mutex<World>,
    root: PathBuf,
    killed: &'a AtomicUsize,
    plan: &'a Plan,
}

impl Feeder<'_> {
    /// Waits for the turn of the `n`th file.
    fn wait_for_turn(&self, n: usize) {
        let turn = n * self.plan.kills / self.plan.files.max(1);
        until("a kill", || (self.killed.load(Ordering::SeqCst) >= turn).then_some(()));
    }

    /// Hands one in; the name is taken as it is, or with a number if there is such a file already.
    fn hand_in(&self, n: usize, item: &Item) {
        let content = item.content();
        let folder = self.root.join(&item.folder);
        std::fs::create_dir_all(&folder).unwrap();
        let other = OsString::from(format!("again-{n}-")).into_vec();
        let other = OsString::from_vec([other.as_slice(), &item.name.as_bytes()[..item.name.len().min(60)]].concat());
        let ending = Path::new(&item.name).extension().unwrap_or_default();
        let other = [other.as_os_str(), OsStr::new("."), ending].iter().copied().collect::<OsString>();
        if item.slow {
            let open = |name: &OsStr| File::options().write(true).create_new(true).open(folder.join(name));
            let mut file = open(&item.name).or_else(|_| open(&other)).unwrap();
            let mut rng = Rng(item.seed);
            for piece in content.chunks((content.len() / 8).max(1)) {
                file.write_all(piece).unwrap();
                std::thread::park_timeout(Duration::from_millis(rng.below(12)));
            }
            // Counted before it is closed: from then on it may be taken.
            self.count(&content);
            drop(file);
        } else {
            let part = self.root.join(format!("part-{n}"));
            std::fs::write(&part, &content).unwrap();
            self.count(&content);
            // Never over another file: by a rename that refuses to, or by a second name and then one less.
            let into = |name: &OsStr| {
                let target = folder.join(name);
                if n.is_multiple_of(5) {
                    return std::fs::hard_link(&part, target).and_then(|()| std::fs::remove_file(&part));
                }
                let flags = RenameFlags::RENAME_NOREPLACE;
                Ok(renameat2(AT_FDCWD, &part, AT_FDCWD, &target, flags)?)
            };
            into(&item.name).or_else(|_| into(&other)).unwrap();
        }
    }

    fn count(&self, content: &[u8]) {
        self.world.lock().unwrap().sends(content);
    }
}

/// Kills the program again and again while files land, and audits what is left.
fn harness(plan: &Plan) {
    let began = Instant::now();
    let world = World::at(&plan.base, &ROOTS, TASKS);
    let root = world.root().to_owned();
    let world = Mutex::new(world);
    let mut rng = Rng(plan.seed);
    let items: Vec<Item> = (0..plan.files).map(|n| Item::new(&mut rng, n, plan.largest)).collect();
    let killed = AtomicUsize::new(0);
    let feeder = Feeder { world: &world, root, killed: &killed, plan };
    std::thread::scope(|scope| {
        let (slow_tx, slow_rx) = mpsc::sync_channel::<(usize, &Item)>(SLOW_WRITERS);
        let slow_rx = Arc::new(Mutex::new(slow_rx));
        let (feeder, items) = (&feeder, &items);
        scope.spawn(move || {
            for (n, item) in items.iter().enumerate() {
                feeder.wait_for_turn(n);
                if item.slow {
                    slow_tx.send((n, item)).unwrap();
                } else {
                    feeder.hand_in(n, item);
                }
            }
        });
        for _ in 0..SLOW_WRITERS {
            let slow_rx = Arc::clone(&slow_rx);
            scope.spawn(move || {
                loop {
                    let next = slow_rx.lock().unwrap().recv();
                    let Ok((n, item)) = next else { return };
                    feeder.hand_in(n, item);
                }
            });
        }
        for kill in 1..=plan.kills {
            let mut supervisor = world.lock().unwrap().start("run", None);
            // Half of them early, while it recovers; the others anywhere in its work.
            let longest = [40, 40, 120, 400][usize::try_from(rng.below(4)).unwrap()];
            let moment = rng.below(longest);
            std::thread::park_timeout(Duration::from_millis(moment));
            if let Some(status) = supervisor.0.try_wait().unwrap() {
                let said = world.lock().unwrap().read("said");
                panic!("kill {kill}: it ended by itself: {status}\n{}", String::from_utf8_lossy(&said));
            }
            supervisor.kill();
            if kill % plan.audit_every == 0 {
                audit::after_death(&world.lock().unwrap(), &format!("kill {kill} of seed {}", plan.seed));
            }
            killed.store(kill, Ordering::SeqCst);
        }
    });
    let world = world.into_inner().unwrap();
    let fed = began.elapsed();
    world.settle();
    let what = format!("seed {}, {} kills, {} files", plan.seed, plan.kills, plan.files);
    audit::at_rest(&world, &what);
    ends(&world, &items, &what);
    let bytes: u64 = items.iter().map(|i| i.content().len() as u64).sum();
    let number = |sql: &str| world.number(sql);
    println!(
        "{what}, {} MiB: {} succeeded, {} failed, {} of these for three deaths; {} attempts, {} of them crashed; fed for {:.1?}, {:.1?} in all",
        bytes >> 20,
        number("SELECT count(*) FROM job WHERE state = 4"),
        number("SELECT count(*) FROM job WHERE state = 5"),
        number("SELECT count(*) FROM attempt WHERE code = 'crashed_worker'"),
        number("SELECT count(*) FROM attempt"),
        number("SELECT count(*) FROM attempt WHERE outcome = 'crashed'"),
        fed,
        began.elapsed(),
    );
}

/// Every file is one job, and each ended as it had to: a good one as a success, unless it was at work in three deaths.
fn ends(world: &World, items: &[Item], what: &str) {
    let db = world.db();
    let jobs: usize = db.query_row("SELECT count(*) FROM job", [], |r| r.get(0)).unwrap();
    let others = "SELECT count(*) FROM job WHERE state NOT IN (4, 5)";
    let others: usize = db.query_row(others, [], |r| r.get(0)).unwrap();
    assert_eq!((jobs, others), (items.len(), 0), "{what}: each file is one job, and each has an end");
    let mut select = db
        .prepare(
            "SELECT j.state, a.code, p.path FROM job j JOIN attempt a ON a.job = j.id AND a.n = j.attempt
             JOIN job_file p ON p.job = j.id AND p.dir IN (2, 3)",
        )
        .unwrap();
    let rows = select.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Option<String>>(1)?, r.get(2)?))).unwrap();
    let mut ended = std::collections::BTreeMap::new();
    for row in rows {
        let (state, code, path): (i64, Option<String>, Vec<u8>) = row.unwrap();
        let content = std::fs::read(OsString::from_vec(path)).unwrap();
        ended.entry(hash(&content)).or_insert_with(Vec::new).push((state, code));
    }
    for item in items {
        let all = &ended[&hash(&item.content())];
        let by_program = item.folder.starts_with("program");
        for (state, code) in all {
            let fine = match (item.kind, state, code.as_deref()) {
                (_, 5, Some("crashed_worker")) | (Kind::Empty, _, _) => true,
                (Kind::BadTable, 5, Some("csv_bad_row")) => !by_program,
                (Kind::BadTable, 4, _) => by_program,
                (Kind::Text | Kind::Table | Kind::Bytes, 4, _) => true,
                _ => false,
            };
            assert!(fine, "{what}: {item:?} ended as {state}, {code:?}");
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn nothing_is_lost_or_done_twice_when_the_supervisor_is_killed_at_random() {
    let kills = setting("KILLS").map(|n| usize::try_from(n).unwrap());
    let files = setting("FILES").map(|n| usize::try_from(n).unwrap());
    let is_large = kills.is_some() || files.is_some();
    harness(&Plan {
        kills: kills.unwrap_or(12),
        files: files.unwrap_or(120),
        seed: setting("SEED").unwrap_or(1),
        largest: if is_large { 8 << 20 } else { 64 << 10 },
        audit_every: if is_large { 50 } else { 1 },
        base: if is_large { std::env::temp_dir() } else { base() },
    });
}
