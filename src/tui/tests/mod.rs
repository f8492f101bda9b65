//! Tests of the whole dashboard: screens as text, keys as commands, hostile data.

pub mod fixture;
mod fuzz;
mod keys;
mod screens;
