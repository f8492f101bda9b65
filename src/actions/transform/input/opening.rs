//! Opens a file: how it is packed and written, which of its bytes are text, and where its first row starts.
//!
//! The first file settles the dialect; the others have to be readable in it, and have the same header.

use super::cutter::Cutter;
use super::dialect::{self, Header};
use super::disk::Disk;
use super::recode::{Recoder, cuts_raw};
use super::records::{First, Marks, first, first_line, line_ends};
use super::reject::{Place, refuse, refuse_at};
use super::stream::Stream;
use super::unpack::Unpacked;
use super::window::Window;
use super::{COLUMNS_MAX, Declared, InputFile, RECORD_MAX, SAMPLE_MAX};
use crate::actions::encoding::{self, Found};
use crate::actions::transform::table::{Dialect, Format};
use crate::model::{Failure, text};
use encoding_rs::{Encoding, UTF_8};
use memchr::memchr;

/// Places in a file that are looked at for text beyond ASCII, if its head has none.
const PROBES: u64 = 16;
/// Bytes looked at in each.
const PROBE: usize = 64 * 1024;
/// Bytes that a delimiter is found out from, in the encoding of the file; even, so that units of two bytes stay whole.
const DETECT: usize = 128 * 1024;

/// What the first file settles for all.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    /// What chunks are in.
    pub(super) dialect: Dialect,
    /// How the files are written, which is JSON for a file that is one array.
    pub(super) format: Format,
    /// The encoding of the first file.
    pub(super) encoding: &'static Encoding,
    /// The names of the columns.
    pub(super) header: Option<Vec<String>>,
    /// Fields of the first record.
    pub(super) fields: usize,
    /// What messages call the first file.
    pub(super) label: String,
}

/// A file before its first row.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) window: Window,
    pub(super) cutter: Cutter,
    /// Line and offset of the first byte of the window.
    pub(super) line: u64,
    pub(super) byte: u64,
}

/// Opens the first file and settles how all are read.
pub(super) fn open_first(input: &InputFile, declared: &Declared) -> Result<(Opened, Settled), Failure> {
    let head = Head::read(input, declared)?;
    let found = head.encoding(declared.encoding, None)?;
    let (named, tab) = dialect::by_name(&input.name);
    let len = head.window.len().min(found.mark + DETECT);
    let sample = encoding::decode_lossy(found.encoding, &head.window.bytes()[found.mark..len]);
    let by_content = dialect::by_content(sample.as_bytes());
    let format = match declared.format.or(named).unwrap_or(by_content) {
        Format::Json if first_mark(&sample) == Some(b'{') => Format::Ndjson,
        format => format,
    };
    let is_csv = format == Format::Csv;
    let has_header = is_csv && declared.header.unwrap_or(true);
    let (delimiter, quote) = if is_csv {
        let whole = head.stream.ended() && len == head.window.len();
        dialect::detect(sample.as_bytes(), whole, declared.delimiter.or(tab), declared.quote, has_header)
    } else {
        (b',', None)
    };
    let marks: Vec<u8> = [delimiter].into_iter().chain(quote).collect();
    let stays_raw = found.encoding == UTF_8 || (is_csv && cuts_raw(found.encoding, &marks));
    let encoding = if stays_raw { found.encoding } else { UTF_8 };
    let format_of_chunks = if is_csv { Format::Csv } else { Format::Ndjson };
    let mut settled = Settled {
        dialect: Dialect { format: format_of_chunks, delimiter, quote, encoding, header: has_header },
        format,
        encoding: found.encoding,
        header: None,
        fields: 0,
        label: input.label.clone(),
    };
    let mut opened = head.into_text(found, encoding, &settled)?;
    (settled.header, settled.fields) = opened.begin(&settled, &input.label)?;
    Ok((opened, settled))
}

