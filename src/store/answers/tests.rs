//! The cache on a real folder: what comes back, what goes first, and what damage of every kind does to it.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::MetadataExt;
use tempfile::TempDir;

const ROOM: u64 = 1 << 20;

struct Cache {
    /// Removed with it.
    _root: TempDir,
    dir: PathBuf,
    source: PathBuf,
    answers: Option<Answers>,
    max: u64,
}

impl Cache {
    fn new(max: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (dir, source) = (root.path().join("cache/answers"), root.path().join("body"));
        let mut cache = Self { _root: root, dir, source, answers: None, max };
        assert_eq!(cache.reopen(), None);
        cache
    }

    /// Ends the process, as far as the cache sees, and starts another one.
    fn reopen(&mut self) -> Option<String> {
        self.answers = None;
        let (answers, warning) = Answers::open(&self.dir, self.max).unwrap();
        self.answers = Some(answers);
        warning
    }

    fn answers(&self) -> &Answers {
        self.answers.as_ref().unwrap()
    }

    fn put(&self, key: u8, body: &[u8]) {
        fs::write(&self.source, body).unwrap();
        self.answers().put(&named(key), &facts(key), &self.source).unwrap();
    }

    fn get(&self, key: u8) -> Option<Vec<u8>> {
        let answer = self.answers().get(&named(key))?;
        let mut body = Vec::new();
        { answer.body }.read_to_end(&mut body).unwrap();
        assert_eq!(body.len() as u64, answer.size);
        Some(body)
    }

    /// Every file of a body.
    fn bodies(&self) -> Vec<PathBuf> {
        let is_ours = |p: &PathBuf| p.is_dir() && p.file_name().is_some_and(|name| name.len() == 2);
        let folders = fs::read_dir(&self.dir).unwrap().map(|e| e.unwrap().path()).filter(is_ours);
        folders.flat_map(|f| fs::read_dir(f).unwrap().map(|e| e.unwrap().path())).collect()
    }

    fn body(&self, content: &[u8]) -> PathBuf {
        body_path(&self.dir, &blake3::hash(content))
    }
}

fn named(key: u8) -> AnswerKey {
    AnswerKey([key; 32])
}

fn facts(key: u8) -> AnswerFacts {
    AnswerFacts { status: 200, at: i64::from(key), etag: Some("\"../\x1b[2J\"".into()), ..AnswerFacts::default() }
}

#[test]
fn an_answer_comes_back_as_it_was_put_in() {
    let mut cache = Cache::new(ROOM);
    cache.put(1, b"one");
    cache.put(2, b"");
    for _ in 0..2 {
        assert_eq!(cache.get(1).as_deref(), Some(&b"one"[..]));
        assert_eq!(cache.get(2).as_deref(), Some(&b""[..]));
        assert_eq!(cache.answers().get(&named(1)).unwrap().facts, facts(1));
        assert_eq!(cache.get(3), None);
        assert_eq!(cache.reopen(), None);
    }
    assert_eq!(fs::metadata(&cache.dir).unwrap().mode() & 0o777, 0o700);
    assert!(cache.bodies().iter().all(|p| fs::metadata(p).unwrap().mode() & 0o777 == 0o600));
}

#[test]
fn the_same_key_has_one_answer_and_equal_bodies_one_file() {
    let cache = Cache::new(ROOM);
    cache.put(1, b"old");
    cache.put(1, b"new");
    assert_eq!(cache.get(1).as_deref(), Some(&b"new"[..]));
    assert_eq!(cache.bodies(), [cache.body(b"new")]);
    let size = cache.answers().size();
    cache.put(1, b"new");
    assert_eq!((cache.answers().size(), cache.bodies().len()), (size, 1));
    cache.put(2, b"new");
    cache.put(1, b"other");
    assert_eq!(cache.get(2).as_deref(), Some(&b"new"[..]), "the body of another answer stays");
    cache.put(2, b"other");
    assert_eq!(cache.bodies(), [cache.body(b"other")]);
}

#[test]
fn a_confirmed_answer_has_new_facts_and_the_same_body() {
    let cache = Cache::new(ROOM);
    cache.put(1, b"one");
    cache.answers().confirm(&named(1), &facts(9)).unwrap();
    assert_eq!(cache.answers().get(&named(1)).unwrap().facts, facts(9));
    assert_eq!(cache.get(1).as_deref(), Some(&b"one"[..]));
    cache.answers().confirm(&named(2), &facts(9)).unwrap();
    assert_eq!(cache.get(2), None, "what is not there cannot be confirmed");
    let long = AnswerFacts { etag: Some("x".repeat(FACTS_MAX)), ..facts(1) };
    cache.answers().confirm(&named(1), &long).unwrap();
    assert_eq!((cache.get(1), cache.answers().size()), (None, 0));
}

