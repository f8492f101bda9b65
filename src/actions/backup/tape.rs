//! Writes a tar stream: the headers of each entry, its content, and the padding behind it. Names and targets of links
//! stand in it byte by byte; times have nanoseconds.

use super::manifest::{Entry, EntryKind};
use std::io::{self, Read, Write};
use tar::{EntryType, Header};

/// Bytes of a block.
const BLOCK: usize = 512;
/// Longest name that a header holds by itself, in bytes.
const NAME_MAX: usize = 100;
/// The name of an entry that holds the name of the next one.
const LONG: &[u8] = b"././@LongLink";

/// A tar stream in the making.
pub struct Tape<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Tape<W> {
    /// A stream that is written there.
    pub fn new(out: W) -> Self {
        Self { out, buffer: vec![0; 256 * 1024] }
    }

    /// Writes an entry; `content` gives exactly as many bytes as its size says.
    pub fn add(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let time = pax_time(entry.mtime_ns);
        self.extension(EntryType::XHeader, b"./PaxHeaders/time", time.as_bytes())?;
        let mut path = entry.path.clone();
        if entry.kind == EntryKind::Folder {
            path.push(b'/');
        }
        let link = entry.link.as_deref().unwrap_or_default();
        for (kind, name) in [(EntryType::GNULongLink, link), (EntryType::GNULongName, path.as_slice())] {
            if name.len() > NAME_MAX {
                self.extension(kind, LONG, &[name, b"\0"].concat())?;
            }
        }
        let kind = match entry.kind {
            EntryKind::Folder => EntryType::Directory,
            EntryKind::File => EntryType::Regular,
            EntryKind::Symlink => EntryType::Symlink,
            EntryKind::Hardlink => EntryType::Link,
        };
        let mut header = Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(u64::from(entry.uid));
        header.set_gid(u64::from(entry.gid));
        header.set_mtime(u64::try_from(entry.mtime_ns.div_euclid(1_000_000_000)).unwrap_or(0));
        put(&mut header.as_old_mut().linkname, link);
        self.header(header, kind, &path, entry.size)?;
        self.content(entry.size, content)
    }

    /// Writes the blocks behind the last entry.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])
    }

    fn extension(&mut self, kind: EntryType, name: &[u8], data: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.header(header, kind, name, data.len() as u64)?;
        self.content(data.len() as u64, &mut &*data)
    }

    fn header(&mut self, mut header: Header, kind: EntryType, name: &[u8], size: u64) -> io::Result<()> {
        put(&mut header.as_old_mut().name, name);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn content(&mut self, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let room = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = content.read(self.buffer.get_mut(..room).unwrap_or_default())?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.out.write_all(self.buffer.get(..n).unwrap_or_default())?;
            left -= n as u64;
        }
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        let padding = if over == 0 { 0 } else { BLOCK - over };
        self.out.write_all([0; BLOCK].get(..padding).unwrap_or_default())
    }
}

/// As much of a name as a field holds.
fn put(field: &mut [u8], name: &[u8]) {
    field.fill(0);
    for (to, from) in field.iter_mut().zip(name) {
        *to = *from;
    }
}

/// The record of a modification time: its own length in decimal digits, then the time in seconds.
fn pax_time(mtime_ns: i64) -> String {
    let sign = if mtime_ns < 0 { "-" } else { "" };
    let ns = mtime_ns.unsigned_abs();
    let record = format!(" mtime={sign}{}.{:09}\n", ns / 1_000_000_000, ns % 1_000_000_000);
    let mut len = record.len() + 2;
    if len.to_string().len() + record.len() != len {
        len = record.len() + len.to_string().len();
    }
    format!("{len}{record}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_own_length() {
        for ns in [0, 1, -1, -1_500_000_000, 1_767_225_600_123_456_789, i64::MAX, i64::MIN] {
            let record = pax_time(ns);
            let (len, _) = record.split_once(' ').unwrap();
            assert_eq!(len.parse::<usize>().unwrap(), record.len(), "{record}");
        }
        assert!(pax_time(-1_500_000_000).ends_with("mtime=-1.500000000\n"));
    }
}
