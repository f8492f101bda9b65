//! What one chunk becomes: its good rows as output, its bad ones by name. Depends on the chunk alone.

use super::chunk::BadRow;
use super::engine::{Settled, Taken};
use super::input::Position;
use super::output::rejects::{Rejects, is_unmended};
use super::output::unique::Duplicate;
use super::output::{self, Style};
use super::parse::{Parsed, Parser};
use super::spec::Spec;
use super::table::{Compression, OnBadRow};
use crate::model::{Failure, text};
use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_schema::ArrowError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What one chunk became.
#[derive(Default)]
pub(super) struct Piece {
    /// Which input file it is of.
    pub(super) file: usize,
    /// The good rows, where the statement needs more of them than one chunk has.
    pub(super) batches: Vec<RecordBatch>,
    /// Output by file: the value that decides the file, if one does, and its bytes.
    pub(super) parts: Vec<(Option<String>, Vec<u8>)>,
    /// Rows read.
    pub(super) rows_in: u64,
    /// Rows written.
    pub(super) rows_out: u64,
    /// Rows that were not processed.
    pub(super) bad: u64,
    /// The first of them.
    pub(super) first: Vec<BadRow>,
    /// All of them as lines of the rejects, where there is such a file.
    pub(super) rejects: Vec<u8>,
    /// Bytes of the files read so far, and in all.
    pub(super) read: (u64, u64),
    /// Where the next chunk starts, where a later attempt could go on there.
    pub(super) after: Option<Position>,
}

/// A row that is bad only as a whole: what it was read as is good.
struct Late {
    row: usize,
    column: Option<usize>,
    reason: String,
    constant: String,
}