#[test]
fn a_body_that_was_changed_is_forgotten() {
    let content = b"a body of some length";
    type Damage = (&'static str, fn(&Path));
    let damages: &[Damage] = &[
        ("flipped at the start", |p| flip(p, 0)),
        ("flipped at the end", |p| flip(p, 20)),
        ("cut", |p| File::options().write(true).open(p).unwrap().set_len(20).unwrap()),
        ("emptied", |p| File::options().write(true).open(p).unwrap().set_len(0).unwrap()),
        ("longer", |p| File::options().write(true).open(p).unwrap().set_len(22).unwrap()),
        ("gone", |p| fs::remove_file(p).unwrap()),
        ("a folder", |p| {
            fs::remove_file(p).unwrap();
            fs::create_dir(p).unwrap();
        }),
        ("a link to the same", |p| {
            let other = p.with_extension("moved");
            fs::copy(p, &other).unwrap();
            fs::remove_file(p).unwrap();
            std::os::unix::fs::symlink(other, p).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let mut cache = Cache::new(ROOM);
        cache.put(1, content);
        cache.put(2, content);
        damage(&cache.body(content));
        assert_eq!(cache.get(1), None, "{what}");
        assert_eq!(cache.get(1), None, "{what}");
        if *what == "a folder" {
            continue; // Nothing of ours is a folder; it stays in the way of this one body.
        }
        // The same body put in again heals the other answer that has it.
        cache.put(1, content);
        assert_eq!(cache.get(1).as_deref(), Some(&content[..]), "{what}");
        assert_eq!(cache.get(2).as_deref(), Some(&content[..]), "{what}");
        assert_eq!(cache.reopen(), None);
        assert_eq!(cache.bodies().len(), 1, "{what}");
    }
}

fn flip(path: &Path, at: usize) {
    let mut content = fs::read(path).unwrap();
    content[at] ^= 1;
    fs::write(path, content).unwrap();
}

#[test]
fn the_answers_that_were_not_used_go_first() {
    // Room for four of one block each.
    let one = BLOCK + row_cost(serde_json::to_string(&facts(1)).unwrap().len() as u64);
    let mut cache = Cache::new(4 * one + 100);
    let body = |key: u8| vec![key; 100];
    for key in 1..=4 {
        cache.put(key, &body(key));
    }
    assert!(cache.get(1).is_some());
    cache.answers().confirm(&named(2), &facts(2)).unwrap();
    cache.reopen();
    cache.put(5, &body(5));
    assert_eq!(cache.get(3), None);
    cache.put(6, &body(6));
    assert_eq!(cache.get(4), None);
    for key in [1, 2, 5, 6] {
        assert_eq!(cache.get(key), Some(body(key)), "{key}");
    }
    // Less room from now on.
    cache.max = 2 * one + 100;
    cache.reopen();
    assert_eq!((1..=6).filter(|&key| cache.get(key).is_some()).collect::<Vec<_>>(), [5, 6]);
    assert_eq!(cache.bodies().len(), 2);
}

#[test]
fn what_is_too_large_is_not_kept_and_drives_nothing_out() {
    let cache = Cache::new(ROOM);
    let largest = vec![7; (ROOM / SHARE) as usize];
    cache.put(1, &largest);
    assert!(cache.get(1).is_some());
    cache.put(2, b"small");
    cache.put(3, b"small");
    cache.put(2, &vec![8; largest.len() + 1]);
    assert_eq!(cache.get(2), None, "the earlier answer is out of date");
    assert!(cache.get(1).is_some() && cache.get(3).is_some());
    let long = AnswerFacts { link: Some("x".repeat(FACTS_MAX)), ..facts(3) };
    cache.answers().put(&named(3), &long, &cache.source).unwrap();
    assert_eq!(cache.get(3), None);
    let none = Cache::new(0);
    none.put(1, b"");
    assert_eq!((none.get(1), none.answers().size(), none.bodies().len()), (None, 0, 0));
    assert!(cache.answers().put(&named(4), &facts(4), Path::new("/nonexistent")).is_err());
}

#[test]
fn what_an_earlier_process_left_is_removed_at_the_start() {
    let mut cache = Cache::new(ROOM);
    cache.put(1, b"one");
    let orphan = cache.body(b"nobody's");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"nobody's").unwrap();
    fs::write(cache.body(b"one").with_file_name("odd"), b"").unwrap();
    fs::write(cache.dir.join("put-abc"), b"half").unwrap();
    fs::write(cache.dir.join("notes"), b"not ours").unwrap();
    assert_eq!(cache.reopen(), None);
    assert_eq!(cache.bodies(), [cache.body(b"one")]);
    assert!(!cache.dir.join("put-abc").exists() && cache.dir.join("notes").exists());
    assert_eq!(cache.get(1).as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_database_of_no_use_is_set_aside() {
    type Damage = (&'static str, Box<dyn Fn(&Path)>);
    let sql = |text: &'static str| move |p: &Path| Connection::open(p).unwrap().execute_batch(text).unwrap();
    let damages: Vec<Damage> = vec![
        ("newer", Box::new(sql("PRAGMA user_version = 2"))),
        ("another program's", Box::new(sql("PRAGMA application_id = 5"))),
        ("without its table", Box::new(sql("DROP TABLE answer"))),
        ("text", Box::new(|p| fs::write(p, "hello\n".repeat(1000)).unwrap())),
        ("cut", Box::new(|p| File::options().write(true).open(p).unwrap().set_len(5000).unwrap())),
        (
            "overwritten",
            Box::new(|p| {
                let mut content = fs::read(p).unwrap();
                content[4096..8192].fill(0xaa);
                fs::write(p, content).unwrap();
            }),
        ),
        (
            "a folder",
            Box::new(|p| {
                fs::remove_file(p).unwrap();
                fs::create_dir(p).unwrap();
                fs::write(p.join("x"), "").unwrap();
            }),
        ),
    ];
    for (what, damage) in damages {
        let mut cache = Cache::new(ROOM);
        cache.put(1, b"one");
        cache.answers = None;
        let path = cache.dir.join(database::NAME);
        damage(&path);
        // Twice: what was set aside before is in the way.
        for _ in 0..2 {
            let warning = cache.reopen().unwrap_or_else(|| panic!("{what}: not noticed"));
            assert!(warning.contains("answers.db.aside"), "{what}: {warning}");
            assert_eq!((cache.get(1), cache.bodies().len(), cache.answers().size()), (None, 0, 0), "{what}");
            cache.put(1, b"two");
            assert_eq!(cache.reopen(), None, "{what}");
            assert_eq!(cache.get(1).as_deref(), Some(&b"two"[..]), "{what}");
            cache.answers = None;
            fs::write(&path, "x".repeat(2000)).unwrap();
        }
    }
    // One that is gone or empty is a new one.
    let mut cache = Cache::new(ROOM);
    cache.put(1, b"one");
    cache.answers = None;
    fs::remove_file(cache.dir.join(database::NAME)).unwrap();
    assert_eq!((cache.reopen(), cache.get(1), cache.bodies().len()), (None, None, 0));
}

#[test]
fn facts_that_cannot_be_read_are_no_answer() {
    let cache = Cache::new(ROOM);
    cache.put(1, b"one");
    cache.answers().lock().conn.execute("UPDATE answer SET facts = '{'", []).unwrap();
    assert_eq!((cache.get(1), cache.bodies().len()), (None, 0));
}

#[test]
fn threads_share_the_cache_and_see_whole_bodies_alone() {
    let cache = Cache::new(ROOM);
    let body = |key: u8, turn: u8| [key, turn % 3].repeat(20_000);
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            let (cache, source) = (&cache, cache.source.with_extension(thread.to_string()));
            scope.spawn(move || {
                for turn in 0..40u8 {
                    let key = (turn + thread) % 40;
                    fs::write(&source, body(key, turn)).unwrap();
                    cache.answers().put(&named(key), &facts(key), &source).unwrap();
                    for other in [key, key / 2] {
                        if let Some(found) = cache.get(other) {
                            assert!((0..3).any(|turn| found == body(other, turn)));
                        }
                    }
                    assert!(cache.answers().size() <= ROOM);
                }
            });
        }
    });
    assert!(!cache.bodies().is_empty());
    let (total, _) = database::sums(&cache.answers().lock().conn).unwrap();
    assert_eq!(total, cache.answers().size());
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize, u8),
    Get(u8),
    Confirm(u8, usize),
    Lose(u8),
    Reopen,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_bound_holds_and_nothing_wrong_is_served(steps in proptest::collection::vec(prop_oneof![
        6 => (0..6u8, prop_oneof![0..9_000usize, Just(5_000)], 0..2u8).prop_map(|(k, n, c)| Step::Put(k, n, c)),
        3 => (0..6u8).prop_map(Step::Get),
        1 => (0..6u8, 0..900usize).prop_map(|(k, n)| Step::Confirm(k, n)),
        1 => (0..6u8).prop_map(Step::Lose),
        1 => Just(Step::Reopen),
    ], 1..40)) {
        let mut cache = Cache::new(32_000);
        let mut model: std::collections::HashMap<u8, Vec<u8>> = std::collections::HashMap::new();
        for step in steps {
            match step {
                Step::Put(key, size, content) => {
                    let body = vec![content; size];
                    cache.put(key, &body);
                    model.insert(key, body);
                    if size <= 8_000 {
                        prop_assert!(cache.get(key).is_some(), "the newest one has room");
                    }
                }
                Step::Get(key) => {
                    if let Some(found) = cache.get(key) {
                        prop_assert_eq!(Some(&found), model.get(&key));
                    }
                }
                Step::Confirm(key, size) => {
                    let longer = AnswerFacts { etag: Some("x".repeat(size)), ..facts(key) };
                    cache.answers().confirm(&named(key), &longer).unwrap();
                }
                Step::Lose(key) => {
                    if let Some(body) = model.get(&key) {
                        let _ = fs::remove_file(cache.body(body));
                    }
                }
                Step::Reopen => prop_assert_eq!(cache.reopen(), None),
            }
            prop_assert!(cache.answers().size() <= 32_000);
            let on_disk: u64 = cache.bodies().iter().map(|p| fs::metadata(p).unwrap().len()).sum();
            prop_assert!(on_disk <= cache.answers().size());
            let (total, _) = database::sums(&cache.answers().lock().conn).unwrap();
            prop_assert_eq!(total, cache.answers().size());
        }
    }
}
