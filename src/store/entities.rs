//! Ids of what tasks are about.
//!
//! An entity is identified by its type and id, or by its type and value if the id is null. Its name is the value of the
//! newest task. Only another name is written, because a write for each task would cost more than the task itself: a task
//! that is read late with an older name can therefore win until the next task.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};

use super::Result;
use crate::task::{Entity, Name};

/// The entities of one account that a transaction has met.
pub(super) struct Entities {
    account: i64,
    met: HashMap<Key, Named>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    entity_type: Option<String>,
    text: String,
    has_id: bool,
}

/// An entity, with the creation time of the task that named it.
struct Named {
    id: i64,
    since: i64,
    name: Option<String>,
    /// Whether the name is to be written, once for all tasks of a transaction.
    is_renamed: bool,
}

// === impl Entities ===

impl Entities {
    pub(super) fn new(account: i64) -> Self {
        Self { account, met: HashMap::new() }
    }

    /// The id of the entity of a task created at `created`; none if it has neither id nor value.
    pub(super) fn id(
        &mut self,
        db: &Connection,
        entity: Option<&Entity>,
        created: i64,
    ) -> Result<Option<i64>> {
        let Some((key, name)) = entity.and_then(key) else { return Ok(None) };
        if let Some(named) = self.met.get_mut(&key) {
            named.rename(name, created);
            return Ok(Some(named.id));
        }
        let mut named = match find(db, self.account, &key)? {
            Some(named) => named,
            None => insert(db, self.account, &key, name, created)?,
        };
        named.rename(name, created);
        let id = named.id;
        self.met.insert(key, named);
        Ok(Some(id))
    }

    /// Writes the names that have changed, and gives whose they are.
    pub(super) fn finish(self, db: &Connection) -> Result<HashSet<i64>> {
        let mut update = db.prepare_cached("UPDATE entity SET name = ?2, named = ?3 WHERE id = ?1")?;
        let mut renamed = HashSet::new();
        for named in self.met.into_values().filter(|named| named.is_renamed) {
            update.execute((named.id, named.name, named.since))?;
            renamed.insert(named.id);
        }
        Ok(renamed)
    }
}

fn key(entity: &Entity) -> Option<(Key, Option<&str>)> {
    let (id, name) = (entity.id.as_ref().map(Name::as_str), entity.name.as_ref().map(Name::as_str));
    let text = id.or(name)?.to_owned();
    let entity_type = entity.entity_type.as_ref().map(|word| word.as_str().to_owned());
    Some((Key { entity_type, text, has_id: id.is_some() }, name))
}

fn find(db: &Connection, account: i64, key: &Key) -> Result<Option<Named>> {
    let mut query = db.prepare_cached(
        "SELECT id, named, name FROM entity
         WHERE account = ?1 AND key = ?2 AND has_id = ?3 AND coalesce(type, '') = coalesce(?4, '')",
    )?;
    let found = query.query_row((account, &key.text, key.has_id, &key.entity_type), |row| {
        Ok(Named { id: row.get(0)?, since: row.get(1)?, name: row.get(2)?, is_renamed: false })
    });
    Ok(found.optional()?)
}

fn insert(db: &Connection, account: i64, key: &Key, name: Option<&str>, created: i64) -> Result<Named> {
    let named = if name.is_some() { created } else { i64::MIN };
    let mut insert = db.prepare_cached(
        "INSERT INTO entity (account, type, key, has_id, name, named) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let id = insert.insert((account, &key.entity_type, &key.text, key.has_id, name, named))?;
    Ok(Named { id, since: named, name: name.map(str::to_owned), is_renamed: false })
}

// === impl Named ===

impl Named {
    fn rename(&mut self, name: Option<&str>, created: i64) {
        if name.is_some() && name != self.name.as_deref() && created > self.since {
            (self.since, self.is_renamed) = (created, true);
            self.name = name.map(str::to_owned);
        }
    }
}
