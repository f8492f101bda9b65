//! The outer rings of tests, in one binary: the real program from outside. Nothing here needs root, a network or an
//! installed service.

mod crash;
mod kill;
mod places;
mod proof;
