//! Writes the pieces of a transform, in their order: outputs, rejects, and the sums that the report is made of.
//!
//! Only temporary files are written here; they become visible together, or not at all.

use super::checkpoint::State;
use super::chunk::BadRow;
use super::engine::{Settled, blamed};
use super::input::Position;
use super::output::rejects::Rejects;
use super::output::{self, Style};
use super::sink::Write;
use super::spec::{MaxRejects, Spec, Split};
use super::table::{Compression, OnBadRow};
use super::work::{Piece, Spare};
use crate::model::action::{Level, OnExists, OutputFile, Progress};
use crate::model::{Desk, Detail, Failure, Report, text};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most output files held open at once; more are closed and opened again when their turn comes.
const OPEN_MAX: usize = 64;

/// What is written, and where.
pub(super) struct Plan<'a> {
    pub(super) spec: &'a Spec,
    pub(super) settled: &'a Settled,
    pub(super) rejects: &'a Rejects,
    pub(super) target: PathBuf,
    /// The inputs, for messages.
    pub(super) labels: Vec<String>,
    /// What the work is about, and how often it is noted how far it is; none: never.
    pub(super) checkpoints: Option<(String, Duration)>,
}

/// What an earlier attempt left.
pub(super) struct Before {
    pub(super) state: State,
    /// The output, and the rejects if there were any.
    pub(super) outputs: Vec<OutputFile>,
}

/// Writes pieces.
pub(super) struct Writer<'a> {
    plan: Plan<'a>,
    desk: &'a dyn Desk,
    spare: &'a Spare,
    style: (Style, Compression),
    head: Vec<u8>,
    outputs: Vec<Out>,
    /// Order in which outputs were written to, the latest last: those that are open.
    open: Vec<usize>,
    rejects: Option<Out>,
    sums: Sums,
    noted: Instant,
}

#[derive(Default)]
struct Sums {
    rows_in: u64,
    rows_out: u64,
    bad: u64,
    /// The first bad rows, with their file.
    first: Vec<(usize, Detail)>,
    constant: String,
    bytes: (u64, u64),
}

/// An output in the making.
struct Out {
    /// What decides it: a value of the column that splits, or its number.
    key: Option<String>,
    file: Option<File>,
    temp: PathBuf,
    target: PathBuf,
    size: u64,
}

impl<'a> Writer<'a> {
    /// A writer at the beginning, or where an earlier attempt was.
    pub(super) fn open(
        plan: Plan<'a>,
        desk: &'a dyn Desk,
        spare: &'a Spare,
        before: Option<Before>,
    ) -> Result<Self, Failure> {
        let (style, compression) = plan.spec.style.of(&plan.target);
        let mut plain = Vec::new();
        output::header(&plan.settled.output, &style, &mut plain);
        let mut head = Vec::new();
        if compression == Compression::None || plain.is_empty() {
            head = plain;
        } else {
            output::compress(&plain, compression, &mut head)?;
        }
        let mut writer = Self {
            plan,
            desk,
            spare,
            style: (style, compression),
            head,
            outputs: Vec::new(),
            open: Vec::new(),
            rejects: None,
            sums: Sums::default(),
            noted: Instant::now(),
        };
        if let Some(before) = before {
            writer.go_on(before)?;
            return Ok(writer);
        }
        match writer.plan.spec.split {
            Split::None => writer.add(None)?,
            Split::Size(_) => writer.add(Some("1".into()))?,
            Split::By(_) => {}
        }
        Ok(writer)
    }

    /// Takes up the outputs of an earlier attempt, cut back to where it had noted that they were.
    fn go_on(&mut self, before: Before) -> Result<(), Failure> {
        let Before { state, outputs } = before;
        let mut lengths = std::iter::once(state.out).chain(state.rejects);
        for (n, OutputFile { mut file, temp, target }) in outputs.into_iter().enumerate() {
            let size = lengths.next().unwrap_or(0);
            let cut = file.set_len(size).and_then(|()| file.seek(SeekFrom::End(0)));
            cut.map_err(|e| Failure::io("output_write", "write", &target, &e))?;
            let out = Out { key: None, file: Some(file), temp, target, size };
            if n == 0 { self.outputs.push(out) } else { self.rejects = Some(out) }
        }
        if self.outputs.is_empty() || lengths.next().is_some() {
            return Err(Failure::permanent("internal", "an output of the attempt before is missing"));
        }
        [self.sums.rows_in, self.sums.rows_out, self.sums.bad] = state.rows;
        (self.sums.first, self.sums.constant) = (state.first, state.constant);
        let line =
            format!("goes on where the attempt before was cut off, after {}", text::counted(state.rows[0], "row"));
        self.desk.log(Level::Info, &line);
        self.tell();
        Ok(())
    }

