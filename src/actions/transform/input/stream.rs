//! A file as it reads when it is unpacked and, where its encoding asks for that, decoded.

use super::disk::Disk;
use super::recode::Recoder;
use super::unpack::Unpacked;
use crate::model::Failure;

/// Text of a file, front to back.
pub(super) struct Stream {
    unpacked: Unpacked,
    recoder: Option<Recoder>,
    ended: bool,
}

impl Stream {
    /// Nothing is decoded yet.
    pub(super) fn new(unpacked: Unpacked) -> Self {
        Self { unpacked, recoder: None, ended: false }
    }

    /// Decodes from here on.
    pub(super) fn recode(&mut self, recoder: Recoder) {
        self.recoder = Some(recoder);
        self.ended = false;
    }

    /// The file below.
    pub(super) fn disk(&self) -> &Disk {
        self.unpacked.disk()
    }

    /// Whether its bytes are those of the file.
    pub(super) fn is_raw(&self) -> bool {
        self.recoder.is_none() && self.unpacked.is_plain()
    }

    /// Goes to a byte of the file, if its bytes are those of the file.
    pub(super) fn seek(&mut self, at: u64) {
        if self.recoder.is_none()
            && let Some(disk) = self.unpacked.plain_mut()
        {
            disk.seek(at);
            self.ended = false;
        }
    }

    /// Whether the end was seen.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Fills `out` as far as there is text, whatever single reads return.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        let mut filled = 0;
        while filled < out.len() && !self.ended {
            let rest = &mut out[filled..];
            let n = match &mut self.recoder {
                None => self.unpacked.read(rest)?,
                Some(recoder) => recoder.read(rest, |raw| self.unpacked.read(raw))?,
            };
            filled += n;
            self.ended = n == 0;
        }
        Ok(filled)
    }
}
