//! Brings files under control and puts them where they belong.
//!
//! [`dir`] is the ground: every operation is relative to an open folder and follows no link. [`names`] says how a
//! file is called when its name is taken, and how temporary files are called. [`settle`] decides when a file that
//! landed is complete, and [`lease`] asks the kernel whether somebody still writes to it.

pub mod dir;
pub mod folders;
pub mod lease;
pub mod names;
pub mod place;
pub mod reserve;
pub mod settle;
