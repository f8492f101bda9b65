//! The outer rings of tests, in one binary: the rules of the house, the command line, the supervisor over its socket,
//! and the whole program in a pseudo-terminal. Nothing here needs root, a network or an installed service.

mod cli;
mod daemon;
mod pty;
mod support;
mod tidy;
