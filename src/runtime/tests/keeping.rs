//! Checkpoints: what stays of an attempt that was cut off, who goes on with it, and when it goes.

use super::*;
use crate::model::action::{Desk, OutputFile, Report, Resume, Stop};
use crate::model::ledger::Verdict;
use crate::model::ports::{Actor, Commands, Target};
use crate::model::{Failure, JobId, OnExists, Vars};
use crate::runtime::desk::JobDesk;
use crate::runtime::keep::Identity;
use crate::runtime::operate::Operations;
use crate::runtime::placing::{Placing, place_group};
use crate::runtime::prepare::{self, Prepared};
use crate::runtime::recover::recover;
use crate::runtime::sync::Batch;
use crate::runtime::worker::{self, End, Ended};
use std::io::{Read, Seek, Write};

/// A job at work.
struct Work {
    claimed: Claimed,
    desk: Arc<JobDesk>,
    taken: Box<take::Taken>,
}

impl Site {
    /// Claims a job as the loop does, and takes its file.
    async fn begin(&self) -> Work {
        let plan = crate::runtime::plan::planner(&self.shared);
        let claim = Claim { task: "a".into(), max: 1, running_limit: 9, now: self.shared.now(), plan, allow: None };
        let claimed = self.shared.ledger.claim(claim).await.unwrap().jobs.remove(0);
        let take::Take::Taken(taken) = self.take(&claimed) else { panic!("not taken") };
        let desk = JobDesk::new(Arc::clone(&self.shared), claimed.clone(), worker::live(&self.task()));
        desk.identify(Identity { config_hash: self.task().config_hash.clone(), facts: Some(taken.facts) });
        Work { claimed, desk: Arc::new(desk), taken }
    }

    /// The temporary and the other names in the folder of the outputs.
    fn out(&self) -> (Vec<String>, Vec<String>) {
        let entries = fs::read_dir(self.path("out/a")).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.into_iter().partition(|name| name.starts_with(".sb-"))
    }

    fn noted(&self, job: JobId) -> bool {
        self.shared.store.queries().checkpoint(job).unwrap().is_some()
    }

    /// The end of an attempt, up to its decision.
    async fn end(&self, work: Work, result: Result<(), Failure>, stop: Option<Stop>) -> Prepared {
        let Work { claimed, desk, taken } = work;
        let end =
            End::Worked { result: result.map(|()| Report::default()), stop, left: desk.clear(), taken: Some(taken) };
        let vars = Vars { name: claimed.file.as_ref().unwrap().name.clone(), task: "a".into(), ..Vars::default() };
        let ended = Ended { claimed, task: self.task(), end, vars, at: self.shared.now() };
        let mut batch = Batch::default();
        let prepared = prepare::prepare(&self.shared, ended, &mut batch);
        batch.sync(false).unwrap();
        for temp in &prepared.drop {
            temp.dir.unlink(&temp.name).unwrap();
        }
        self.shared.ledger.decide(vec![prepared.decision.clone()]).await.unwrap();
        prepared
    }

    async fn cut(&self, work: Work) {
        let prepared = self.end(work, Err(Failure::transient("stopped", "")), Some(Stop::Drain)).await;
        assert!(matches!(prepared.decision.verdict, Verdict::Requeue { .. }));
    }
}

impl Work {
    /// Uses the desk as an action does: on a thread for blocking work.
    async fn on<T: Send + 'static>(&self, ask: impl FnOnce(&JobDesk) -> T + Send + 'static) -> T {
        let desk = Arc::clone(&self.desk);
        tokio::task::spawn_blocking(move || ask(&desk)).await.unwrap()
    }

    async fn open(&self, target: PathBuf, siblings: Vec<PathBuf>) -> Vec<OutputFile> {
        self.on(move |d| d.outputs(&target, &|_| siblings.clone(), OnExists::Suffix).unwrap()).await
    }

    async fn resume(&self) -> Option<Resume> {
        self.on(|d| d.resume()).await
    }
}

fn add(output: &mut OutputFile, text: &str) {
    output.file.write_all(text.as_bytes()).unwrap();
    output.file.sync_data().unwrap();
}

/// A job that was cut off after a checkpoint over two outputs; a third came later.
async fn cut_off(site: &Site) {
    let work = site.begin().await;
    assert!(work.resume().await.is_none());
    let mut outputs = work.open(site.path("out/a/x.csv"), vec![site.path("out/a/x.rejects.csv")]).await;
    add(&mut outputs[0], "12345");
    add(&mut outputs[1], "bad");
    work.on(|d| d.checkpoint(b"5,3").unwrap()).await;
    add(&mut outputs[0], "67");
    drop(work.open(site.path("out/a/late.csv"), Vec::new()).await);
    site.cut(work).await;
}

