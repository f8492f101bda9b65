//! Sorted records in files, in a folder that goes away with its owner.

use super::key::KEY_MAX;
use super::segment::{PLACE, Record, place_bytes, place_of};
use crate::model::Failure;
use std::fs::{DirBuilder, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most names that are tried for the folder: as many finders can be at work in one scratch folder.
const NAMES_MAX: u32 = 1000;

/// A private folder for runs. It is made when the first run is.
#[derive(Debug)]
pub(super) struct Folder {
    scratch: PathBuf,
    made: OnceLock<PathBuf>,
    runs: AtomicU64,
}

impl Folder {
    /// A folder in `scratch`, not made yet.
    pub(super) fn new(scratch: &Path) -> Self {
        Self { scratch: scratch.to_owned(), made: OnceLock::new(), runs: AtomicU64::new(0) }
    }

    /// Its path.
    fn path(&self) -> Result<&Path, Failure> {
        if let Some(path) = self.made.get() {
            return Ok(path);
        }
        let made = self.make()?;
        Ok(self.made.get_or_init(|| made))
    }

    fn make(&self) -> Result<PathBuf, Failure> {
        let mut n = 0;
        loop {
            let path = self.scratch.join(format!("unique-{n}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && n < NAMES_MAX => n += 1,
                Err(error) => return Err(Failure::io("scratch", "make the folder", &path, &error)),
            }
        }
    }

    /// A new run, empty.
    pub(super) fn run(&self, buffer: usize) -> Result<RunWriter, Failure> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let path = self.path()?.join(number.to_string());
        let file = File::create_new(&path).map_err(|error| Failure::io("scratch", "create", &path, &error))?;
        Ok(RunWriter { file: BufWriter::with_capacity(buffer, file), run: Run { path } })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = self.made.get() {
            // The scratch folder it lies in is removed as well, in the end.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// A file of sorted records. It is removed with its owner.
#[derive(Debug)]
pub(super) struct Run {
    path: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes a run.
#[derive(Debug)]
pub(super) struct RunWriter {
    file: BufWriter<File>,
    run: Run,
}

impl RunWriter {
    /// Adds a record; they must come in order.
    pub(super) fn write(&mut self, record: &Record) -> Result<(), Failure> {
        let mut put = || -> io::Result<()> {
            let len = u32::try_from(record.key.len()).map_err(io::Error::other)?;
            self.file.write_all(&record.order.to_le_bytes())?;
            self.file.write_all(&len.to_le_bytes())?;
            self.file.write_all(&record.key)?;
            self.file.write_all(&place_bytes(record.place))
        };
        put().map_err(|error| Failure::io("scratch", "write", &self.run.path, &error))
    }

    /// Ends the run.
    pub(super) fn finish(mut self) -> Result<Run, Failure> {
        self.file.flush().map_err(|error| Failure::io("scratch", "write", &self.run.path, &error))?;
        Ok(self.run)
    }
}

/// Reads a run.
#[derive(Debug)]
pub(super) struct RunReader {
    file: BufReader<File>,
    run: Run,
}

impl RunReader {
    /// Opens a run, with a buffer of this size.
    pub(super) fn open(run: Run, buffer: usize) -> Result<Self, Failure> {
        let file = File::open(&run.path).map_err(|error| Failure::io("scratch", "open", &run.path, &error))?;
        Ok(Self { file: BufReader::with_capacity(buffer, file), run })
    }

    /// Reads the next record. False: there is none.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, Failure> {
        self.record(record).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => damaged(),
            _ => Failure::io("scratch", "read", &self.run.path, &error),
        })
    }

    fn record(&mut self, record: &mut Record) -> io::Result<bool> {
        let mut order = [0; 8];
        if self.file.read(&mut order[..1])? == 0 {
            return Ok(false);
        }
        let (mut len, mut place) = ([0; 4], [0; PLACE]);
        self.file.read_exact(&mut order[1..])?;
        self.file.read_exact(&mut len)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > KEY_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        record.order = u64::from_le_bytes(order);
        record.key.resize(len, 0);
        self.file.read_exact(&mut record.key)?;
        self.file.read_exact(&mut place)?;
        record.place = place_of(&place);
        Ok(true)
    }
}

/// A scratch file is not as it was written.
pub(super) fn damaged() -> Failure {
    Failure::transient("scratch", "a scratch file of the search for duplicates was changed or cut")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::transform::output::unique::Place;

    fn record(n: u64) -> Record {
        let key = vec![n as u8; n as usize % 5];
        Record { order: n / 3, key, place: Place { file: n as u32 % 2, byte: n << 40 } }
    }

    fn written(folder: &Folder, count: u64) -> Run {
        let mut writer = folder.run(64).unwrap();
        for n in 0..count {
            writer.write(&record(n)).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_run_is_read_as_it_was_written_and_goes_away() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(scratch.path());
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
        let other = Folder::new(scratch.path());
        drop(written(&other, 1));
        let mut reader = RunReader::open(written(&folder, 100), 50).unwrap();
        let mut got = Record::default();
        for n in 0..100 {
            assert!(reader.read(&mut got).unwrap());
            assert_eq!(got, record(n));
        }
        assert!(!reader.read(&mut got).unwrap());
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 2);
        drop((reader, folder, other));
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    }

    #[test]
    fn a_run_that_was_cut_is_no_shorter_run() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(scratch.path());
        let run = written(&folder, 4);
        let whole = std::fs::read(&run.path).unwrap();
        let path = run.path.clone();
        for (bytes, records) in [(&whole[..whole.len() - 1], 3), (&whole[..3], 0)] {
            std::fs::write(&path, bytes).unwrap();
            let mut reader =
                RunReader { file: BufReader::new(File::open(&path).unwrap()), run: Run { path: path.clone() } };
            let mut got = Record::default();
            for _ in 0..records {
                assert!(reader.read(&mut got).unwrap());
            }
            assert_eq!(reader.read(&mut got).unwrap_err().code, "scratch");
        }
        std::fs::write(&path, [&[0; 8][..], &[255; 40]].concat()).unwrap();
        let mut reader = RunReader::open(run, 50).unwrap();
        let mut got = Record::default();
        assert_eq!(reader.read(&mut got).unwrap_err().code, "scratch");
        assert!(got.key.capacity() <= KEY_MAX, "room for {} bytes on the word of a damaged file", got.key.capacity());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = Folder::new(Path::new("/nowhere/at/all"));
        let failure = folder.run(64).unwrap_err();
        assert!(failure.message.starts_with("cannot make the folder /nowhere/at/all/unique-0: "), "{failure}");
    }
}
