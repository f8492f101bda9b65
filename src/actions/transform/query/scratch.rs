//! What `DataFusion` puts on the disk, in a private folder that is gone when the last file is.

use super::failure::Carried;
use super::watch::Watch;
use crate::model::Failure;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result as Planned};
use datafusion::execution::spill_file::{SpillFile, SpillWriter, TempFileFactory};
use futures_util::{Stream, stream};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// Most bytes that a statement may have in the scratch folder. The disk is most often smaller.
const SCRATCH_MAX: u64 = 1 << 40;
/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// The private folder.
pub(super) struct Scratch {
    shared: Arc<Shared>,
}

struct Shared {
    folder: TempDir,
    watch: Arc<Watch>,
    /// Bytes in all files.
    used: AtomicU64,
    /// Number of the next file.
    next: AtomicU64,
}

impl Scratch {
    /// A private folder in `folder`.
    pub(super) fn new(folder: &Path, watch: Arc<Watch>) -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix("sql-").tempdir_in(folder);
        let folder = made.map_err(|error| Failure::io("sql_scratch", "make a folder in", folder, &error))?;
        let shared = Shared { folder, watch, used: AtomicU64::new(0), next: AtomicU64::new(0) };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl TempFileFactory for Scratch {
    fn create_temp_file(&self, _: &str) -> Planned<Arc<dyn SpillFile>> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let path = self.shared.folder.path().join(number.to_string());
        // Files are open only while they are written or read: there may be more of them than a process may have open.
        OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Arc::new(Piece { path, size: Arc::new(AtomicU64::new(0)), shared: Arc::clone(&self.shared) }))
    }
}

/// A file of the folder; removed when nobody needs it any more.
struct Piece {
    path: PathBuf,
    size: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.shared.used.fetch_sub(self.size.load(Ordering::Relaxed), Ordering::Relaxed);
        // What cannot be removed goes with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl SpillFile for Piece {
    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn size(&self) -> Option<u64> {
        Some(self.size.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Planned<Pin<Box<dyn Stream<Item = Planned<Bytes>> + Send>>> {
        let mut file = File::open(&self.path)?;
        let watch = Arc::clone(&self.shared.watch);
        let mut read = move || -> Planned<Option<Bytes>> {
            watch.check().map_err(Carried::error)?;
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece)?;
            piece.truncate(length);
            Ok((length > 0).then(|| piece.into()))
        };
        Ok(Box::pin(stream::iter(std::iter::from_fn(move || read().transpose()))))
    }

    fn open_writer(&self) -> Planned<Box<dyn SpillWriter>> {
        let file = OpenOptions::new().append(true).open(&self.path)?;
        Ok(Box::new(Writer { file, size: Arc::clone(&self.size), shared: Arc::clone(&self.shared) }))
    }
}

/// Writes at the end of a file.
struct Writer {
    file: File,
    size: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.watch.check().map_err(|failure| io::Error::other(Carried::error(failure)))?;
        let length = bytes.len() as u64;
        if self.shared.used.fetch_add(length, Ordering::Relaxed) + length > SCRATCH_MAX {
            self.shared.used.fetch_sub(length, Ordering::Relaxed);
            return Err(io::Error::other(DataFusionError::ResourcesExhausted("the disk is used up".into())));
        }
        self.size.fetch_add(length, Ordering::Relaxed);
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Planned<()> {
        Ok(())
    }
}