    /// Notes how far the work is, now and then. If that cannot be noted, a later attempt starts from further back.
    fn note_place(&mut self, after: Option<Position>) {
        let (Some((identity, every)), Some(after)) = (&self.plan.checkpoints, after) else { return };
        let failing = self.plan.spec.on_bad_row == OnBadRow::Fail && self.sums.bad > 0;
        if failing || self.noted.elapsed() < *every {
            return;
        }
        let mut state = State::new(identity, after);
        state.out = self.outputs.first().map_or(0, |out| out.size);
        state.rejects = self.rejects.as_ref().map(|out| out.size);
        state.rows = [self.sums.rows_in, self.sums.rows_out, self.sums.bad];
        (state.first, state.constant) = (self.sums.first.clone(), self.sums.constant.clone());
        let mut files = self.outputs.iter().chain(&self.rejects).filter_map(|out| out.file.as_ref());
        let synced = files.try_for_each(File::sync_data);
        if let (Ok(()), Some(state)) = (synced, state.write())
            && let Err(failure) = self.desk.checkpoint(&state)
        {
            self.desk.log(Level::Warn, &format!("cannot note how far the work is: {}", failure.message));
        }
        self.noted = Instant::now();
    }

    fn tell(&self) {
        self.desk.progress(Progress {
            bytes: self.sums.bytes.0,
            bytes_total: Some(self.sums.bytes.1).filter(|total| *total > 0),
            rows: self.sums.rows_in,
            rows_out: Some(self.sums.rows_out),
            rejected: self.sums.bad,
        });
    }

    /// How rows are written, and how outputs are packed.
    pub(super) fn style(&self) -> (Style, Compression) {
        self.style.clone()
    }

    fn add(&mut self, key: Option<String>) -> Result<(), Failure> {
        let target = match &key {
            Some(key) => with_part(&self.plan.target, key),
            None => self.plan.target.clone(),
        };
        let mut out = open_output(self.desk, self.plan.spec.on_exists, key, &target)?;
        out.write(&self.head)?;
        self.outputs.push(out);
        self.opened(self.outputs.len() - 1);
        Ok(())
    }

    /// Notes that an output is open, and closes the one that was not written to for longest.
    fn opened(&mut self, at: usize) {
        self.open.retain(|&other| other != at);
        self.open.push(at);
        if self.open.len() > OPEN_MAX {
            let oldest = self.open.remove(0);
            self.outputs[oldest].file = None;
        }
    }

    fn put(&mut self, key: Option<String>, bytes: &[u8]) -> Result<(), Failure> {
        let at = match (&self.plan.spec.split, key) {
            (Split::By(_), Some(key)) => match self.outputs.iter().position(|out| out.key.as_ref() == Some(&key)) {
                Some(at) => at,
                None => {
                    self.add(Some(key))?;
                    self.outputs.len() - 1
                }
            },
            (Split::Size(max), _) => {
                let last = self.outputs.len() - 1;
                let size = self.outputs[last].size;
                if size > self.head.len() as u64 && size + bytes.len() as u64 > *max {
                    self.add(Some((last + 2).to_string()))?;
                }
                self.outputs.len() - 1
            }
            _ => 0,
        };
        self.outputs[at].write(bytes)?;
        if !matches!(self.plan.spec.split, Split::None) {
            self.opened(at);
        }
        Ok(())
    }

