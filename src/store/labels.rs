//! Ids of kinds and statuses, and the limits on how many there can be.
//!
//! What a kind is stored as is decided when it is first seen, so that a series never changes its meaning. Beyond
//! `max_kinds` the type becomes `other`; beyond `max_categories` the category does as well. The table stays bounded
//! whatever the API sends.

use std::collections::HashMap;

use rusqlite::{Connection, Row};

use super::checksum::{checksum, verify};
use super::status::StatusId;
use super::{Result, Rules};
use crate::task::{Label, Status};

/// Unknown statuses that are stored under their own word. Clumio documents six statuses in all, so more than this is a
/// fault, not a vocabulary.
const MAX_UNKNOWN_STATUSES: usize = 20;

/// The ids before it are those of the known statuses.
const FIRST_UNKNOWN_STATUS: i64 = 6;

/// The labels of one account, for the time of one transaction: after a rollback, ids may be gone.
pub(super) struct Labels {
    account: i64,
    max_categories: usize,
    max_kinds: usize,
    kinds: HashMap<Label, HashMap<Label, i64>>,
    unknown: HashMap<Label, StatusId>,
}

// === impl Labels ===

impl Labels {
    pub(super) fn load(db: &Connection, account: i64, rules: &Rules) -> Result<Self> {
        let mut labels = Self {
            account,
            max_categories: rules.max_categories,
            max_kinds: rules.max_kinds,
            kinds: HashMap::new(),
            unknown: HashMap::new(),
        };
        for (id, category, task_type) in kinds(db, account)? {
            labels.kinds.entry(category).or_default().insert(task_type, id);
        }
        for (id, word) in unknown_statuses(db, account)? {
            labels.unknown.insert(word, id);
        }
        Ok(labels)
    }

    /// The id of the kind under which a task is stored.
    pub(super) fn kind(&mut self, db: &Connection, category: &Label, task_type: &Label) -> Result<i64> {
        if let Some(id) = self.known_kind(category, task_type) {
            return Ok(id);
        }
        let other = Label::other();
        let has_room = self.kinds.contains_key(category) || self.own_categories() < self.max_categories;
        let category = if has_room { category } else { &other };
        let has_room = self.own_kinds() < self.max_kinds;
        let task_type = if has_room { task_type } else { &other };
        if let Some(id) = self.known_kind(category, task_type) {
            return Ok(id);
        }
        let id = next_id(db, "kind", 1)?;
        let (account, category_name, type_name) = (self.account, category.as_str(), task_type.as_str());
        let sum = checksum(&(id, account, category_name, type_name));
        let mut insert = db.prepare_cached(
            "INSERT INTO kind (id, account, category, type, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        insert.execute((id, account, category_name, type_name, sum))?;
        self.kinds.entry(category.clone()).or_default().insert(task_type.clone(), id);
        Ok(id)
    }

    /// The id of a status.
    pub(super) fn status(&mut self, db: &Connection, status: &Status) -> Result<StatusId> {
        let Status::Other(word) = status else {
            return Ok(StatusId::known(status).expect("every other status must be known"));
        };
        let word = if self.unknown.contains_key(word) || self.unknown.len() < MAX_UNKNOWN_STATUSES {
            word.clone()
        } else {
            Label::other()
        };
        if let Some(id) = self.unknown.get(&word) {
            return Ok(*id);
        }
        let id = next_id(db, "unknown_status", FIRST_UNKNOWN_STATUS)?;
        let sum = checksum(&(id, self.account, word.as_str()));
        let mut insert = db.prepare_cached(
            "INSERT INTO unknown_status (id, account, word, checksum) VALUES (?1, ?2, ?3, ?4)",
        )?;
        insert.execute((id, self.account, word.as_str(), sum))?;
        let id = StatusId(id);
        self.unknown.insert(word, id);
        Ok(id)
    }

    fn known_kind(&self, category: &Label, task_type: &Label) -> Option<i64> {
        self.kinds.get(category)?.get(task_type).copied()
    }

    /// Categories other than `other`.
    fn own_categories(&self) -> usize {
        self.kinds.len() - usize::from(self.kinds.contains_key(&Label::other()))
    }

    /// Kinds whose type is not `other`.
    fn own_kinds(&self) -> usize {
        let types = self.kinds.values().flat_map(HashMap::keys);
        types.filter(|task_type| **task_type != Label::other()).count()
    }
}

/// The id of the next row of a table.
fn next_id(db: &Connection, table: &str, first: i64) -> Result<i64> {
    let mut query = db.prepare_cached(&format!("SELECT max(id) + 1 FROM {table}"))?;
    let next: Option<i64> = query.query_row([], |row| row.get(0))?;
    Ok(next.unwrap_or(first).max(first))
}

/// The kinds of an account with their ids, sorted by category and type.
pub(super) fn kinds(db: &Connection, account: i64) -> Result<Vec<(i64, Label, Label)>> {
    let mut query = db.prepare_cached(
        "SELECT id, category, type, checksum FROM kind WHERE account = ?1 ORDER BY category, type",
    )?;
    let mut rows = query.query([account])?;
    let mut kinds = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, category, task_type) = (row.get(0)?, text(row, 1)?, text(row, 2)?);
        verify(&(id, account, category, task_type), row.get(3)?, "a kind does not match its checksum")?;
        kinds.push((id, Label::new(category), Label::new(task_type)));
    }
    Ok(kinds)
}

/// The unknown statuses of an account with their ids.
pub(super) fn unknown_statuses(db: &Connection, account: i64) -> Result<Vec<(StatusId, Label)>> {
    let mut query = db.prepare_cached("SELECT id, word, checksum FROM unknown_status WHERE account = ?1")?;
    let mut rows = query.query([account])?;
    let mut statuses = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, word) = (row.get(0)?, text(row, 1)?);
        verify(&(id, account, word), row.get(2)?, "a status does not match its checksum")?;
        statuses.push((StatusId(id), Label::new(word)));
    }
    Ok(statuses)
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}
