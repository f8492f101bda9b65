//! Tests of the whole dashboard: screens as text, keys as commands, hostile data.

mod bench;
mod calls;
pub mod fixture;
mod fuzz;
mod keys;
mod outlook;
mod planned;
mod screens;