    fn note(&mut self, piece: &Piece) -> Result<(), Failure> {
        self.sums.bad += piece.bad;
        for row in piece.first.iter().take(Failure::CAUSES_MAX - self.sums.first.len()) {
            if self.sums.first.is_empty() {
                self.sums.constant.clone_from(&row.constant);
            }
            let detail = self.detail(row);
            self.sums.first.push((piece.file, detail));
        }
        if piece.rejects.is_empty() {
            return Ok(());
        }
        if self.rejects.is_none() {
            let mut out = open_output(self.desk, self.plan.spec.on_exists, None, &rejects_path(&self.plan.target))?;
            // Rejects are UTF-8. Where the task says that its files are not, the mark says it louder.
            let mut head = match self.plan.spec.declared.encoding {
                Some(encoding) if encoding != encoding_rs::UTF_8 => b"\xef\xbb\xbf".to_vec(),
                _ => Vec::new(),
            };
            self.plan.rejects.header(&mut head);
            out.write(&head)?;
            self.rejects = Some(out);
        }
        if let Some(out) = &mut self.rejects {
            out.write(&piece.rejects)?;
        }
        match self.plan.spec.max_rejects {
            Some(MaxRejects::Rows(max)) if self.sums.bad > max => Err(self.too_many(&text::count(max))),
            _ => Ok(()),
        }
    }

    fn detail(&self, row: &BadRow) -> Detail {
        let column_name = row.column.and_then(|n| self.plan.settled.table.columns.get(n - 1)).map(|c| &c.name);
        Detail {
            message: row.reason.clone(),
            line: Some(row.line),
            byte: Some(row.byte),
            column: row.column.map(|n| n as u64),
            column_name: column_name.map(|n| text::cut(n, Failure::RAW_MAX).into_owned()),
            raw: Some(text::cut(&row.raw, Failure::RAW_MAX).into_owned()),
        }
    }

    /// What is wrong with a row, after its file if there are several.
    fn in_file(&self, file: usize, what: String) -> String {
        match self.plan.settled.layout.file_names.get(file) {
            Some(name) if self.plan.labels.len() > 1 => format!("{}: {what}", text::escape(name)),
            _ => what,
        }
    }

    /// The same with its place in front: a failure is told in one line.
    fn placed(&self, file: usize, detail: &Detail) -> Detail {
        let line = detail.line.map(|n| format!("line {}", text::count(n))).unwrap_or_default();
        let column = detail.column_name.as_ref().map(|n| format!(", column {}", text::escape(n))).unwrap_or_default();
        Detail { message: self.in_file(file, format!("{line}{column}: {}", detail.message)), ..detail.clone() }
    }

    fn too_many(&self, max: &str) -> Failure {
        let rejected = text::counted(self.sums.bad, "row");
        self.bad_rows("too_many_rejects", &format!("{rejected} rejected, more than the {max} allowed"))
    }

    /// The failure that bad rows make.
    fn bad_rows(&self, code: &str, what: &str) -> Failure {
        let placed = |(file, detail): &(usize, Detail)| self.placed(*file, detail);
        let causes: Vec<Detail> = self.sums.first.iter().map(placed).collect();
        let (Some((file, _)), Some(first)) = (self.sums.first.first(), causes.first()) else {
            return Failure::permanent(code, what);
        };
        let message = match (code, self.sums.bad) {
            ("bad_row", 1) => first.message.clone(),
            _ => format!("{what}, the first in {}", first.message),
        };
        let mut failure = Failure::permanent(code, message);
        failure.line = first.line;
        failure.column = first.column;
        failure.column_name.clone_from(&first.column_name);
        failure.raw.clone_from(&first.raw);
        failure.causes = causes;
        failure.constant.clone_from(&self.sums.constant);
        blamed(failure, self.plan.labels.get(*file))
    }

    /// The report, or the failure that the bad rows make.
    pub(super) fn finish(mut self) -> Result<Report, Failure> {
        let sums = &self.sums;
        if self.plan.spec.on_bad_row == OnBadRow::Fail && sums.bad > 0 {
            return Err(self.bad_rows("bad_row", &format!("{} bad rows", text::count(sums.bad))));
        }
        if let Some(MaxRejects::Percent(share)) = self.plan.spec.max_rejects {
            #[expect(clippy::cast_precision_loss, reason = "a share of rows, compared with one that a person wrote")]
            let rejected = sums.bad as f64 * 100.0 > share * sums.rows_in as f64;
            if rejected {
                return Err(self.too_many(&format!("{share} % of {}", text::counted(sums.rows_in, "row"))));
            }
        }
        let note = format!("{} in, {} out", text::counted(sums.rows_in, "row"), text::count(sums.rows_out));
        let sums = std::mem::take(&mut self.sums);
        let told = |(file, detail): (usize, Detail)| Detail { message: self.in_file(file, detail.message), ..detail };
        let rejects = sums.first.into_iter().map(told).collect();
        Ok(Report {
            call: None,
            rows: Some(sums.rows_in),
            rows_out: Some(sums.rows_out),
            rejected: sums.bad,
            rejects,
            note: Some(note),
        })
    }
}

