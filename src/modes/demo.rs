//! To be written.

use crate::cli::Out;
use crate::cli::args::Demo;
use crate::clock::Clock;
use crate::error::{Exit, Fatal};
use std::sync::Arc;

/// To be written.
pub fn run(_args: &Demo, _out: &mut Out, _clock: &Arc<dyn Clock>) -> Result<Exit, Fatal> {
    Ok(Exit::Ok)
}
