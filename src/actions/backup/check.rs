//! Reads a copy back from the disk and compares it, entry by entry and byte by byte, with what its manifest says.

use super::manifest::{Entry, EntryKind, INSIDE, Manifest, Seal};
use super::place::Place;
use super::walk::{kind_of, mtime_ns};
use nix::fcntl::{AtFlags, OFlag, PosixFadviseAdvice, openat, posix_fadvise, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use tar::EntryType;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Asked again and again; an error ends the work.
pub type Check<'a> = &'a (dyn Fn(u64) -> io::Result<()> + Sync);

/// An error for a copy that is not what it was.
pub fn differs(what: &str, path: &[u8]) -> io::Error {
    let message = format!("{what}: {}", crate::model::text::bytes(path));
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Forgets what memory has of a file, so that it is read from the disk.
pub fn forget(file: &File) {
    // Only a hint: where it is not taken, memory is what is read.
    let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

/// A reader that hashes what passes and asks whether to go on.
pub struct Watched<'a, R> {
    inner: R,
    hash: blake3::Hasher,
    bytes: u64,
    check: Check<'a>,
}

impl<'a, R: Read> Watched<'a, R> {
    /// Around a reader.
    pub fn new(inner: R, check: Check<'a>) -> Self {
        Self { inner, hash: blake3::Hasher::new(), bytes: 0, check }
    }

    /// What has passed.
    pub fn seal(&self) -> Seal {
        Seal { bytes: self.bytes, blake3: self.hash.finalize().to_hex().to_string() }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        (self.check)(n as u64)?;
        self.hash.update(buf.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }
}

/// The entries of an archive, as they come.
pub fn unpacked<R: Read>(packed: R) -> io::Result<tar::Archive<zstd::Decoder<'static, BufReader<R>>>> {
    Ok(tar::Archive::new(zstd::Decoder::with_buffer(BufReader::with_capacity(PIECE, packed))?))
}

/// The path of an entry, as its manifest has it.
pub fn path_of<R: Read>(found: &tar::Entry<'_, R>) -> Vec<u8> {
    let mut path = found.path_bytes().into_owned();
    if found.header().entry_type() == EntryType::Directory && path.last() == Some(&b'/') {
        path.pop();
    }
    path
}

/// Compares an archive with its entries: those that it holds itself, in their order, and then its own manifest. With a
/// seal, every byte of the file counts.
pub fn archive(
    file: &File,
    seal: Option<&Seal>,
    entries: &mut dyn Iterator<Item = io::Result<Entry>>,
    check: Check<'_>,
) -> io::Result<()> {
    forget(file);
    let mut archive = unpacked(Watched::new(file, check))?;
    let mut wanted = entries.filter(|e| !matches!(e, Ok(entry) if entry.held.is_some()));
    let mut found = archive.entries()?;
    loop {
        let next = found.next().transpose()?;
        let Some(wanted) = wanted.next().transpose()? else {
            let Some(inside) = next.filter(|found| path_of(found) == INSIDE.as_bytes()) else {
                return Err(differs("the archive has no manifest at its end", b""));
            };
            for entry in Manifest::open(BufReader::new(inside))? {
                entry?;
            }
            break;
        };
        match next {
            Some(mut next) => same(&mut next, &wanted)?,
            None => return Err(differs("the archive ends before", &wanted.path)),
        }
    }
    if found.next().is_some() {
        return Err(differs("the archive has entries behind its manifest", b""));
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    let mut packed = rest.finish();
    io::copy(&mut packed, &mut io::sink())?;
    match seal {
        Some(seal) if *seal != packed.into_inner().seal() => Err(differs("the archive has another hash", b"")),
        _ => Ok(()),
    }
}

fn same<R: Read>(found: &mut tar::Entry<'_, R>, wanted: &Entry) -> io::Result<()> {
    let kind = match found.header().entry_type() {
        EntryType::Directory => EntryKind::Folder,
        EntryType::Symlink => EntryKind::Symlink,
        EntryType::Link => EntryKind::Hardlink,
        _ => EntryKind::File,
    };
    let is_same = kind == wanted.kind
        && path_of(found) == wanted.path
        && found.size() == wanted.size
        && found.header().mode()? == wanted.mode
        && found.link_name_bytes().as_deref().unwrap_or_default() == wanted.link.as_deref().unwrap_or_default();
    if !is_same {
        return Err(differs("an entry of the archive is another", &wanted.path));
    }
    content(found, wanted)
}

/// Compares a content with the hash of an entry.
fn content(found: &mut dyn Read, wanted: &Entry) -> io::Result<()> {
    let Some(hash) = wanted.hash else { return Ok(()) };
    let mut hasher = blake3::Hasher::new();
    let read = hasher.update_reader(found)?.count();
    if read != wanted.size || hasher.finalize() != hash {
        return Err(differs("the content has another hash", &wanted.path));
    }
    Ok(())
}

/// Compares a whole file with its seal.
pub fn sealed(file: &File, seal: &Seal, check: Check<'_>) -> io::Result<()> {
    forget(file);
    let mut watched = Watched::new(file, check);
    let mut buffer = vec![0; PIECE];
    while watched.read(&mut buffer)? > 0 {}
    if watched.seal() == *seal { Ok(()) } else { Err(differs("the archive has another hash", b"")) }
}

/// Compares a tree with its entries.
pub fn tree(
    root: &std::path::Path,
    entries: &mut dyn Iterator<Item = io::Result<Entry>>,
    check: Check<'_>,
) -> io::Result<()> {
    let mut place = Place::open(root, super::place::OnThere::Fail)?;
    for entry in entries {
        let entry = entry?;
        check(0)?;
        let (dir, name) = place.beside(&entry.path)?;
        let name = OsStr::from_bytes(name);
        let stat = fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let kind = match kind_of(&stat) {
            SFlag::S_IFDIR => EntryKind::Folder,
            SFlag::S_IFLNK => EntryKind::Symlink,
            _ if entry.kind == EntryKind::Hardlink => EntryKind::Hardlink,
            _ => EntryKind::File,
        };
        let link = if kind == EntryKind::Symlink { Some(readlinkat(&dir, name)?) } else { None };
        let is_linked = link.is_none_or(|link| Some(link.as_bytes()) == entry.link.as_deref());
        let is_dated = kind == EntryKind::Hardlink || mtime_ns(&stat) == entry.mtime_ns;
        if kind != entry.kind || !is_linked || !is_dated {
            return Err(differs("an entry of the tree is another", &entry.path));
        }
        if entry.hash.is_some() {
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let file = File::from(openat(&dir, name, flags, Mode::empty())?);
            forget(&file);
            content(&mut Watched::new(&file, check), &entry)?;
        }
    }
    Ok(())
}
