//! The `shiftboss` program.
fn main() {}
