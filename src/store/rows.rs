//! Conversions between rows and the vocabulary.

use crate::model::job::{Facts, JobFile, Move, MoveKind};
use crate::model::ledger::StoreError;
use crate::model::{JobId, JobState, Millis, RunId};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// `job_file.dir` of an input.
pub(super) const IN: i64 = 0;
/// `job_file.dir` of an output.
pub(super) const OUT: i64 = 1;
/// `job_file.dir` of an original that succeeded.
pub(super) const PROCESSED: i64 = 2;
/// `job_file.dir` of an original that failed.
pub(super) const FAILED: i64 = 3;
/// `job_file.dir` of an error record.
pub(super) const RECORD: i64 = 4;

/// Slot of `count` for jobs that wait after a failed attempt.
pub(super) const RETRY_SLOT: i64 = 8;

macro_rules! as_integer {
    ($($t:ident),*) => {$(
        impl ToSql for $t {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.0))
            }
        }
        impl FromSql for $t {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map($t)
            }
        }
    )*};
}
as_integer!(JobId, RunId, Millis);

impl ToSql for JobState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.code()))
    }
}

impl FromSql for JobState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let code = i64::column_result(value)?;
        Self::from_code(code).ok_or(FromSqlError::OutOfRange(code))
    }
}

/// Bytes of a path, as they are stored.
pub(super) fn blob(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// A path from its bytes.
pub(super) fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// An unsigned number from SQLite's signed one, bit for bit.
pub(super) const fn unsigned(n: i64) -> u64 {
    n.cast_unsigned()
}

/// A number for SQLite from an unsigned one, bit for bit.
pub(super) const fn signed(n: u64) -> i64 {
    n.cast_signed()
}

/// A size or a number of records, cut at what SQLite can add and compare.
pub(super) fn amount(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Columns `root, path, name, dev, ino, size, mtime_ns` starting at `at`; none if `root` is null.
pub(super) fn job_file(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<JobFile>> {
    let Some(root) = row.get::<_, Option<Vec<u8>>>(at)? else { return Ok(None) };
    Ok(Some(JobFile {
        root: path(root),
        path: path(row.get(at + 1)?),
        name: OsString::from_vec(row.get(at + 2)?),
        facts: Facts {
            dev: unsigned(row.get::<_, Option<i64>>(at + 3)?.unwrap_or(0)),
            ino: unsigned(row.get(at + 4)?),
            size: unsigned(row.get(at + 5)?),
            mtime_ns: row.get(at + 6)?,
            nlink: 1,
        },
    }))
}

/// Columns `seq, src, dst, ino, kind` of a move.
pub(super) fn move_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Move> {
    let kind: i64 = row.get(4)?;
    Ok(Move {
        seq: row.get(0)?,
        src: path(row.get(1)?),
        dst: path(row.get(2)?),
        ino: unsigned(row.get(3)?),
        kind: MoveKind::from_code(kind).ok_or_else(|| {
            rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Integer, "unknown kind of move".into())
        })?,
    })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::Paused(error.to_string())
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Paused(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Fault(error.to_string()),
        }
    }
}
