//! Takes a copy apart again: all of it, or what was asked for. Contents come from the copy itself or from the archives
//! that hold them; each is compared with its hash before it gets its name.

use super::check::{self, Check, Watched, forget, path_of, unpacked};
use super::copies::with;
use super::manifest::{BESIDE, Entry, EntryKind, Form, Head, INSIDE, Manifest, damaged};
use super::place::{OnThere, Place, steps};
use crate::model::text;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Most problems that are kept of one restore; the rest are counted.
const PROBLEMS_MAX: usize = 1000;

/// A copy that was opened. All of its entries are in memory, some 300 bytes each.
#[derive(Debug)]
pub struct Source {
    /// The archive or the tree.
    pub path: PathBuf,
    /// Where the archives lie that it needs.
    pub folder: PathBuf,
    /// Its head.
    pub head: Head,
    /// Its entries.
    pub entries: Vec<Entry>,
    /// Why the manifest beside it is not the one that was read, where there is one.
    pub beside: Option<String>,
}

/// Something that was not restored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Its path in the copy; escaped text.
    pub path: String,
    /// Why.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// What came of a restore.
#[derive(Debug, Default)]
pub struct Done {
    /// Entries that are there now, or were read and compared.
    pub restored: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Entries that were there before and stay.
    pub kept: u64,
    /// What is missing, at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How many are missing in all.
    pub failed: u64,
}

impl Done {
    fn note(&mut self, path: &[u8], e: &io::Error) {
        self.failed += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { path: text::bytes(path), message: e.to_string() });
        }
    }

    fn count(&mut self, entry: &Entry, outcome: io::Result<bool>) {
        match outcome {
            Ok(true) => {
                self.restored += 1;
                self.bytes += entry.size;
            }
            Ok(false) => self.kept += 1,
            Err(e) => self.note(&entry.path, &e),
        }
    }
}

impl Source {
    /// Opens a copy by its archive, its tree or the manifest beside it.
    pub fn open(path: &Path, check: Check<'_>) -> io::Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let read = |manifest: &Path| collect(BufReader::new(File::open(manifest)?));
        let mut why = None;
        let (path, (head, entries)) = if path.is_dir() {
            (path.to_owned(), read(&path.join(INSIDE))?)
        } else if let Some(archive) = name.strip_suffix(BESIDE) {
            (path.with_file_name(archive), read(path)?)
        } else {
            let beside = with(path, BESIDE);
            let made = match read(&beside) {
                // Without it, or where it is damaged, the archive has another one.
                Err(e) if e.kind() == ErrorKind::NotFound => inside(path, check)?,
                Err(e) if e.kind() == ErrorKind::InvalidData => {
                    why = Some(e.to_string());
                    inside(path, check)?
                }
                made => made?,
            };
            (path.to_owned(), made)
        };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Ok(Self { path, folder, head, entries, beside: why })
    }

    /// The archive that an entry's bytes are in: none for the copy itself.
    fn holder(&self, entry: &Entry) -> io::Result<Option<PathBuf>> {
        let Some(held) = &entry.held else { return Ok(None) };
        let need = usize::try_from(held.by).ok().and_then(|by| self.head.needs.get(by));
        let need = need.ok_or_else(|| damaged("it names no archive for an entry"))?;
        if need.archive.contains('/') || need.archive.starts_with('.') {
            return Err(damaged("the name of an archive leads out of its folder"));
        }
        Ok(Some(self.folder.join(&need.archive)))
    }

