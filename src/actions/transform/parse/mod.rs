//! From a chunk to columns.
