//! The order of ends: by time (at most the T that first saw it), then by creation, then by id.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Row as SqlRow, ToSql};

/// The id of a task as it is stored; numbers before texts, as SQLite sorts them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum TaskKey {
    Number(i64),
    Text(Box<str>),
}

/// The end of a task, in the order of ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    /// `ended_by` of the row.
    pub(super) ended: i64,
    pub(super) created: i64,
    pub(super) id: TaskKey,
}

/// A row of an asset that has ended, for the retention.
pub(super) struct EndedRow {
    pub(super) kind: i64,
    pub(super) status: i64,
    pub(super) end: End,
}

pub(super) fn read_end(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<End> {
    Ok(End { ended: row.get(at)?, created: row.get(at + 1)?, id: read_key(row, at + 2)? })
}

pub(in super::super) fn read_key(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<TaskKey> {
    Ok(match row.get_ref(at)? {
        ValueRef::Integer(number) => TaskKey::Number(number),
        other => TaskKey::Text(other.as_str()?.into()),
    })
}

// === impl TaskKey ===

impl ToSql for TaskKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}