    /// Reads every byte of the copy and of what it needs, and compares.
    pub fn verify(&self, check: Check<'_>) -> io::Result<Done> {
        let mut done = run(self, None, &|_| true, check)?;
        if let Some(why) = &self.beside {
            done.note(BESIDE.as_bytes(), &io::Error::new(ErrorKind::InvalidData, why.clone()));
        }
        let own = self.path.file_name().map(|n| n.as_encoded_bytes().to_vec()).unwrap_or_default();
        let mut entries = self.entries.iter().cloned().map(Ok);
        let whole = match self.head.form {
            Form::Tree => check::tree(&self.path, &mut entries, check),
            Form::Archive => File::open(&self.path)
                .and_then(|file| check::archive(&file, self.head.archive.as_ref(), &mut entries, check)),
        };
        if let Err(e) = whole {
            check(0)?;
            done.note(&own, &e);
        }
        for need in &self.head.needs {
            let sealed = File::open(self.folder.join(&need.archive));
            if let Err(e) = sealed.and_then(|file| check::sealed(&file, &need.seal, check)) {
                check(0)?;
                done.note(need.archive.as_bytes(), &e);
            }
        }
        Ok(done)
    }
}

fn collect(input: impl io::BufRead) -> io::Result<(Head, Vec<Entry>)> {
    let mut manifest = Manifest::open(input)?;
    let entries = manifest.by_ref().collect::<io::Result<Vec<_>>>()?;
    Ok((manifest.head, entries))
}

/// The manifest in an archive.
fn inside(path: &Path, check: Check<'_>) -> io::Result<(Head, Vec<Entry>)> {
    let mut archive = unpacked(Watched::new(File::open(path)?, check))?;
    for entry in archive.entries()? {
        let entry = entry?;
        if path_of(&entry) == INSIDE.as_bytes() {
            return collect(BufReader::new(entry));
        }
    }
    Err(damaged("the archive has none: it is no backup of this program, or its end is missing"))
}

/// Entries that get their bytes from one place, by their path there.
type Wanted<'a> = HashMap<Vec<u8>, Vec<&'a Entry>>;

/// Restores what `wants` picks, below a folder; without one everything is only read and compared.
pub fn run(
    source: &Source,
    to: Option<(&Path, OnThere)>,
    wants: &dyn Fn(&Entry) -> bool,
    check: Check<'_>,
) -> io::Result<Done> {
    let mut done = Done::default();
    let mut picked: Vec<&Entry> = Vec::new();
    for entry in source.entries.iter().filter(|e| wants(e)) {
        match steps(&entry.path) {
            Ok(_) => picked.push(entry),
            Err(e) => done.note(&entry.path, &e),
        }
    }
    let mut place = match to {
        Some((to, on_there)) => {
            let place = Place::open(to, on_there)?;
            if on_there == OnThere::Fail {
                refuse_taken(&place, &picked)?;
            }
            Some(place)
        }
        None => None,
    };
    // Another name of a file that was not picked becomes a file of its own.
    let named: std::collections::HashSet<&[u8]> = picked.iter().map(|e| e.path.as_slice()).collect();
    let is_alone = |e: &Entry| e.kind == EntryKind::Hardlink && !e.link.as_deref().is_some_and(|l| named.contains(l));
    let firsts: HashMap<&[u8], &Entry> = if picked.iter().any(|e| is_alone(e)) {
        source.entries.iter().filter(|e| e.kind == EntryKind::File).map(|e| (e.path.as_slice(), e)).collect()
    } else {
        HashMap::new()
    };
    let alone: Vec<Entry> = picked
        .iter()
        .filter(|e| is_alone(e))
        .filter_map(|e| {
            let first = firsts.get(e.link.as_deref()?)?;
            // Its bytes are where those of the first one are, in the copy under the first one's name.
            let mut own = (*first).clone();
            (own.path, own.link) = (e.path.clone(), e.link.clone());
            Some(own)
        })
        .collect();
    if let Some(place) = &mut place {
        for entry in picked.iter().filter(|e| e.kind == EntryKind::Folder) {
            check(0)?;
            let made = place.folder(entry).map(|()| true);
            done.count(entry, made);
        }
    }
    let mut places: HashMap<Option<PathBuf>, Wanted<'_>> = HashMap::new();
    for entry in picked.iter().copied().filter(|e| e.kind == EntryKind::File).chain(&alone) {
        match source.holder(entry) {
            Ok(holder) => {
                let own = entry.link.as_ref().unwrap_or(&entry.path);
                let there = entry.held.as_ref().map_or(own, |held| &held.path).clone();
                places.entry(holder).or_default().entry(there).or_default().push(entry);
            }
            Err(e) => done.note(&entry.path, &e),
        }
    }
    for (holder, wanted) in places {
        let path = holder.unwrap_or_else(|| source.path.clone());
        let from_tree = source.head.form == Form::Tree;
        contents(&path, from_tree, wanted, place.as_mut(), &mut done, check)?;
    }
    if let Some(place) = &mut place {
        for entry in &picked {
            check(0)?;
            match entry.kind {
                EntryKind::Symlink => {
                    let made = place.symlink(entry);
                    done.count(entry, made);
                }
                EntryKind::Hardlink if !is_alone(entry) => {
                    let made = place.hardlink(entry, entry.link.as_deref().unwrap_or_default());
                    done.count(entry, made);
                }
                _ => {}
            }
        }
        place.finish()?;
    } else {
        done.restored += picked.iter().filter(|e| e.kind != EntryKind::File && !is_alone(e)).count() as u64;
    }
    Ok(done)
}

