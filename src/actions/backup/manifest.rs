//! The manifest of a copy: a head, a line for each entry, and a last line with the hash of all lines before it.
//!
//! It guarantees that a manifest which was cut off, or of which one byte is another, is never taken for whole. Names
//! are bytes: one that is no UTF-8 stands there in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// The version of the format that this program writes, and the newest that it reads.
const VERSION: u32 = 1;
/// Longest line of a manifest, in bytes; a longer one makes it damaged. A path has at most 4,096.
const LINE_MAX: u64 = 1024 * 1024;
/// The name of the manifest inside a copy.
pub const INSIDE: &str = ".shiftboss-manifest.ndjson";
/// What the name of an archive is followed by in the name of the manifest beside it.
pub const BESIDE: &str = ".manifest.ndjson";

/// What a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// An archive.
    #[serde(rename = "tar.zst")]
    Archive,
    /// A plain folder.
    #[serde(rename = "tree")]
    Tree,
}

/// What an archive is as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its BLAKE3, in hexadecimal digits.
    pub blake3: String,
}

/// An archive that holds the bytes of some entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its name; it lies in the same folder.
    pub archive: String,
    /// What it was when it was referred to.
    #[serde(flatten)]
    pub seal: Seal,
}

/// How many there are of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Entries of every kind.
    pub entries: u64,
    /// Regular files.
    pub files: u64,
    /// Bytes of the regular files.
    pub bytes: u64,
    /// Regular files whose bytes are in this copy.
    pub stored: u64,
    /// Files that changed while they were read.
    pub changed: u64,
    /// Sockets, pipes and devices, which are left out.
    pub special: u64,
    /// Files that could not be read, where the configuration lets them be left out.
    pub unreadable: u64,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Always `backup`.
    pub shiftboss: String,
    /// Version of the format.
    pub version: u32,
    /// The task that made it.
    pub task: String,
    /// The run that made it.
    pub run: i64,
    /// When that run was planned, in milliseconds since the Unix epoch.
    pub planned_ms: i64,
    /// What the copy is.
    pub form: Form,
    /// Whether it was read back and compared.
    pub verified: bool,
    /// What is in it.
    pub totals: Totals,
    /// Archives that hold the bytes of entries that this one does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Holder>,
    /// The archive, in the manifest beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Seal>,
}

impl Head {
    /// The head of a copy.
    pub fn new(task: &str, run: i64, planned_ms: i64, form: Form) -> Self {
        Self {
            shiftboss: "backup".to_owned(),
            version: VERSION,
            task: task.to_owned(),
            run,
            planned_ms,
            form,
            verified: false,
            totals: Totals::default(),
            needs: Vec::new(),
            archive: None,
        }
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that stands further up.
    Hardlink,
}

impl EntryKind {
    /// Its name, as the manifest has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::File => "file",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
        }
    }
}

/// Where the bytes of a file are, if not in the copy itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The archive, by its place in [`Head::needs`].
    pub by: u32,
    /// The path in it.
    pub path: Vec<u8>,
}

/// One entry of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Its path, relative.
    pub path: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Number of its owner.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// Modification time in nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Size in bytes; 0 for everything but files.
    pub size: u64,
    /// BLAKE3 of a file's content.
    pub hash: Option<blake3::Hash>,
    /// Where a link leads.
    pub link: Option<Vec<u8>>,
    /// It changed while it was read.
    pub changed: bool,
    /// Where its bytes are, if not here.
    pub held: Option<Held>,
}

/// A list of bytes as a line has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes { b64: String },
}

impl Name {
    fn of(raw: &[u8]) -> Self {
        match std::str::from_utf8(raw) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes { b64: STANDARD.encode(raw) },
        }
    }

    fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_bytes()),
            Self::Bytes { b64 } => STANDARD.decode(b64).ok(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    kind: EntryKind,
    path: Name,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime_ns: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Name>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    changed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_by: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_as: Option<Name>,
}