/// Turns chunks into pieces; shared by all workers.
pub(super) struct Work<'a> {
    spec: &'a Spec,
    settled: &'a Settled,
    style: Style,
    compression: Compression,
    rejects: &'a Rejects,
    spare: &'a Spare,
    /// Set when a bad row has failed the job: from then on rows are only counted.
    failing: AtomicBool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        settled: &'a Settled,
        (style, compression): (Style, Compression),
        rejects: &'a Rejects,
        spare: &'a Spare,
    ) -> Self {
        Self { spec, settled, style, compression, rejects, spare, failing: AtomicBool::new(false) }
    }

    /// The piece of a chunk, and the chunk's buffer for the next one.
    pub(super) fn piece(&self, taken: Taken, parser: &mut Parser<'a>) -> (Result<Piece, Failure>, Vec<u8>) {
        let chunk = match taken.chunk {
            Ok(chunk) => chunk,
            Err(failure) => return (Err(failure), Vec::new()),
        };
        let mut piece = Piece { file: chunk.file, read: taken.read, after: taken.after, ..Piece::default() };
        let mut from = Some(0);
        while let Some(at) = from {
            let parsed = parser.parse(&chunk, at);
            if let Err(failure) = self.add(&parsed, &taken.repeats, &mut piece) {
                return (Err(failure), Vec::new());
            }
            from = parsed.rest();
        }
        (self.packed(piece), chunk.bytes)
    }

    fn add(&self, parsed: &Parsed<'_>, repeats: &[Duplicate], piece: &mut Piece) -> Result<(), Failure> {
        let mut late = Vec::new();
        let mut rows = Rows { whole: parsed.batch().clone(), kept: None };
        if let Some(data) = self.settled.rejects {
            self.drop_unmended(parsed, data, &mut rows, &mut late);
        }
        if !repeats.is_empty() {
            self.drop_repeats(parsed, repeats, &mut rows, &mut late);
        }
        for (i, (shown, _)) in self.spec.expect.iter().enumerate() {
            self.hold(i, shown, &mut rows, &mut late)?;
        }
        let mut out = Vec::new();
        let fails = self.spec.on_bad_row == OnBadRow::Fail;
        if self.settled.is_over_rows() {
            out.push(rows.current()?);
        } else if !fails || !self.failing.load(Ordering::Relaxed) {
            self.run(&rows, &mut out, &mut late)?;
        }
        piece.rows_in += parsed.rows();
        let bad = parsed.bad_count() + late.len();
        if bad > 0 {
            piece.bad += bad as u64;
            late.sort_by_key(|late| late.row);
            self.name(parsed, late, piece);
        }
        if fails && piece.bad > 0 {
            self.failing.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if self.settled.is_over_rows() {
            piece.batches.append(&mut out);
            return Ok(());
        }
        piece.rows_out += out.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        self.write(&out, &mut piece.parts)
    }

    /// Puts bad rows into words, those that could not be read and those that are bad as a whole, in their order.
    fn name(&self, parsed: &Parsed<'_>, late: Vec<Late>, piece: &mut Piece) {
        let writes = self.spec.on_bad_row != OnBadRow::Fail;
        let file = self.settled.layout.file_names.get(piece.file).map_or("", String::as_str);
        let mut late = late.into_iter().peekable();
        let mut unread = parsed.bad_rows().peekable();
        while writes || piece.first.len() < Failure::CAUSES_MAX {
            let is_late = match (late.peek(), unread.peek()) {
                (Some(late), Some(unread)) => parsed.byte(late.row) < unread.byte,
                (Some(_), None) => true,
                (None, _) => false,
            };
            let row = if is_late {
                late.next().map(|late| parsed.bad_row(late.row, late.column, late.reason, late.constant))
            } else {
                unread.next()
            };
            let Some(row) = row else { return };
            if writes {
                self.rejects.write(&row, file, &mut piece.rejects);
            }
            if piece.first.len() < Failure::CAUSES_MAX {
                piece.first.push(row);
            }
        }
    }

    /// Rows of a rejects file that never fell into fields, and that nobody has mended: they are still no rows.
    fn drop_unmended(&self, parsed: &Parsed<'_>, data: usize, rows: &mut Rows, late: &mut Vec<Late>) {
        let dialect = self.settled.layout.dialect;
        let mut reader = csv::ReaderBuilder::new();
        reader.has_headers(false).delimiter(dialect.delimiter).quote(dialect.quote.unwrap_or(b'"'));
        rows.keep(|row| {
            let whole = parsed.bad_row(row, None, String::new(), String::new());
            if whole.fields.iter().any(|field| !field.is_empty()) {
                return true;
            }
            let record = reader.from_reader(whole.raw.as_bytes()).into_records().next();
            let is_unmended = record
                .is_some_and(|record| record.is_ok_and(|record| is_unmended(&record.iter().collect::<Vec<_>>(), data)));
            if is_unmended {
                let reason = "not mended: the fields of the row are still empty".to_owned();
                late.push(Late { row, column: None, constant: reason.clone(), reason });
            }
            !is_unmended
        });
    }

    fn drop_repeats(&self, parsed: &Parsed<'_>, repeats: &[Duplicate], rows: &mut Rows, late: &mut Vec<Late>) {
        let names = self.spec.unique.join(", ");
        let column = self.settled.unique.first().map(|&i| self.settled.layout.wanted[i]);
        let column = column.filter(|_| self.spec.unique.len() == 1);
        rows.keep(|row| {
            let byte = parsed.byte(row);
            let Ok(at) = repeats.binary_search_by_key(&byte, |repeat| repeat.place.byte) else { return true };
            let first = &repeats[at].first;
            let files = &self.settled.layout.file_names;
            let file = match files.get(first.file as usize) {
                Some(name) if files.len() > 1 => format!(" of {}", text::escape(name)),
                _ => String::new(),
            };
            let reason = format!("the same {names} as the row at byte {}{file}", text::count(first.byte));
            late.push(Late { row, column, reason, constant: format!("the same {names} as another row") });
            false
        });
    }

    /// Holds one condition against every row that is still there. NULL passes, as in a CHECK of SQL.
    fn hold(&self, check: usize, shown: &str, rows: &mut Rows, late: &mut Vec<Late>) -> Result<(), Failure> {
        let batch = self.inputs(&rows.current()?)?;
        let mut verdicts = Vec::with_capacity(batch.num_rows());
        judge(&batch, 0, batch.num_rows(), &|slice| self.settled.program.check(check, slice), &mut verdicts);
        if verdicts.iter().all(Verdict::is_good) {
            return Ok(());
        }
        let mut verdicts = verdicts.into_iter();
        rows.keep(|row| {
            let reason = match verdicts.next() {
                None | Some(Verdict::Good) => return true,
                Some(Verdict::Bad) => format!("not as expected: {shown}"),
                Some(Verdict::Error(error)) => format!("{shown}: {error}"),
            };
            late.push(Late { row, column: None, reason, constant: format!("not as expected: {shown}") });
            false
        });
        Ok(())
    }

    /// Runs the statement. Where it fails, both halves of the rows are tried alone, down to the row that is at fault.
    fn run(&self, rows: &Rows, out: &mut Vec<RecordBatch>, late: &mut Vec<Late>) -> Result<(), Failure> {
        let batch = self.inputs(&rows.current()?)?;
        let mut open = vec![(0, batch.num_rows())];
        while let Some((from, to)) = open.pop() {
            match self.settled.program.run(&batch.slice(from, to - from)) {
                Ok(done) => out.push(done),
                Err(error) if to - from <= 1 => {
                    let reason = told(&error);
                    let constant = text::constant_part(&reason);
                    late.push(Late { row: rows.place(from), column: None, reason, constant });
                }
                Err(_) => {
                    let middle = from + (to - from) / 2;
                    open.push((middle, to));
                    open.push((from, middle));
                }
            }
        }
        Ok(())
    }

    /// The columns that the program reads, of those that were read for any reason.
    fn inputs(&self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        if self.settled.inputs.len() == batch.num_columns() {
            return Ok(batch.clone());
        }
        batch.project(&self.settled.inputs).map_err(|e| internal(&e))
    }

    /// Rows of the result as output, by file.
    pub(super) fn write(&self, out: &[RecordBatch], parts: &mut Vec<(Option<String>, Vec<u8>)>) -> Result<(), Failure> {
        for batch in out.iter().filter(|batch| batch.num_rows() > 0) {
            let Some(column) = self.settled.split else {
                if parts.is_empty() {
                    parts.push((None, self.spare.take()));
                }
                output::format(batch, &self.style, &mut parts[0].1)?;
                continue;
            };
            for (value, rows) in output::by_column(batch, column)? {
                let name = output::part_name(value.as_deref());
                let at = parts.iter().position(|(known, _)| known.as_ref() == Some(&name)).unwrap_or_else(|| {
                    parts.push((Some(name), Vec::new()));
                    parts.len() - 1
                });
                output::format(&rows, &self.style, &mut parts[at].1)?;
            }
        }
        Ok(())
    }

    /// The same piece with its parts packed, each as a frame of its own.
    pub(super) fn packed(&self, mut piece: Piece) -> Result<Piece, Failure> {
        if self.compression != Compression::None {
            for (_, bytes) in &mut piece.parts {
                let mut packed = self.spare.take();
                output::compress(bytes, self.compression, &mut packed)?;
                self.spare.give_back(std::mem::replace(bytes, packed));
            }
        }
        Ok(piece)
    }
}

