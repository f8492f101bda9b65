//! Where a chunk may end, for each way in which records are written.

use super::elements::{Elements, Fault};
use super::records::{Marks, Scan};

/// The search for the last end of a record, in bytes that start with one and become more.
#[derive(Clone, Debug)]
pub(super) enum Cutter {
    /// Delimited text, or lines.
    Records(Marks, Scan),
    /// Elements of a JSON array, which become lines.
    Elements(Elements),
}

impl Cutter {
    /// A cutter for delimited text, or for lines.
    pub(super) fn records(marks: Marks) -> Self {
        Self::Records(marks, Scan::default())
    }

    /// A cutter before a JSON array.
    pub(super) fn elements() -> Self {
        Self::Elements(Elements::new())
    }

    /// Goes on to the end of `bytes`; `ended`: nothing follows them.
    pub(super) fn advance(&mut self, bytes: &mut [u8], ended: bool) -> Result<(), Fault> {
        match self {
            Self::Records(marks, scan) => {
                scan.advance(bytes, *marks, ended);
                Ok(())
            }
            Self::Elements(elements) => elements.advance(bytes),
        }
    }

    /// Behind the last record that is whole, or 0.
    pub(super) fn boundary(&self) -> usize {
        match self {
            Self::Records(_, scan) => scan.boundary,
            Self::Elements(elements) => elements.boundary,
        }
    }

    /// Starts anew behind the boundary.
    pub(super) fn restart(&mut self) {
        match self {
            Self::Records(_, scan) => *scan = Scan::default(),
            Self::Elements(elements) => elements.restart(),
        }
    }

    /// Whether what is behind the boundary is no whole record even at the end of the file.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Records(_, scan) => scan.quoted,
            Self::Elements(_) => true,
        }
    }

    /// Whether the array has ended that is cut.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Elements(elements) if elements.is_done())
    }

    /// The bytes that mean something in delimited text.
    pub(super) fn marks(&self) -> Option<Marks> {
        match self {
            Self::Records(marks, _) => Some(*marks),
            Self::Elements(_) => None,
        }
    }
}
