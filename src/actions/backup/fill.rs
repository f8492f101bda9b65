//! Puts files on a shelf, an archive or a folder, and notes each in the list of entries. Memory does not grow with the
//! number of files, but for one line for each file that has several names.

use super::known::Known;
use super::manifest::{Entry, EntryKind, INSIDE, Totals};
use super::place::Place;
use super::tape::Tape;
use super::walk::{self, Exclude, Found, Root, mtime_ns};
use crate::model::action::Progress;
use crate::model::{Desk, Detail, Failure, FailureClass, text};
use nix::sys::stat::{FileStat, fstat};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, Write};
use std::path::Path;

/// The snapshot of the supervisor's database in a copy.
pub const DATABASE: &str = "shiftboss.db";
/// Most files with several names that are remembered; the other names of further ones are stored as files.
const LINKED_MAX: usize = 1_000_000;

/// Why a copy is not made.
#[derive(Debug)]
pub enum Fault {
    /// What is written cannot be written.
    Output(io::Error),
    /// Anything else.
    Failure(Box<Failure>),
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Self::Output(e)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl Fault {
    /// The failure, for an output at this path.
    pub fn into_failure(self, path: &Path) -> Failure {
        match self {
            Self::Output(e) => Failure::io("output", "write", path, &e),
            Self::Failure(failure) => *failure,
        }
    }
}

/// Where entries go.
pub trait Shelf {
    /// Puts one there; the content gives exactly as many bytes as its size says.
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()>;
}

impl<W: Write> Shelf for Tape<W> {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        self.add(entry, content)
    }
}

impl Shelf for Place {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        match entry.kind {
            EntryKind::Folder => self.folder(entry),
            EntryKind::File => self.file(entry, content).map(drop),
            EntryKind::Symlink => self.symlink(entry).map(drop),
            EntryKind::Hardlink => self.hardlink(entry, entry.link.as_deref().unwrap_or_default()).map(drop),
        }
    }
}

/// An error for work that was told to stop.
pub fn stopped() -> io::Error {
    io::Error::other("stopped on request")
}

/// A file as it is read: exactly as many bytes as it had when it was opened.
struct Steady<'a> {
    file: &'a File,
    left: u64,
    is_short: bool,
    hash: blake3::Hasher,
    failed: Option<io::Error>,
    desk: &'a dyn Desk,
    progress: &'a mut Progress,
}

impl Read for Steady<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buf = buf.get_mut(..room).unwrap_or_default();
        if self.desk.stopped().is_some() {
            return Err(stopped());
        }
        let mut n = loop {
            match self.file.read(buf) {
                Ok(n) => break n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.failed = Some(e);
                    return Err(io::Error::other("cannot read"));
                }
            }
        };
        if n == 0 && !buf.is_empty() {
            // It was cut while it was read: the rest is zeros, so that what follows it stays in its place.
            buf.fill(0);
            (n, self.is_short) = (buf.len(), true);
        }
        self.hash.update(buf.get(..n).unwrap_or_default());
        self.left -= n as u64;
        self.progress.bytes += n as u64;
        self.desk.progress(*self.progress);
        Ok(n)
    }
}

/// What a copy is made of.
pub struct Filling<'a> {
    /// What the attempt may touch.
    pub desk: &'a dyn Desk,
    /// What goes into the copy.
    pub roots: &'a [Root],
    /// What is left out.
    pub exclude: &'a Exclude,
    /// Folders that are left out, by device and inode.
    pub skip: &'a [(u64, u64)],
    /// Whether a file that cannot be read is left out instead of failing the copy.
    pub skip_unreadable: bool,
    /// A snapshot of the database, if it goes along.
    pub database: Option<&'a Path>,
    /// What earlier archives hold.
    pub known: Known,
    /// The list of entries.
    pub entries: BufWriter<File>,
    /// How many there are.
    pub totals: Totals,
    /// The first files that were left out because they cannot be read.
    pub rejects: Vec<Detail>,
    /// How far it is.
    pub progress: Progress,
    /// The first names of files that have several, by device and inode.
    pub linked: HashMap<(u64, u64), Vec<u8>>,
}