/// Opens a further file.
pub(super) fn open_next(input: &InputFile, declared: &Declared, settled: &Settled) -> Result<Opened, Failure> {
    let head = Head::read(input, declared)?;
    let found = head.encoding(declared.encoding, Some(settled.encoding))?;
    let wanted = settled.dialect.encoding;
    if found.encoding != wanted && wanted != UTF_8 {
        let (is, first) = (found.encoding.name(), &settled.label);
        let message = format!("the file is {is}, but {first} is {}: convert one of them", settled.encoding.name());
        let mut failure = refuse(&input.label, "encoding_differs", message);
        failure.constant = "files in different encodings".into();
        return Err(failure);
    }
    let mut opened = head.into_text(found, wanted, settled)?;
    if let ((Some(names), _), Some(before)) = (opened.begin(settled, &input.label)?, &settled.header)
        && names != *before
    {
        return Err(header_differs(input, settled, &names, before));
    }
    Ok(opened)
}

fn header_differs(input: &InputFile, settled: &Settled, names: &[String], before: &[String]) -> Failure {
    let column = names.iter().zip(before).take_while(|(a, b)| a == b).count() + 1;
    let shown = |names: &[String]| match names.get(column - 1) {
        Some(name) => format!("\"{}\"", text::cut(&text::escape(name), 60)),
        None => "missing".to_owned(),
    };
    let (here, there, first) = (shown(names), shown(before), &settled.label);
    let message = format!("the header differs from that of {first}: column {column} is {here} here and {there} there");
    let mut failure = refuse(&input.label, "header_differs", message);
    failure.column = Some(column as u64);
    failure.constant = "files with different headers".into();
    failure
}

/// The first bytes of a file, unpacked.
struct Head {
    stream: Stream,
    window: Window,
}

impl Head {
    fn read(input: &InputFile, declared: &Declared) -> Result<Self, Failure> {
        let unpacked = Unpacked::open(input, declared.compression, declared.max_expanded)?;
        let mut head = Self { stream: Stream::new(unpacked), window: Window::default() };
        // Of a small file not more than it has, and one byte so that its end shows.
        let whole = usize::try_from(head.disk().size()).unwrap_or(SAMPLE_MAX).saturating_add(1);
        let len = if head.stream.is_raw() { whole.min(SAMPLE_MAX) } else { SAMPLE_MAX };
        head.window.fill(&mut head.stream, len)?;
        if head.window.len() == 0 {
            let what = if head.disk().size() == 0 { "the file is empty" } else { "the file unpacks to nothing" };
            return Err(head.refuse("empty", what));
        }
        Ok(head)
    }

    fn disk(&self) -> &Disk {
        self.stream.disk()
    }

    fn refuse(&self, code: &str, what: &str) -> Failure {
        refuse(self.disk().label(), code, what)
    }

    /// The encoding, once it is clear that this is text. `before`: that of the first file, which a file that tells
    /// nothing has too.
    fn encoding(
        &self,
        declared: Option<&'static Encoding>,
        before: Option<&'static Encoding>,
    ) -> Result<Found, Failure> {
        let head = self.window.bytes();
        let mut found = encoding::detect(head, self.stream.ended(), declared);
        if let Some(what) = known_binary(head) {
            return Err(self.refuse("binary", &format!("not a table: {what}")));
        }
        if !encoding::is_utf16(found.encoding)
            && let Some(at) = memchr(0, first_line(head))
            && head[at..].iter().any(|b| *b != 0)
        {
            match encoding::utf16_without_mark(head).filter(|_| declared.is_none()) {
                Some(encoding) => found = Found { encoding, mark: 0, tentative: false },
                None => {
                    let place = Place { line: 1, byte: at as u64, column: None };
                    let what = "not a table: binary data, a NUL byte";
                    return Err(refuse_at(self.disk().label(), "binary", place, what, what, ""));
                }
            }
        }
        self.check_tail(found.encoding)?;
        if found.tentative && head.is_ascii() {
            found.encoding = match (self.probe()?, before) {
                (Some(encoding), _) => encoding,
                (None, Some(before)) if !encoding::is_utf16(before) => before,
                (None, _) => UTF_8,
            };
        }
        Ok(found)
    }