impl Entry {
    /// Writes it as a line.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let is_file = self.kind == EntryKind::File;
        let line = Line {
            kind: self.kind,
            path: Name::of(&self.path),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime_ns: self.mtime_ns,
            size: is_file.then_some(self.size),
            blake3: self.hash.map(|hash| hash.to_hex().to_string()),
            link: self.link.as_deref().map(Name::of),
            changed: self.changed,
            held_by: self.held.as_ref().map(|held| held.by),
            held_as: self.held.as_ref().map(|held| Name::of(&held.path)),
        };
        put(&line, out)
    }

    fn read(line: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(line).ok()?;
        let hash = line.blake3.map(|hex| blake3::Hash::from_hex(hex).ok());
        let link = line.link.map(Name::into_bytes);
        let held_as = line.held_as.map(Name::into_bytes);
        let held = match (line.held_by, held_as) {
            (Some(by), Some(path)) => Some(Held { by, path: path? }),
            _ => None,
        };
        Some(Self {
            kind: line.kind,
            path: line.path.into_bytes()?,
            mode: line.mode,
            uid: line.uid,
            gid: line.gid,
            mtime_ns: line.mtime_ns,
            size: line.size.unwrap_or(0),
            hash: hash.map_or(Some(None), |h| h.map(Some))?,
            link: link.map_or(Some(None), |l| l.map(Some))?,
            changed: line.changed,
            held,
        })
        .filter(|entry| (entry.kind == EntryKind::File) == entry.hash.is_some())
    }
}

/// The last line.
#[derive(Serialize, Deserialize)]
struct End {
    end: String,
}

fn put(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Writes a manifest: the head, the lines of the entries as they were written before, and the end.
pub fn assemble(head: &Head, entries: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
    let mut hashed = Hashed { out, hash: blake3::Hasher::new() };
    put(head, &mut hashed)?;
    io::copy(entries, &mut hashed)?;
    let Hashed { mut out, hash } = hashed;
    put(&End { end: hash.finalize().to_hex().to_string() }, &mut out)
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: blake3::Hasher,
}

impl Write for Hashed<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.hash.update(buf.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a manifest line by line. The last item is an error if it is not whole: nothing that came before may be trusted
/// then.
pub struct Manifest<R> {
    /// Its head.
    pub head: Head,
    input: R,
    hash: blake3::Hasher,
    over: bool,
}

/// An error for a manifest that is not what was written.
pub fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the manifest is damaged: {why}"))
}

impl<R: BufRead> Manifest<R> {
    /// Reads the head.
    pub fn open(mut input: R) -> io::Result<Self> {
        let mut hash = blake3::Hasher::new();
        let line = line(&mut input)?.ok_or_else(|| damaged("it is empty"))?;
        hash.update(&line);
        let head: Head = serde_json::from_slice(&line).map_err(|_| damaged("it has no head"))?;
        if head.shiftboss != "backup" {
            return Err(damaged("it is not of a backup"));
        }
        if head.version > VERSION {
            let message = format!("the manifest was written by a newer version (format {})", head.version);
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        Ok(Self { head, input, hash, over: false })
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        let line = line(&mut self.input)?.ok_or_else(|| damaged("its end is missing"))?;
        if line.starts_with(b"{\"end\":") {
            let mut wanted = Vec::new();
            put(&End { end: self.hash.finalize().to_hex().to_string() }, &mut wanted)?;
            let more = !self.input.fill_buf()?.is_empty();
            return if wanted == line && !more { Ok(None) } else { Err(damaged("its hash is another")) };
        }
        self.hash.update(&line);
        Entry::read(&line).map(Some).ok_or_else(|| damaged("an entry cannot be read"))
    }
}

impl<R: BufRead> Iterator for Manifest<R> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let read = self.entry();
        self.over = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}

/// The next line with its end.
fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(LINE_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(damaged("a line has no end")),
    }
}

/// Entries as they were written before a head and an end were put around them.
pub fn entries(input: impl BufRead) -> impl Iterator<Item = io::Result<Entry>> {
    let mut input = input;
    std::iter::from_fn(move || match line(&mut input) {
        Ok(Some(line)) => Some(Entry::read(&line).ok_or_else(|| damaged("an entry cannot be read"))),
        Ok(None) => None,
        Err(e) => Some(Err(e)),
    })
}
