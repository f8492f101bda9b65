//! The `shiftboss` program: parse, call the library, turn the answer into an exit code.

use shiftboss::{cli, modes};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse() {
        Ok(args) => modes::run(args).into(),
        Err(exit) => exit.into(),
    }
}