/// Buffers that were written, so that the next pieces need not ask for memory.
#[derive(Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}

/// Buffers kept for the next pieces; more are freed.
const SPARE_MAX: usize = 16;

/// What became of a row under one condition.
enum Verdict {
    Good,
    Bad,
    Error(String),
}

impl Verdict {
    fn is_good(&self) -> bool {
        matches!(self, Self::Good)
    }
}

/// Asks about rows all at once, and about halves of them where that fails.
fn judge(
    batch: &RecordBatch,
    from: usize,
    len: usize,
    ask: &dyn Fn(&RecordBatch) -> Result<BooleanArray, ArrowError>,
    verdicts: &mut Vec<Verdict>,
) {
    match ask(&batch.slice(from, len)) {
        Ok(mask) => verdicts
            .extend((0..len).map(|i| if mask.is_null(i) || mask.value(i) { Verdict::Good } else { Verdict::Bad })),
        Err(error) if len <= 1 => verdicts.push(Verdict::Error(told(&error))),
        Err(_) => {
            judge(batch, from, len / 2, ask, verdicts);
            judge(batch, from + len / 2, len - len / 2, ask, verdicts);
        }
    }
}

/// The rows of a chunk that are still good.
struct Rows {
    whole: RecordBatch,
    /// Which of them, in their order; none: all.
    kept: Option<Vec<usize>>,
}

impl Rows {
    /// Keeps the rows that `is_good` says; it is asked in their order.
    fn keep(&mut self, mut is_good: impl FnMut(usize) -> bool) {
        let kept = match self.kept.take() {
            None => (0..self.whole.num_rows()).filter(|&row| is_good(row)).collect(),
            Some(kept) => kept.into_iter().filter(|&row| is_good(row)).collect(),
        };
        self.kept = Some(kept);
    }

    /// They as a batch.
    fn current(&self) -> Result<RecordBatch, Failure> {
        let Some(kept) = &self.kept else { return Ok(self.whole.clone()) };
        let indexes = UInt64Array::from_iter_values(kept.iter().map(|&row| row as u64));
        // A batch without columns has rows all the same.
        let columns =
            arrow_select::take::take_arrays(self.whole.columns(), &indexes, None).map_err(|e| internal(&e))?;
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        RecordBatch::try_new_with_options(self.whole.schema(), columns, &options).map_err(|e| internal(&e))
    }

    /// Where a row of that batch stands among all.
    fn place(&self, row: usize) -> usize {
        self.kept.as_ref().and_then(|kept| kept.get(row).copied()).unwrap_or(row)
    }
}

/// What a kernel could not do, in the words of this program.
fn told(error: &ArrowError) -> String {
    let words = super::sql::reason(error);
    let mut letters = words.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    text::escape(&first.into_iter().chain(letters).collect::<String>()).into_owned()
}

fn internal(error: &ArrowError) -> Failure {
    Failure::permanent("internal", format!("the engine failed: {error}"))
}