impl Filling<'_> {
    /// Puts everything on a shelf.
    pub fn fill(&mut self, shelf: &mut dyn Shelf) -> Result<(), Fault> {
        if let Some(path) = self.database {
            let root = Root { path: path.to_owned(), name: DATABASE.into() };
            let none = Exclude::new(std::iter::empty()).map_err(|_| io::Error::other("an empty pattern"))?;
            walk::walk(&root, &none, &[], &mut |found| self.found(found, shelf))?;
        }
        for root in self.roots {
            let (exclude, skip) = (self.exclude, self.skip);
            walk::walk(root, exclude, skip, &mut |found| match &found {
                Found::Entry(entry, _) if entry.path == INSIDE.as_bytes() => Ok(()),
                Found::Entry(entry, _) if self.database.is_some() && entry.path == DATABASE.as_bytes() => Ok(()),
                _ => self.found(found, shelf),
            })?;
        }
        Ok(self.entries.flush()?)
    }

    fn found(&mut self, found: Found, shelf: &mut dyn Shelf) -> Result<(), Fault> {
        self.desk.check()?;
        let entry = match found {
            Found::Special => {
                self.totals.special += 1;
                return Ok(());
            }
            Found::Unreadable(path, e) => return self.unreadable(&path, &e),
            Found::Entry(entry, Some((file, stat))) => match self.file(*entry, &file, &stat, shelf)? {
                Some(entry) => entry,
                None => return Ok(()),
            },
            Found::Entry(entry, None) => {
                shelf.put(&entry, &mut io::empty())?;
                *entry
            }
        };
        self.totals.entries += 1;
        self.progress.rows += 1;
        Ok(entry.write(&mut self.entries)?)
    }

    fn file(
        &mut self,
        mut entry: Entry,
        file: &File,
        stat: &FileStat,
        shelf: &mut dyn Shelf,
    ) -> Result<Option<Entry>, Fault> {
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.linked.get(&inode) {
                (entry.kind, entry.size, entry.link) = (EntryKind::Hardlink, 0, Some(first.clone()));
                shelf.put(&entry, &mut io::empty())?;
                return Ok(Some(entry));
            }
            if self.linked.len() < LINKED_MAX {
                self.linked.insert(inode, entry.path.clone());
            }
        }
        if self.known.has_size(entry.size) {
            let (hash, is_short) = self.read(&entry, file, &mut |steady| {
                let mut buffer = vec![0; 256 * 1024];
                while steady.read(&mut buffer)? > 0 {}
                Ok(())
            })?;
            if !is_short {
                entry.held = self.known.held(&hash).inspect(|_| entry.hash = Some(hash));
            }
            let mut file = file;
            file.rewind()?;
        }
        if entry.held.is_none() {
            let (hash, is_short) = self.read(&entry, file, &mut |steady| shelf.put(&entry, steady))?;
            entry.hash = Some(hash);
            entry.changed = is_short;
            self.totals.stored += 1;
        }
        let after = fstat(file).map_err(io::Error::from)?;
        let is_same = after.st_size == stat.st_size
            && mtime_ns(&after) == mtime_ns(stat)
            && (after.st_ctime, after.st_ctime_nsec) == (stat.st_ctime, stat.st_ctime_nsec);
        entry.changed |= !is_same;
        self.totals.changed += u64::from(entry.changed);
        self.totals.files += 1;
        self.totals.bytes += entry.size;
        Ok(Some(entry))
    }

    /// Reads a file from its beginning, as long as it was when it was opened: its hash, and whether it was shorter.
    fn read(
        &mut self,
        entry: &Entry,
        file: &File,
        to: &mut dyn FnMut(&mut Steady<'_>) -> io::Result<()>,
    ) -> Result<(blake3::Hash, bool), Fault> {
        let mut steady = Steady {
            file,
            left: entry.size,
            is_short: false,
            hash: blake3::Hasher::new(),
            failed: None,
            desk: self.desk,
            progress: &mut self.progress,
        };
        match to(&mut steady) {
            Ok(()) => Ok((steady.hash.finalize(), steady.is_short)),
            Err(e) => Err(match steady.failed {
                // Its header is written already: it cannot be left out any more.
                Some(e) => unreadable(&entry.path, &e).into(),
                None => {
                    self.desk.check()?;
                    e.into()
                }
            }),
        }
    }

    fn unreadable(&mut self, path: &[u8], e: &io::Error) -> Result<(), Fault> {
        let failure = unreadable(path, e);
        if !self.skip_unreadable {
            return Err(failure.into());
        }
        self.totals.unreadable += 1;
        self.progress.rejected += 1;
        if self.rejects.len() < Failure::CAUSES_MAX {
            self.rejects.push(Detail { message: failure.message, ..Detail::default() }.bounded());
        }
        Ok(())
    }
}

/// Waiting mends a disk that is gone for a moment; it does not mend permissions or a path that is wrong.
fn unreadable(path: &[u8], e: &io::Error) -> Failure {
    let is_final = matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::InvalidFilename);
    let class = if is_final { FailureClass::Permanent } else { FailureClass::Transient };
    let mut failure = Failure::new(class, "unreadable", format!("cannot read {}: {e}", text::bytes(path)));
    failure.file = Some(text::bytes(path));
    failure
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::TestDesk;
    use super::super::manifest;
    use super::*;
    use std::io::BufReader;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_that_is_cut_while_it_is_read_keeps_its_length() {
        let desk = TestDesk::new();
        let dir = desk.dir.path();
        std::fs::write(dir.join("a"), [7; 1000]).unwrap();
        let exclude = Exclude::new(std::iter::empty()).unwrap();
        let mut filling = Filling {
            desk: &desk,
            roots: &[],
            exclude: &exclude,
            skip: &[],
            skip_unreadable: false,
            database: None,
            known: Known::default(),
            entries: BufWriter::new(File::create(dir.join("entries")).unwrap()),
            totals: Totals::default(),
            rejects: Vec::new(),
            progress: Progress::default(),
            linked: HashMap::new(),
        };
        let mut tape = Tape::new(Vec::new());
        let root = Root { path: dir.join("a"), name: b"a".into() };
        walk::walk::<Fault>(&root, &exclude, &[], &mut |found| {
            // Opened, and looked at: now it loses its end.
            File::options().write(true).open(dir.join("a")).unwrap().set_len(10).unwrap();
            filling.found(found, &mut tape)
        })
        .unwrap();
        filling.entries.flush().unwrap();
        assert_eq!((filling.totals.changed, filling.totals.bytes), (1, 1000));
        let entries = BufReader::new(File::open(dir.join("entries")).unwrap());
        let entry = manifest::entries(entries).next().unwrap().unwrap();
        let stored = [vec![7; 10], vec![0; 990]].concat();
        assert!(entry.changed && entry.size == 1000);
        assert_eq!(entry.hash, Some(blake3::hash(&stored)), "what is missing is zeros");
        assert_eq!(std::fs::metadata(dir.join("a")).unwrap().size(), 10);
    }
}
