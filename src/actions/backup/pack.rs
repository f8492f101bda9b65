//! Packs a stream on all threads: pieces of one size become frames of their own, and are written in their order. So any
//! number of threads makes the same bytes, and every reader of zstd reads them as one stream.

use super::manifest::Seal;
use crate::model::Desk;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of a piece before it is packed.
pub const PIECE: usize = 4 * 1024 * 1024;
/// Pieces under way beside one for each thread; whoever makes another one packs one first.
pub const AHEAD: usize = 2;

/// Where packed pieces go: a file, its size so far, its hash so far.
struct Sink<'a> {
    out: &'a mut (dyn Write + Send),
    bytes: u64,
    hash: blake3::Hasher,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Pieces that wait for their turn to be written.
    packed: BTreeMap<u64, Vec<u8>>,
    /// Pieces that were made and not yet written.
    under_way: usize,
    next: u64,
    is_writing: bool,
    over: bool,
    error: Option<io::Error>,
    spare: Vec<Vec<u8>>,
}

/// The pieces under way.
struct Packer<'a> {
    state: Mutex<State>,
    changed: Condvar,
    sink: Mutex<Sink<'a>>,
    level: i32,
}

impl Packer<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Packs one piece, and writes whatever is in turn.
    fn pack(&self, n: u64, mut piece: Vec<u8>, packer: &mut zstd::bulk::Compressor<'_>) {
        let packed = packer.compress(&piece);
        piece.clear();
        let mut state = self.state();
        state.spare.push(piece);
        match packed {
            Ok(packed) => drop(state.packed.insert(n, packed)),
            Err(e) => state.error = Some(e),
        }
        while !state.is_writing && state.error.is_none() {
            let next = state.next;
            let Some(packed) = state.packed.remove(&next) else { break };
            state.is_writing = true;
            drop(state);
            let written = self.write(&packed);
            state = self.state();
            state.is_writing = false;
            state.next += 1;
            state.under_way -= 1;
            if let Err(e) = written {
                state.error = Some(e);
            }
            self.changed.notify_all();
        }
        drop(state);
        self.changed.notify_all();
    }

    fn write(&self, packed: &[u8]) -> io::Result<()> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.hash.update(packed);
        sink.bytes += packed.len() as u64;
        sink.out.write_all(packed)
    }

    fn packer(&self) -> io::Result<zstd::bulk::Compressor<'static>> {
        let mut packer = zstd::bulk::Compressor::new(self.level)?;
        packer.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        Ok(packer)
    }

    /// Packs whatever waits until the stream is over.
    fn help(&self) {
        let mut packer = match self.packer() {
            Ok(packer) => packer,
            Err(e) => {
                self.state().error = Some(e);
                self.changed.notify_all();
                return;
            }
        };
        loop {
            let mut state = self.state();
            while state.waiting.is_empty() && !state.over && state.error.is_none() {
                state = self.wait(state);
            }
            let next = if state.error.is_some() { None } else { state.waiting.pop_front() };
            drop(state);
            let Some((n, piece)) = next else { return };
            self.pack(n, piece, &mut packer);
        }
    }

    fn end(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }
}

/// The stream that is packed.
pub struct Stream<'a, 'b> {
    packer: &'a Packer<'b>,
    own: zstd::bulk::Compressor<'static>,
    piece: Vec<u8>,
    made: u64,
    most: usize,
}

impl Stream<'_, '_> {
    fn hand_on(&mut self) -> io::Result<()> {
        let mut state = self.packer.state();
        let fresh = state.spare.pop().unwrap_or_else(|| Vec::with_capacity(PIECE));
        let piece = std::mem::replace(&mut self.piece, fresh);
        state.waiting.push_back((self.made, piece));
        state.under_way += 1;
        self.made += 1;
        drop(state);
        self.packer.changed.notify_all();
        self.wait_for(self.most)
    }

    /// Waits until no more than `most` pieces are under way, and packs what nobody else does meanwhile.
    fn wait_for(&mut self, most: usize) -> io::Result<()> {
        let mut state = self.packer.state();
        while state.under_way > most {
            if let Some(e) = &state.error {
                return Err(io::Error::new(e.kind(), e.to_string()));
            }
            if let Some((n, piece)) = state.waiting.pop_front() {
                drop(state);
                self.packer.pack(n, piece, &mut self.own);
                state = self.packer.state();
            } else {
                state = self.packer.wait(state);
            }
        }
        match &state.error {
            Some(e) => Err(io::Error::new(e.kind(), e.to_string())),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.hand_on()?;
        }
        self.wait_for(0)
    }
}

impl Write for Stream<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(buf.get(..n).unwrap_or_default());
        if self.piece.len() == PIECE {
            self.hand_on()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends the stream for the threads that help, also where the work panics.
struct Ending<'a, 'b>(&'a Packer<'b>);

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Packs what `work` writes, into `out`, on so many threads. `work` runs on the calling thread.
pub fn packed<T: Send, E: From<io::Error> + Send>(
    desk: &dyn Desk,
    threads: usize,
    level: i32,
    out: &mut (dyn Write + Send),
    work: impl FnOnce(&mut Stream<'_, '_>) -> Result<T, E> + Send,
) -> Result<(T, Seal), E> {
    let sink = Mutex::new(Sink { out, bytes: 0, hash: blake3::Hasher::new() });
    let packer = Packer { state: Mutex::default(), changed: Condvar::new(), sink, level };
    let work = Mutex::new(Some(work));
    let result = Mutex::new(None);
    desk.crew(threads, &|n| {
        if n > 0 {
            return packer.help();
        }
        let _ending = Ending(&packer);
        let Some(work) = work.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let made: Result<T, E> = (|| {
            let (own, piece) = (packer.packer()?, Vec::with_capacity(PIECE));
            let mut stream = Stream { packer: &packer, own, piece, made: 0, most: threads + AHEAD };
            let made = work(&mut stream)?;
            stream.finish()?;
            Ok(made)
        })();
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    });
    let made = result.into_inner().unwrap_or_else(PoisonError::into_inner);
    let made = made.unwrap_or_else(|| Err(io::Error::other("nothing was packed").into()))?;
    let sink = packer.sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((made, Seal { bytes: sink.bytes, blake3: sink.hash.finalize().to_hex().to_string() }))
}
