//! `transform` from the outside: the one-shot command, the action behind a watched folder, what bad input becomes,
//! what a file does that changes meanwhile, and what is left when the program is killed in the middle.

mod bad_input;
mod changed;
mod folder;
mod killed;
mod oneshot;
#[cfg(debug_assertions)] // in a release build there are no crash points
mod resumed;

use std::fmt::Write as _;

/// The statement of the system that this action replaces.
const SQL: &str = "SELECT id, value, CASE WHEN value > 0 THEN value * 2 ELSE 0 END AS processed FROM input";

/// A table of so many rows, `id` from 1 and values below and above 0.
fn table(rows: u64) -> String {
    let mut text = String::from("id,value\n");
    for id in 1..=rows {
        writeln!(text, "{id},{}", value(id)).unwrap();
    }
    text
}

fn value(id: u64) -> i64 {
    i64::try_from(id * 7919 % 2001).unwrap() - 1000
}

/// What [`SQL`] makes of it.
fn processed(rows: u64) -> String {
    let mut text = String::from("id,value,processed\n");
    for id in 1..=rows {
        let value = value(id);
        writeln!(text, "{id},{value},{}", if value > 0 { value * 2 } else { 0 }).unwrap();
    }
    text
}
