//! Sorts more records than fit into memory: sorted segments, spilled as sorted runs, merged in rounds.

use super::run::{Folder, Run, RunReader};
use super::segment::{Record, Segment, place_of};
use super::{BUDGET_MIN, Check};
use crate::model::Failure;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

/// Records that are merged between two questions whether to stop: about a millisecond.
const ASK_EVERY: u32 = 8 * 1024;

/// Segments that the memory for records has room for, whatever their keys are.
const SEGMENTS_MIN: usize = 8;

/// What a finder may take.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Memory for keys before they are spilled.
    pub(super) keys: usize,
    /// Memory for duplicates before they are spilled.
    pub(super) places: usize,
    /// Buffer of a run that is read or written.
    pub(super) buffer: usize,
    /// Records that make a segment.
    pub(super) segment: usize,
    /// Most runs that are open at the same time.
    pub(super) fan: usize,
}

impl Limits {
    /// Most runs that are read at the same time; with more of them, some are made one first.
    const FAN: usize = 64;
    /// Records of a segment: sorted in about ten milliseconds, so that a stop does not wait for it.
    const SEGMENT: usize = 64 * 1024;
    /// Largest buffer of a run; more is no faster.
    const BUFFER_MAX: usize = 256 * 1024;

    /// Shares out a budget: half for keys, a quarter for duplicates, a quarter for the buffers of files.
    pub(super) fn new(budget: usize) -> Self {
        let budget = budget.max(BUDGET_MIN);
        let buffer = (budget / 4 / (Self::FAN + 2)).min(Self::BUFFER_MAX);
        Self { keys: budget / 2, places: budget / 4, buffer, segment: Self::SEGMENT, fan: Self::FAN }
    }
}

/// Takes records in any order.
#[derive(Debug)]
pub(super) struct Sorter {
    folder: Arc<Folder>,
    budget: usize,
    buffer: usize,
    fan: usize,
    segment: usize,
    segments: Vec<Segment>,
    held: usize,
    /// The shortest first.
    runs: VecDeque<Run>,
}

impl Sorter {
    /// A sorter that holds at most `budget` bytes of records.
    pub(super) fn new(folder: &Arc<Folder>, budget: usize, limits: &Limits) -> Self {
        Self {
            folder: Arc::clone(folder),
            budget,
            buffer: limits.buffer,
            fan: limits.fan.max(2),
            segment: limits.segment,
            segments: Vec::new(),
            held: 0,
            runs: VecDeque::new(),
        }
    }

    /// Bytes of records that it holds.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether a segment should be added rather than grow: it is sorted at once, and counts from then on.
    pub(super) fn is_enough(&self, segment: &Segment) -> bool {
        segment.len() >= self.segment || segment.held() >= self.budget / SEGMENTS_MIN
    }

    /// Adds records.
    pub(super) fn add(&mut self, mut segment: Segment, check: Check<'_>) -> Result<(), Failure> {
        if segment.len() == 0 {
            return Ok(());
        }
        segment.sort();
        self.held += segment.held();
        self.segments.push(segment);
        if self.held > self.budget {
            self.spill(check)?;
        }
        Ok(())
    }

    /// Writes what is in memory as a run.
    fn spill(&mut self, check: Check<'_>) -> Result<(), Failure> {
        let streams = std::mem::take(&mut self.segments).into_iter().map(Stream::memory).collect();
        self.held = 0;
        let run = self.write(Merge::new(streams)?, check)?;
        self.runs.push_back(run);
        Ok(())
    }

    fn write(&self, mut merge: Merge, check: Check<'_>) -> Result<Run, Failure> {
        check()?;
        let mut writer = self.folder.run(self.buffer)?;
        let mut record = Record::default();
        while merge.next(&mut record, check)? {
            writer.write(&record)?;
        }
        writer.finish()
    }

    fn open(&mut self, count: usize) -> Result<Vec<Stream>, Failure> {
        let count = count.min(self.runs.len());
        self.runs.drain(..count).map(|run| Ok(Stream::file(RunReader::open(run, self.buffer)?))).collect()
    }

