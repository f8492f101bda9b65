//! One run: old copies go, then a new one is written, synced, read back and compared; then it gets its manifest.

use super::check;
use super::copies::{self, Lying, PART, with};
use super::fill::{Fault, Filling, stopped};
use super::known::Known;
use super::manifest::{self, BESIDE, Entry, EntryKind, Form, Head, INSIDE, Totals};
use super::pack::{self, AHEAD, PIECE};
use super::place::{OnThere, Place};
use super::retain::retain;
use super::spec::Spec;
use super::tape::Tape;
use super::trial;
use crate::clock::{Clock, SystemClock};
use crate::model::action::{Level, OutputFile, Progress};
use crate::model::{Desk, Failure, JobOrder, OnExists, Report, crash, text};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::syncfs;
use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Memory of one piece under way: as it came, packed, and what packs it.
const PER_PIECE: u64 = 3 * PIECE as u64;
/// The list of entries in the attempt's own folder.
const ENTRIES: &str = "entries.ndjson";

/// One run.
struct Run<'a> {
    spec: &'a Spec,
    desk: &'a dyn Desk,
    scratch: &'a Path,
    head: Head,
    name: String,
    /// The copies that are there, the newest first.
    copies: Vec<Lying>,
}

/// Does the work. Its scratch files go with it; those of one that is killed go at the next start.
pub fn run(spec: &Spec, order: &JobOrder) -> Result<Report, Failure> {
    let done = work(spec, order);
    let _ = std::fs::remove_dir_all(&order.scratch);
    done
}

fn work(spec: &Spec, order: &JobOrder) -> Result<Report, Failure> {
    let form = spec.form;
    let desk = order.desk.as_ref();
    std::fs::create_dir_all(&spec.dir).map_err(|e| Failure::io("output", "create", &spec.dir, &e))?;
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&order.scratch)
        .map_err(|e| Failure::io("scratch", "create", &order.scratch, &e))?;
    let task = order.vars.task.as_str();
    let mut run = Run {
        spec,
        desk,
        scratch: &order.scratch,
        head: Head::new(task, order.run.0, order.planned_at.0, form),
        name: copies::name(task, order.planned_at),
        copies: copies::of_task(&spec.dir, task).map_err(|e| Failure::io("output", "read", &spec.dir, &e))?,
    };
    run.thin_out()?;
    let database = spec.database.then(|| order.scratch.join("snapshot.db"));
    if let Some(path) = &database {
        desk.snapshot(path)?;
    }
    match form {
        Form::Archive => run.archive(database.as_deref()),
        Form::Tree => run.tree(database.as_deref()),
    }
}

impl<'a> Run<'a> {
    fn fault(&self, e: &io::Error) -> Failure {
        Failure::io("output", "write", &self.spec.dir, e)
    }

    /// Deletes copies that may go.
    fn thin_out(&mut self) -> Result<(), Failure> {
        let Some(keep) = &self.spec.keep else { return Ok(()) };
        let seen: Vec<_> = self.copies.iter().map(|lying| lying.copy.clone()).collect();
        let verdict = retain(&seen, keep, SystemClock.now());
        if let Some(warning) = verdict.warning {
            self.desk.log(Level::Warn, &warning);
        }
        for name in verdict.delete {
            self.desk.check()?;
            let Some(at) = self.copies.iter().position(|lying| lying.copy.name == name) else { continue };
            let lying = self.copies.remove(at);
            let shown = text::path(&lying.path);
            match copies::delete(&lying) {
                Ok(()) => self.desk.log(Level::Info, &format!("deleted the old copy {shown}")),
                Err(e) => {
                    // What needs it goes first, so nothing that is left needs more than it has.
                    self.desk.log(Level::Warn, &format!("cannot delete the old copy {shown}: {e}"));
                    break;
                }
            }
        }
        Ok(())
    }

    fn newest_good(&self) -> Option<&Lying> {
        self.copies.iter().find(|lying| lying.copy.good)
    }