impl Write<Result<Piece, Failure>> for Writer<'_> {
    fn write(&mut self, piece: Result<Piece, Failure>) -> Result<(), Failure> {
        let piece = piece.map_err(|failure| blamed(failure, self.plan.labels.first()))?;
        self.sums.rows_in += piece.rows_in;
        self.sums.bytes = self.sums.bytes.max(piece.read);
        self.note(&piece)?;
        if self.plan.spec.on_bad_row != OnBadRow::Fail || self.sums.bad == 0 {
            self.sums.rows_out += piece.rows_out;
            for (key, bytes) in piece.parts {
                self.put(key, &bytes)?;
                self.spare.give_back(bytes);
            }
        }
        self.tell();
        self.note_place(piece.after);
        Ok(())
    }
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let fault = |e: &std::io::Error| Failure::io("output_write", "write", &self.target, e);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let again = OpenOptions::new().append(true).open(&self.temp).map_err(|e| fault(&e))?;
                none.insert(again)
            }
        };
        file.write_all(bytes).map_err(|e| fault(&e))?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

fn open_output(desk: &dyn Desk, on_exists: OnExists, key: Option<String>, target: &Path) -> Result<Out, Failure> {
    let opened = desk.outputs(target, &|_| Vec::new(), on_exists)?.pop();
    let Some(OutputFile { file, temp, target }) = opened else {
        return Err(Failure::permanent("internal", "the desk opened no output"));
    };
    Ok(Out { key, file: Some(file), temp, target, size: 0 })
}

/// The name of a part: `orders.csv.gz` and `KR` make `orders-KR.csv.gz`.
fn with_part(target: &Path, part: &str) -> PathBuf {
    let (stem, endings) = stem_of(target);
    let mut name = stem;
    name.push("-");
    name.push(part);
    name.push(endings);
    target.with_file_name(name)
}

/// Where rejects go: `orders.csv.gz` has them in `orders.rejects.csv`.
fn rejects_path(target: &Path) -> PathBuf {
    let (mut name, _) = stem_of(target);
    name.push(".rejects.csv");
    target.with_file_name(name)
}

/// A file name without its extension and that of its packing, and these.
fn stem_of(target: &Path) -> (OsString, OsString) {
    let name = target.file_name().unwrap_or_default();
    let (stem, packing) = match Compression::by_extension(name) {
        Compression::None => (name.to_owned(), OsString::new()),
        _ => dotted(name),
    };
    let (stem, ending) = dotted(&stem);
    let mut endings = ending;
    endings.push(packing);
    (stem, endings)
}

/// A name's stem, and its extension with the dot.
fn dotted(name: &OsStr) -> (OsString, OsString) {
    let path = Path::new(name);
    let mut ending = OsString::new();
    if let Some(extension) = path.extension() {
        ending.push(".");
        ending.push(extension);
    }
    (path.file_stem().unwrap_or_default().to_owned(), ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_rejects_stand_beside_the_output() {
        let cases = [
            ("/o/a.csv", "/o/a-KR.csv", "/o/a.rejects.csv"),
            ("/o/a.b.csv.gz", "/o/a.b-KR.csv.gz", "/o/a.b.rejects.csv"),
            ("/o/a", "/o/a-KR", "/o/a.rejects.csv"),
            ("/o/a.zst", "/o/a-KR.zst", "/o/a.rejects.csv"),
        ];
        for (target, part, rejects) in cases {
            assert_eq!(with_part(Path::new(target), "KR"), Path::new(part));
            assert_eq!(rejects_path(Path::new(target)), Path::new(rejects));
        }
    }
}
