//! From files to chunks of whole records.