/// Refuses to begin where something is in the way.
fn refuse_taken(place: &Place, picked: &[&Entry]) -> io::Result<()> {
    for entry in picked.iter().filter(|e| e.kind != EntryKind::Folder) {
        if place.is_there(&entry.path)? {
            let message = format!("it is there already: {}", text::bytes(&entry.path));
            return Err(io::Error::new(ErrorKind::AlreadyExists, message));
        }
    }
    Ok(())
}

/// Takes contents out of an archive or a tree.
fn contents(
    path: &Path,
    from_tree: bool,
    mut wanted: Wanted<'_>,
    mut place: Option<&mut Place>,
    done: &mut Done,
    check: Check<'_>,
) -> io::Result<()> {
    let mut deliver = |content: &mut dyn Read, entries: Vec<&Entry>, done: &mut Done| {
        let Some((first, more)) = entries.split_first() else { return };
        let outcome = match &mut place {
            Some(place) => place.file(first, content),
            None => compare(content, first),
        };
        let is_there = outcome.is_ok();
        done.count(first, outcome);
        for entry in more {
            let outcome = match &mut place {
                Some(place) if is_there => place.read(&first.path).and_then(|mut file| place.file(entry, &mut file)),
                None if is_there => Ok(true),
                _ => Err(io::Error::new(ErrorKind::InvalidData, "its content is damaged")),
            };
            done.count(entry, outcome);
        }
    };
    let read = if from_tree {
        let mut tree = Place::open(path, OnThere::Fail)?;
        for (there, entries) in std::mem::take(&mut wanted) {
            check(0)?;
            match tree.read(&there) {
                Ok(file) => deliver(&mut Watched::new(file, check), entries, done),
                Err(e) => entries.iter().for_each(|entry| done.note(&entry.path, &e)),
            }
        }
        Ok(())
    } else {
        File::open(path).and_then(|file| {
            forget(&file);
            let mut archive = unpacked(Watched::new(file, check))?;
            for found in archive.entries()? {
                let mut found = found?;
                if wanted.is_empty() {
                    break;
                }
                let is_file = found.header().entry_type() == tar::EntryType::Regular;
                if let Some(entries) = wanted.remove(&path_of(&found)).filter(|_| is_file) {
                    deliver(&mut found, entries, done);
                }
            }
            Ok(())
        })
    };
    check(0)?;
    let why = match &read {
        Ok(()) => "is not in".to_owned(),
        Err(e) => format!("{e} in"),
    };
    for entry in wanted.into_values().flatten() {
        let message = format!("its content {why} {}", text::path(path));
        done.note(&entry.path, &io::Error::new(ErrorKind::InvalidData, message));
    }
    Ok(())
}

fn compare(content: &mut dyn Read, entry: &Entry) -> io::Result<bool> {
    let mut hash = blake3::Hasher::new();
    let size = hash.update_reader(content)?.count();
    if size == entry.size && Some(hash.finalize()) == entry.hash {
        Ok(true)
    } else {
        Err(io::Error::new(ErrorKind::InvalidData, "its content is another than it was: the hash differs"))
    }
}