#[tokio::test]
async fn an_attempt_goes_on_where_the_last_one_was_cut_off() {
    let site = Site::new(EXTRACT).await;
    site.land("a", "input").await;
    cut_off(&site).await;
    assert_eq!(site.out().0.len(), 2, "what no checkpoint leads to has gone");
    assert!(site.noted(JobId(1)));

    let work = site.begin().await;
    let Resume { state, mut outputs } = work.resume().await.unwrap();
    assert_eq!((state.as_slice(), outputs.len()), (b"5,3".as_slice(), 2));
    assert!(work.resume().await.is_none(), "asked once");
    let mut was = String::new();
    outputs[0].file.read_to_string(&mut was).unwrap();
    assert_eq!((was.as_str(), outputs[1].target.clone()), ("1234567", site.path("out/a/x.rejects.csv")));
    outputs[0].file.set_len(5).unwrap();
    outputs[0].file.seek(std::io::SeekFrom::End(0)).unwrap();
    add(&mut outputs[0], "X");
    // Its name is held again: another output of it gets the next one.
    assert_eq!(work.open(site.path("out/a/x.csv"), Vec::new()).await[0].target, site.path("out/a/x-2.csv"));
    let prepared = site.end(work, Ok(()), None).await;
    let Verdict::Place { moves, .. } = prepared.decision.verdict else { panic!("not placed") };
    let keep = Box::new((prepared.held, prepared.taken));
    place_group(&site.shared, vec![Placing::new(JobId(1), moves, prepared.claimed.file, keep)]).await;
    assert_eq!(fs::read(site.path("out/a/x.csv")).unwrap(), b"12345X");
    assert_eq!(site.out(), (vec![], vec!["x-2.csv".into(), "x.csv".into(), "x.rejects.csv".into()]));
    assert!(!site.noted(JobId(1)));
}

#[tokio::test]
async fn what_a_checkpoint_is_about_must_be_the_same() {
    for change in ["config", "input", "name", "file", "nothing asked", "afresh"] {
        let site = Site::new(EXTRACT).await;
        site.land("a", "input").await;
        cut_off(&site).await;
        let work = site.begin().await;
        let task = site.task();
        let mut facts = work.taken.facts;
        match change {
            "config" => work.desk.identify(Identity { config_hash: "other".into(), facts: Some(facts) }),
            "input" => {
                facts.mtime_ns += 1;
                work.desk.identify(Identity { config_hash: task.config_hash.clone(), facts: Some(facts) });
            }
            "name" => fs::write(site.path("out/a/x.rejects.csv"), "theirs").unwrap(),
            "file" => fs::remove_file(site.path("out/a").join(&site.out().0[1])).unwrap(),
            _ => {}
        }
        match change {
            "nothing asked" => {}
            "afresh" => {
                assert!(work.resume().await.is_some());
                work.on(|d| d.start_afresh().unwrap()).await;
            }
            _ => assert!(work.resume().await.is_none(), "{change}"),
        }
        let target = site.path("out/a/x.csv");
        let outputs = work.open(target.clone(), Vec::new()).await;
        assert_eq!((site.out().0.len(), &outputs[0].target), (1, &target), "{change}: from zero, under its own name");
        assert!(!site.noted(JobId(1)), "{change}");
    }
}

#[tokio::test]
async fn every_other_end_leaves_nothing() {
    let failure = |class| Failure::new(class, "x", "y");
    use crate::model::FailureClass::{Permanent, Transient};
    for (class, stop) in [(Permanent, None), (Transient, None), (Transient, Some(Stop::Cancel))] {
        for resumed in [false, true] {
            let site = Site::new(EXTRACT).await;
            site.land("a", "input").await;
            cut_off(&site).await;
            let work = site.begin().await;
            if resumed {
                assert!(work.resume().await.is_some());
            }
            drop(site.end(work, Err(failure(class)), stop).await);
            assert_eq!(site.out(), (vec![], vec![]), "{class} {stop:?} {resumed}");
            assert!(!site.noted(JobId(1)));
        }
    }
}

#[tokio::test]
async fn a_stop_before_it_was_asked_for_keeps_it() {
    let site = Site::new(EXTRACT).await;
    site.land("a", "input").await;
    cut_off(&site).await;
    let work = site.begin().await;
    site.cut(work).await;
    assert_eq!((site.out().0.len(), site.noted(JobId(1))), (2, true));
    assert!(site.begin().await.resume().await.is_some());
}

#[tokio::test]
async fn a_start_after_a_crash_keeps_what_a_checkpoint_leads_to_and_nothing_else() {
    let site = Site::new(EXTRACT).await;
    site.land("a", "input").await;
    let work = site.begin().await;
    let mut outputs = work.open(site.path("out/a/x.csv"), Vec::new()).await;
    add(&mut outputs[0], "12345");
    work.on(|d| d.checkpoint(b"5").unwrap()).await;
    work.open(site.path("out/a/late.csv"), Vec::new()).await;
    assert_eq!(site.out().0.len(), 2);
    // As a crash would: nothing is decided, and nothing is held.
    let site = site.again().await;
    recover(&site.shared).await.unwrap();
    assert_eq!((site.out().0.len(), site.state(&work.claimed).await), (1, JobState::Queued));
    let again = site.begin().await;
    assert_eq!(again.resume().await.unwrap().state, b"5");
    // Cut off a second time, and then withdrawn by the operator.
    let site = site.again().await;
    recover(&site.shared).await.unwrap();
    assert_eq!(site.out().0.len(), 1);
    let operations = Operations::new(Arc::clone(&site.shared), None);
    operations.cancel(Actor { uid: 0 }, Target::Jobs(vec![JobId(1)])).await.unwrap();
    assert_eq!((site.state(&work.claimed).await, site.noted(JobId(1))), (JobState::Cancelled, false));
    assert_eq!(site.out(), (vec![], vec![]));
}

#[tokio::test]
async fn a_checkpoint_is_bounded_and_only_of_a_running_attempt() {
    let site = Site::new(EXTRACT).await;
    site.land("a", "input").await;
    let work = site.begin().await;
    assert_eq!(work.on(|d| d.checkpoint(&vec![0; 64 * 1024 + 1]).unwrap_err().code).await, "internal");
    work.on(|d| d.checkpoint(&vec![0; 64 * 1024]).unwrap()).await;
    site.shared.ledger.put_back(vec![(JobId(1), 1)]).await.unwrap();
    assert_eq!(work.on(|d| d.checkpoint(b"late").unwrap_err().code).await, "stopped");
}
