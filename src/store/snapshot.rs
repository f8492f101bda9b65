//! A copy of the whole database, as it is at one moment, while it goes on being written to.
//!
//! The copy is made by a connection of its own that holds one reading transaction: the writer goes on, and what it
//! commits meanwhile neither shows up in the copy nor makes it begin anew. Meanwhile the write-ahead log cannot be cut.

use super::Store;
use crate::model::{Failure, text};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Pages that are copied between two looks at whether to go on.
const PAGES: i32 = 256;
/// Pause where the database is locked for a moment.
const BUSY: Duration = Duration::from_millis(20);

impl Store {
    /// Writes a copy to a new file and checks all of it. `goes_on` is asked between two steps; it ends the work.
    pub fn snapshot(&self, to: &Path, goes_on: &dyn Fn() -> bool) -> Result<(), Failure> {
        let fault = |e: rusqlite::Error| {
            let why = text::escape(&e.to_string()).into_owned();
            Failure::transient("snapshot", format!("cannot copy the database to {}: {why}", text::path(to)))
        };
        let mut private = File::options();
        private.write(true).create_new(true).mode(0o600);
        private.open(to).map_err(|e| Failure::io("snapshot", "create", to, &e))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let from = Connection::open_with_flags(&self.path, flags).map_err(fault)?;
        from.busy_timeout(Duration::from_secs(5)).map_err(fault)?;
        // From here on it sees one state.
        from.execute_batch("BEGIN").map_err(fault)?;
        from.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(fault)?;
        let mut copy = Connection::open(to).map_err(fault)?;
        let backup = Backup::new(&from, &mut copy).map_err(fault)?;
        loop {
            if !goes_on() {
                return Err(Failure::transient("stopped", "stopped on request"));
            }
            match backup.step(PAGES).map_err(fault)? {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked => std::thread::park_timeout(BUSY),
                _ => {}
            }
        }
        drop(backup);
        drop(from);
        // One file, without a log beside it.
        copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(fault)?;
        let verdict: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(fault)?;
        if verdict == "ok" {
            return Ok(());
        }
        let message = format!("the copy of the database is damaged: {}", text::escape(&verdict));
        Err(Failure::permanent("snapshot_damaged", message))
    }
}
