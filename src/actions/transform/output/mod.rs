//! From columns to bytes, and to files.