    /// The encoding of text beyond ASCII further on in the file, if a look at some places finds any.
    fn probe(&self) -> Result<Option<&'static Encoding>, Failure> {
        let disk = self.disk();
        if !self.stream.is_raw() || self.stream.ended() || disk.size() <= self.window.len() as u64 {
            return Ok(None);
        }
        for n in 1..=PROBES {
            let at = u128::from(disk.size()) * u128::from(n) / u128::from(PROBES + 1);
            let piece = disk.peek(u64::try_from(at).unwrap_or(u64::MAX), PROBE)?;
            if piece.is_ascii() {
                continue;
            }
            // Only whole lines: the piece starts and ends anywhere.
            let end = memchr::memrchr(b'\n', &piece).unwrap_or(0);
            let start = memchr(b'\n', &piece).unwrap_or(0);
            let lines = &piece[start..end];
            if lines.is_ascii() {
                continue;
            }
            if std::str::from_utf8(lines).is_ok() {
                return Ok(Some(UTF_8));
            }
            return Ok(Some(encoding::instead_of_utf8(lines, true).unwrap_or(UTF_8)));
        }
        Ok(None)
    }

    /// An error if the file ends in NUL bytes: its room was allocated before its content was written.
    fn check_tail(&self, encoding: &'static Encoding) -> Result<(), Failure> {
        let disk = self.disk();
        let unit = if encoding::is_utf16(encoding) { 2 } else { 1 };
        let Some(at) = disk.size().checked_sub(unit as u64).filter(|_| self.stream.is_raw()) else { return Ok(()) };
        if disk.peek(at, unit)?.iter().any(|b| *b != 0) {
            return Ok(());
        }
        let message = "the file ends in NUL bytes: it is not completely written";
        let mut failure = Failure::transient("incomplete", message);
        failure.file = Some(disk.label().to_owned());
        Err(failure)
    }

    /// The file as text behind its byte order mark, in the encoding that chunks are in.
    fn into_text(self, found: Found, wanted: &'static Encoding, settled: &Settled) -> Result<Opened, Failure> {
        let Self { mut stream, mut window } = self;
        let mut byte = found.mark as u64;
        window.skip(found.mark);
        if found.encoding != wanted {
            stream.recode(Recoder::new(found.encoding, window.bytes().to_vec()));
            window.clear();
            byte = 0;
            window.fill(&mut stream, SAMPLE_MAX)?;
        }
        let is_array = settled.format == Format::Json && !window.bytes().trim_ascii_start().starts_with(b"{");
        let cutter = if is_array { Cutter::elements() } else { Cutter::records(marks(&settled.dialect)) };
        Ok(Opened { stream, window, cutter, line: 1, byte })
    }
}

impl Opened {
    /// Goes to the first row. Answers the names of the columns and how many there are, none and 0 for JSON.
    fn begin(&mut self, settled: &Settled, label: &str) -> Result<(Option<Vec<String>>, usize), Failure> {
        if settled.format != Format::Csv {
            if self.stream.ended() && self.window.bytes().trim_ascii().is_empty() {
                return Err(refuse(label, "empty", "the file holds nothing but white space"));
            }
            return Ok((None, 0));
        }
        let found = self.first_record(settled, label)?;
        let Some((end, behind)) = found.end else {
            return Err(refuse(label, "empty", "the file holds nothing but empty lines"));
        };
        if !settled.dialect.header {
            return Ok((None, found.fields));
        }
        let names = self.record(settled, label, end).names()?;
        self.skip(behind);
        Ok((Some(names), found.fields))
    }

