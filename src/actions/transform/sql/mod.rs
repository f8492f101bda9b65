//! From a statement to a program on columns.