    /// All records in order.
    pub(super) fn finish(mut self, check: Check<'_>) -> Result<Merge, Failure> {
        while self.runs.len() > self.fan {
            // No more than it takes: every record that is merged here is written once more.
            let count = self.fan.min(self.runs.len() - self.fan + 1);
            let merge = Merge::new(self.open(count)?)?;
            let run = self.write(merge, check)?;
            self.runs.push_back(run);
        }
        let mut streams: Vec<_> = std::mem::take(&mut self.segments).into_iter().map(Stream::memory).collect();
        streams.extend(self.open(usize::MAX)?);
        let mut merge = Merge::new(streams)?;
        merge.folder = Some(Arc::clone(&self.folder));
        Ok(merge)
    }
}

/// Records in order, and the one that is next.
#[derive(Debug)]
struct Stream {
    from: From,
    head: Record,
}

#[derive(Debug)]
enum From {
    Memory(Segment, usize),
    File(RunReader),
}

impl Stream {
    fn memory(segment: Segment) -> Self {
        Self { from: From::Memory(segment, 0), head: Record::default() }
    }

    fn file(reader: RunReader) -> Self {
        Self { from: From::File(reader), head: Record::default() }
    }

    /// Goes to the next record. False: there is none.
    fn advance(&mut self) -> Result<bool, Failure> {
        match &mut self.from {
            From::Memory(segment, next) => {
                let Some((order, key, place)) = segment.get(*next) else { return Ok(false) };
                *next += 1;
                self.head.order = order;
                self.head.key.clear();
                self.head.key.extend_from_slice(key);
                self.head.place = place_of(place);
                Ok(true)
            }
            From::File(reader) => reader.read(&mut self.head),
        }
    }
}

/// Merges sorted streams into one.
#[derive(Debug)]
pub(super) struct Merge {
    streams: Vec<Stream>,
    /// A heap of the streams with a next record, the least on top; with its order, which decides most comparisons.
    heap: Vec<(u64, usize)>,
    asked: u32,
    /// Kept while its runs are read.
    folder: Option<Arc<Folder>>,
}

impl Merge {
    fn new(mut streams: Vec<Stream>) -> Result<Self, Failure> {
        let mut heap = Vec::with_capacity(streams.len());
        for (i, stream) in streams.iter_mut().enumerate() {
            if stream.advance()? {
                heap.push((stream.head.order, i));
            }
        }
        let mut merge = Self { streams, heap, asked: 0, folder: None };
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sink(at);
        }
        Ok(merge)
    }

    /// The next record, exchanged for what `record` holds. False: there is none.
    pub(super) fn next(&mut self, record: &mut Record, check: Check<'_>) -> Result<bool, Failure> {
        self.asked += 1;
        if self.asked >= ASK_EVERY {
            self.asked = 0;
            check()?;
        }
        let Some(&(_, i)) = self.heap.first() else { return Ok(false) };
        let stream = &mut self.streams[i];
        std::mem::swap(record, &mut stream.head);
        if stream.advance()? {
            self.heap[0].0 = stream.head.order;
        } else {
            self.heap.swap_remove(0);
        }
        self.sink(0);
        Ok(true)
    }

    /// Moves an element of the heap down to where it belongs.
    fn sink(&mut self, mut at: usize) {
        loop {
            let children = 2 * at + 1..self.heap.len().min(2 * at + 3);
            let least = children.reduce(|a, b| if self.is_less(b, a) { b } else { a });
            match least {
                Some(child) if self.is_less(child, at) => self.heap.swap(child, at),
                _ => return,
            }
            at = least.unwrap_or(at);
        }
    }

    fn is_less(&self, a: usize, b: usize) -> bool {
        let ((a_order, a), (b_order, b)) = (self.heap[a], self.heap[b]);
        match a_order.cmp(&b_order) {
            Ordering::Equal => {
                let (a, b) = (&self.streams[a].head, &self.streams[b].head);
                (&a.key, a.place) < (&b.key, b.place)
            }
            decided => decided == Ordering::Less,
        }
    }
}