    /// Goes to the first record, and reads as much as it takes. Without an end there is none.
    fn first_record(&mut self, settled: &Settled, label: &str) -> Result<First, Failure> {
        let marks = marks(&settled.dialect);
        loop {
            let ended = self.stream.ended();
            let found = first(self.window.bytes(), marks, ended);
            let len = self.window.len();
            if found.fields > COLUMNS_MAX {
                let most = text::count(COLUMNS_MAX as u64);
                let what = format!("more than {most} columns, perhaps the line ends are missing");
                return Err(self.record(settled, label, len).refuse(
                    "too_many_columns",
                    None,
                    &what,
                    "too many columns",
                ));
            }
            if found.end.is_some() || (ended && found.start == len) {
                self.skip(found.start);
                return Ok(First {
                    start: 0,
                    end: found.end.map(|(a, b)| (a - found.start, b - found.start)),
                    ..found
                });
            }
            if ended || len - found.start >= RECORD_MAX {
                self.skip(found.start);
                let what = format!("the quote that opens column {} is never closed", found.fields);
                let record = self.record(settled, label, self.window.len());
                return Err(match found.open {
                    true => record.refuse("unclosed_quote", Some(found.fields), &what, "a quote that is never closed"),
                    false => too_long(&record),
                });
            }
            // Of empty lines, the last may be cut in two.
            self.skip(found.start.min(len - 1));
            let len = self.window.len();
            self.window.fill(&mut self.stream, (2 * len).clamp(SAMPLE_MAX, RECORD_MAX + 1))?;
        }
    }

    /// The first `len` bytes as a record.
    fn record<'a>(&'a self, settled: &Settled, label: &'a str, len: usize) -> Header<'a> {
        Header {
            label,
            raw: &self.window.bytes()[..len],
            marks: marks(&settled.dialect),
            encoding: settled.dialect.encoding,
            line: self.line,
            byte: self.byte,
        }
    }

    /// Leaves bytes out.
    pub(super) fn skip(&mut self, len: usize) {
        self.line += line_ends(&self.window.bytes()[..len]);
        self.byte += len as u64;
        self.window.skip(len);
    }

    /// Whole records from the first row on, in UTF-8: as many as the window holds, at least one.
    pub(super) fn sample(&mut self, encoding: &'static Encoding) -> Result<Vec<u8>, Failure> {
        loop {
            let mut bytes = self.window.bytes().to_vec();
            let mut cutter = self.cutter.clone();
            let ended = self.stream.ended();
            let fault = cutter.advance(&mut bytes, ended).is_err();
            let whole = ended && !cutter.is_open();
            let len = if whole { bytes.len() } else { cutter.boundary() };
            if len == 0 && !ended && !fault && bytes.len() < RECORD_MAX {
                self.window.fill(&mut self.stream, (2 * bytes.len()).clamp(SAMPLE_MAX, RECORD_MAX))?;
                continue;
            }
            bytes.truncate(len);
            return Ok(if encoding == UTF_8 { bytes } else { encoding::decode_lossy(encoding, &bytes).into_bytes() });
        }
    }
}

/// The failure of a record that is longer than [`RECORD_MAX`].
pub(super) fn too_long(record: &Header<'_>) -> Failure {
    let found = first(record.raw, record.marks, false);
    let most = RECORD_MAX / (1024 * 1024);
    let (column, why) = if found.open {
        (Some(found.fields), format!("the quote that opens column {} is not closed", found.fields))
    } else {
        (None, "perhaps its line ends are missing".to_owned())
    };
    record.refuse(
        "record_too_long",
        column,
        &format!("a record longer than {most} MiB: {why}"),
        "a record over the limit",
    )
}

fn marks(dialect: &Dialect) -> Marks {
    Marks { delimiter: (dialect.format == Format::Csv).then_some(dialect.delimiter), quote: dialect.quote }
}

/// The first character that is no white space.
fn first_mark(text: &str) -> Option<u8> {
    text.bytes().find(|b| !b.is_ascii_whitespace())
}

/// What a file is whose first bytes are those of a known kind that is no table.
fn known_binary(head: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "a zip archive or an office document; save it as CSV"),
        (b"\xd0\xcf\x11\xe0", "an old office document; save it as CSV"),
        (b"%PDF-", "a PDF document"),
        (b"PAR1", "a Parquet file"),
        (b"\x89PNG", "a PNG image"),
        (b"SQLite format 3\0", "an SQLite database"),
    ];
    kinds.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what)
}
