//! `transform`: rewrites tables of any size by a SQL statement, on all cores, in bounded memory, in the order of the input.
//!
//! The input is cut into chunks of whole records (`input`). Workers take a chunk each, read its columns (`parse`), hold
//! the checks against them and evaluate the statement (`sql`), and write the result as text (`output`). One place puts
//! the pieces into the order of the input again (`engine`). What a chunk becomes depends on the chunk alone, and how
//! chunks are cut depends on the bytes alone: the output is the same whatever the number of workers.
//!
//! It refuses to guess: types are settled before the first row, and a row that does not fit is named, never bent.

pub mod chunk;
pub mod input;
pub mod output;
pub mod parse;
pub mod sql;
pub mod table;