    fn filling<'b>(&'b self, database: Option<&'b Path>, skip: &'b [(u64, u64)]) -> Result<Filling<'b>, Failure> {
        let path = self.scratch.join(ENTRIES);
        let entries = File::create(&path).map_err(|e| Failure::io("scratch", "create", &path, &e))?;
        let newest = self.newest_good().filter(|_| self.spec.incremental);
        let known = Known::read(newest).map_err(|e| self.fault(&e))?;
        Ok(Filling {
            desk: self.desk,
            roots: &self.spec.roots,
            exclude: &self.spec.exclude,
            skip,
            skip_unreadable: self.spec.skip_unreadable,
            database,
            known,
            entries: BufWriter::new(entries),
            totals: Totals::default(),
            rejects: Vec::new(),
            progress: Progress::default(),
            linked: HashMap::new(),
        })
    }

    /// The folder of the copies, which no copy holds.
    fn skip(&self) -> Vec<(u64, u64)> {
        std::fs::metadata(&self.spec.dir).map(|meta| (meta.dev(), meta.ino())).into_iter().collect()
    }

    fn entries(&self) -> io::Result<BufReader<File>> {
        Ok(BufReader::new(File::open(self.scratch.join(ENTRIES))?))
    }

    fn going_on(&self) -> impl Fn(u64) -> io::Result<()> + Sync + 'a {
        let desk = self.desk;
        move |_| if desk.stopped().is_some() { Err(stopped()) } else { Ok(()) }
    }

    /// What reading back has found, as a failure.
    fn verdict(&self, read: io::Result<()>, path: &Path) -> Result<(), Failure> {
        self.desk.check()?;
        read.map_err(|e| {
            let message = format!("what was written is not what is read back from {}: {e}", text::path(path));
            Failure::transient("backup_differs", message)
        })
    }

    fn archive(mut self, database: Option<&Path>) -> Result<Report, Failure> {
        let target = self.spec.dir.join(format!("{}.tar.zst", self.name));
        let beside = |archive: &Path| vec![with(archive, BESIDE)];
        let outputs = self.desk.outputs(&target, &beside, self.spec.on_exists)?;
        let Ok([mut archive, beside]) = <[OutputFile; 2]>::try_from(outputs) else {
            return Err(Failure::permanent("internal", "the desk opened another number of outputs"));
        };
        let threads = self.desk.workers();
        let granted = self.desk.memory(PER_PIECE * (threads + AHEAD) as u64)?;
        let pieces = usize::try_from(granted.bytes() / PER_PIECE).unwrap_or(1);
        let threads = pieces.saturating_sub(AHEAD).clamp(1, threads);
        let skip = self.skip();
        let filling = self.filling(database, &skip)?;
        let inside = self.scratch.join("inside.ndjson");
        let (head, from) = (self.head.clone(), self.scratch.join(ENTRIES));
        let work = |stream: &mut pack::Stream<'_, '_>| {
            let mut filling = filling;
            let mut tape = Tape::new(stream);
            filling.fill(&mut tape)?;
            let (totals, needs) = (filling.totals, filling.known.needs());
            let head = Head { totals, needs: needs.clone(), ..head };
            manifest::assemble(&head, &mut File::open(&from)?, &mut BufWriter::new(File::create(&inside)?))?;
            add_manifest(&mut tape, &inside, head.planned_ms)?;
            tape.finish()?;
            Ok::<_, Fault>((totals, needs, filling.rejects))
        };
        let packed = pack::packed(self.desk, threads, self.spec.level, &mut archive.file, work);
        let ((totals, needs, rejects), seal) = packed.map_err(|fault| fault.into_failure(&archive.target))?;
        drop(granted);
        (self.head.totals, self.head.needs) = (totals, needs);
        let fault = |e: &io::Error| Failure::io("output", "write", &archive.target, e);
        archive.file.sync_data().map_err(|e| fault(&e))?;
        if self.spec.verify {
            let again = File::open(&archive.temp).map_err(|e| fault(&e))?;
            let mut entries = manifest::entries(self.entries().map_err(|e| fault(&e))?);
            let read = check::archive(&again, Some(&seal), &mut entries, &self.going_on());
            self.verdict(read, &archive.target)?;
            self.head.verified = true;
        }
        self.head.archive = Some(seal);
        let mut file = BufWriter::new(&beside.file);
        let written = self.entries().and_then(|mut entries| {
            manifest::assemble(&self.head, &mut entries, &mut file)?;
            file.flush()
        });
        written.map_err(|e| fault(&e))?;
        drop(file);
        let trial = self.trial(&archive.temp, &beside.temp)?;
        Ok(self.report(rejects, trial))
    }

    fn tree(mut self, database: Option<&Path>) -> Result<Report, Failure> {
        let earlier = self.copies.iter().find(|lying| {
            let head = &lying.head;
            lying.copy.good && head.run == self.head.run && head.planned_ms == self.head.planned_ms
        });
        if let Some(lying) = earlier {
            // An attempt of this very run was cut off after its last step.
            self.head = lying.head.clone();
            return Ok(self.report(Vec::new(), Some("made by an earlier attempt".to_owned())));
        }
        copies::sweep(&self.spec.dir, &self.head.task).map_err(|e| self.fault(&e))?;
        let target = copies::free(&self.spec.dir, &self.name);
        if self.spec.on_exists == OnExists::Fail && target != self.spec.dir.join(&self.name) {
            let message = format!("there is a copy of this time already: {}", text::path(&target));
            return Err(Failure::permanent("output_exists", message));
        }
        let part = with(&target, PART);
        let made = self.fill_tree(database, &part, &target);
        if made.is_err() {
            // What is left of it goes at the next run, if not now.
            let _ = copies::sweep(&self.spec.dir, &self.head.task);
        }
        let rejects = made?;
        let trial = self.trial(&target, &target.join(INSIDE))?;
        Ok(self.report(rejects, trial))
    }

    fn fill_tree(
        &mut self,
        database: Option<&Path>,
        part: &Path,
        target: &Path,
    ) -> Result<Vec<crate::model::Detail>, Failure> {
        let fault = |e: &io::Error| Failure::io("output", "write", target, e);
        let skip = self.skip();
        let mut place = Place::open(part, OnThere::Fail).map_err(|e| fault(&e))?;
        let mut filling = self.filling(database, &skip)?;
        filling.fill(&mut place).map_err(|f| f.into_failure(target))?;
        place.finish().map_err(|e| fault(&e))?;
        let (totals, rejects) = (filling.totals, std::mem::take(&mut filling.rejects));
        drop(filling);
        self.head.totals = totals;
        let folder = File::open(part).map_err(|e| fault(&e))?;
        syncfs(&folder).map_err(|e| fault(&e.into()))?;
        if self.spec.verify {
            let mut entries = manifest::entries(self.entries().map_err(|e| fault(&e))?);
            let read = check::tree(part, &mut entries, &self.going_on());
            self.verdict(read, target)?;
            self.head.verified = true;
        }
        let named = (|| {
            let mut manifest = BufWriter::new(File::create_new(part.join(INSIDE))?);
            manifest::assemble(&self.head, &mut self.entries()?, &mut manifest)?;
            manifest.flush()?;
            manifest.get_ref().sync_all()?;
            folder.sync_all()?;
            crash::point("backup.tree_whole");
            renameat2(AT_FDCWD, part, AT_FDCWD, target, RenameFlags::RENAME_NOREPLACE)?;
            crash::point("backup.tree_named");
            File::open(&self.spec.dir)?.sync_all()
        })();
        named.map_err(|e| fault(&e))?;
        Ok(rejects)
    }

    /// Restores a copy on trial, where the configuration wants that: the newest good one that was there before, else the
    /// one that was just made.
    fn trial(&self, made: &Path, manifest: &Path) -> Result<Option<String>, Failure> {
        if !self.spec.test_restore {
            return Ok(None);
        }
        let (path, manifest) = match self.newest_good() {
            Some(lying) => (lying.path.clone(), lying.manifest.clone()),
            None => (made.to_owned(), manifest.to_owned()),
        };
        let is_earlier = path != made;
        let tried = trial::run(&path, &manifest, &self.spec.dir, self.scratch, &self.going_on());
        self.desk.check()?;
        let shown = text::path(&path);
        match tried {
            Ok(note) => {
                self.desk.log(Level::Info, &format!("restored on trial: {shown}: {note}"));
                Ok(Some(format!("restore test: {note}")))
            }
            Err(e) => {
                if is_earlier && e.kind() == io::ErrorKind::InvalidData {
                    copies::mark_bad(&path, &e.to_string()).map_err(|e| self.fault(&e))?;
                }
                let message = format!("the restore test failed: {shown}: {e}");
                Err(Failure::permanent("restore_test", message))
            }
        }
    }

    fn report(&self, rejects: Vec<crate::model::Detail>, more: Option<String>) -> Report {
        let totals = &self.head.totals;
        let mut note = format!("{}, {} bytes", text::counted(totals.files, "file"), text::count(totals.bytes));
        if self.spec.incremental {
            note.push_str(&format!(", {} stored anew", text::count(totals.stored)));
        }
        for (n, what) in [(totals.changed, "changed meanwhile"), (totals.special, "special left out")] {
            if n > 0 {
                note.push_str(&format!(", {} {what}", text::count(n)));
            }
        }
        note.push_str(if self.head.verified { ", read back" } else { ", not read back" });
        note.extend(more.map(|more| format!(", {more}")));
        Report {
            rows: Some(totals.entries + totals.unreadable),
            rows_out: Some(totals.entries),
            rejected: totals.unreadable,
            rejects,
            note: Some(note),
            ..Report::default()
        }
    }
}

/// The manifest goes into the archive as its last entry.
fn add_manifest(tape: &mut Tape<&mut pack::Stream<'_, '_>>, path: &PathBuf, planned_ms: i64) -> io::Result<()> {
    let mut file = File::open(path)?;
    let entry = Entry {
        kind: EntryKind::File,
        path: INSIDE.into(),
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime_ns: planned_ms.saturating_mul(1_000_000),
        size: file.metadata()?.len(),
        hash: None,
        link: None,
        changed: false,
        held: None,
    };
    tape.add(&entry, &mut file)
}
